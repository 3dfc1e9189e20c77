/* One stream, one direction, loopback, one process a side, against the limit: the same bytes over raw
 * TCP, sealed and opened in 64 KiB records with ChaCha20-Poly1305 by the same library.
 *
 *   bench-throughput [MIB=1024] [ROUNDS=5]
 *
 * Prints each round's two figures and the median of their ratio. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include <p2p/p2p.h>
#include <p2p/uv.h>

#include "crypto/crypto.h"

enum {
    RECORD = 65519,
    ROUNDS_MAX = 32,
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-throughput: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the limit ---- */

static void write_all(int fd, const uint8_t *at, size_t len)
{
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n <= 0)
            die("write");
        at += n;
        len -= (size_t)n;
    }
}

static void limit_send(int fd, uint64_t bytes)
{
    struct p2p__aead *aead = p2p__crypto_real.aead_new();
    static uint8_t plain[RECORD], sealed[RECORD + 18];
    static const uint8_t key[32] = {1};
    uint64_t nonce = 0;
    while (bytes) {
        size_t n = bytes < RECORD ? (size_t)bytes : RECORD;
        struct p2p__const_iov iov = {plain, n};
        p2p__crypto_real.seal(aead, key, nonce++, NULL, 0, &iov, 1, sealed + 2);
        sealed[0] = (uint8_t)((n + 16) >> 8);
        sealed[1] = (uint8_t)(n + 16);
        write_all(fd, sealed, n + 18);
        bytes -= n;
    }
    p2p__crypto_real.aead_free(aead);
}

static void limit_receive(int fd, uint64_t bytes)
{
    struct p2p__aead *aead = p2p__crypto_real.aead_new();
    static uint8_t in[256 * 1024];
    static const uint8_t key[32] = {1};
    size_t head = 0, tail = 0;
    uint64_t nonce = 0;
    while (bytes) {
        size_t held = tail - head;
        size_t need = held >= 2 ? (size_t)(in[head] << 8 | in[head + 1]) + 2 : 2;
        if (held < 2 || held < need) {
            if (sizeof(in) - head < 2 * RECORD) {
                memmove(in, in + head, held);
                head = 0;
                tail = held;
            }
            size_t want = sizeof(in) - tail;
            ssize_t n = read(fd, in + tail, want < 131072 ? want : 131072);
            if (n <= 0)
                die("read");
            tail += (size_t)n;
            continue;
        }
        if (p2p__crypto_real.open(aead, key, nonce++, NULL, 0, in + head + 2, need - 2,
                                  in + head + 2) < 0)
            die("open");
        head += need;
        bytes -= need - 18;
        if (head == tail)
            head = tail = 0;
    }
    if (write(fd, "k", 1) != 1)
        die("write");
    p2p__crypto_real.aead_free(aead);
}

static double limit_round(uint64_t bytes)
{
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    if (bind(server, (struct sockaddr *)&at, len) || listen(server, 1) ||
        getsockname(server, (struct sockaddr *)&at, &len))
        die("listen");
    pid_t child = fork();
    if (child == 0) {
        int fd = accept(server, NULL, NULL);
        limit_receive(fd, bytes);
        _exit(0);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)))
        die("connect");
    double start = now_s();
    limit_send(fd, bytes);
    char ack;
    if (read(fd, &ack, 1) != 1)
        die("read");
    double took = now_s() - start;
    close(fd);
    close(server);
    waitpid(child, NULL, 0);
    return took;
}

/* ---- ours ---- */

static uint64_t got_bytes, want_bytes, left_bytes;
static uint8_t chunk[65536];

static void sink_read(p2p_stream *stream, void *user)
{
    size_t len = 0;
    (void)user;
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
    got_bytes += len;
}

static void sink_eof(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_write(stream, "k", 1);
    p2p_stream_close_write(stream);
}

static void sink_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why, (void)user;
}

static const p2p_stream_events sink_events = {
    sizeof(sink_events), NULL, sink_read, sink_eof, NULL, sink_close,
};

static void source_pump(p2p_stream *stream, void *user)
{
    (void)user;
    while (left_bytes) {
        size_t n = left_bytes < sizeof(chunk) ? (size_t)left_bytes : sizeof(chunk);
        int64_t took = p2p_stream_write(stream, chunk, n);
        if (took < 0)
            return;
        left_bytes -= (uint64_t)took;
        if ((size_t)took < n)
            return;
    }
    p2p_stream_close_write(stream);
}

static bool source_done;

static void source_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)user;
    if (why)
        fprintf(stderr, "bench-throughput: %s\n", why->message);
    source_done = true;
}

static const p2p_stream_events source_events = {
    sizeof(source_events), source_pump, NULL, NULL, source_pump, source_close,
};

static p2p_host *make_host(uv_loop_t *loop, const char *listen)
{
    p2p_host *host = NULL;
    p2p_error *err = NULL;
    p2p_config *config = p2p_config_new();
    uv_loop_init(loop);
    if (listen)
        p2p_config_set(config, "listen", listen, NULL, 0);
    if (p2p_host_new(config, p2p_io_uv(loop), &host, &err) < 0) {
        fprintf(stderr, "bench-throughput: %s\n", err ? err->message : "no memory");
        exit(1);
    }
    p2p_config_free(config);
    return host;
}

static double our_round(uint64_t bytes)
{
    int pipes[2];
    if (pipe(pipes))
        die("pipe");
    pid_t child = fork();
    uv_loop_t loop;
    char addr[256] = "";
    if (child == 0) {
        p2p_multiaddr maddr;
        p2p_host *host = make_host(&loop, "/ip4/127.0.0.1/tcp/0");
        p2p_host_handle(host, "/bench/sink", &sink_events, NULL);
        p2p_host_addr(host, 0, &maddr);
        p2p_multiaddr_format(&maddr, addr, sizeof(addr));
        if (write(pipes[1], addr, sizeof(addr)) != sizeof(addr))
            die("write");
        uv_run(&loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    if (read(pipes[0], addr, sizeof(addr)) != sizeof(addr))
        die("read");
    p2p_host *host = make_host(&loop, NULL);
    const char *protocol = "/bench/sink";
    left_bytes = want_bytes = bytes;
    source_done = false;
    double start = now_s();
    p2p_host_open(host, addr, &protocol, 1, NULL, &source_events, NULL);
    while (!source_done)
        uv_run(&loop, UV_RUN_ONCE);
    double took = now_s() - start;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    double ratio[ROUNDS_MAX];
    if (mib == 0 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench-throughput [MIB] [ROUNDS]\n");
        return 2;
    }
    for (int i = 0; i < rounds; i++) {
        double limit = limit_round(mib << 20), ours = our_round(mib << 20);
        ratio[i] = limit / ours;
        printf("limit %7.1f MiB/s   libp2p %7.1f MiB/s   ratio %.3f\n", (double)mib / limit,
               (double)mib / ours, ratio[i]);
        fflush(stdout);
    }
    qsort(ratio, (size_t)rounds, sizeof(*ratio), by_value);
    printf("median ratio %.3f\n", ratio[rounds / 2]);
    return 0;
}
