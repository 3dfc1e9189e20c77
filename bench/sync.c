/* The blocking API against callbacks: one stream on loopback, upload, one process a side.
 *
 *   bench-sync [MIB=512]
 *
 * A blocking stream copies each byte once more on each side, and two threads a side share the two
 * processors that the callbacks' sides have to themselves. */
#include "bench.h"

#include <p2p/sync.h>

#define SINK "/bench/sink" /* counts, and answers one byte at the end */

static uint64_t left, done;
static uint8_t chunk[65536];

/* ---- callbacks ---- */

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)user;
    if (why)
        fprintf(stderr, "bench-sync: %s\n", why->message);
    done++;
}

static void discard(p2p_stream *stream, void *user)
{
    size_t len;
    (void)user;
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
}

static void send_left(p2p_stream *stream, void *user)
{
    (void)user;
    while (left) {
        size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        int64_t took = p2p_stream_write(stream, chunk, n);
        if (took < 0)
            return;
        left -= (uint64_t)took;
        if ((size_t)took < n)
            return;
    }
    p2p_stream_close_write(stream);
}

static void answer(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_write(stream, "k", 1);
    p2p_stream_close_write(stream);
}

static const p2p_stream_events sink = {sizeof(sink), NULL, discard, answer, NULL, on_close};
static const p2p_stream_events uploader = {
    sizeof(uploader), send_left, discard, NULL, send_left, on_close,
};

static void serve(struct bench_host *self)
{
    p2p_host_handle(self->host, SINK, &sink, NULL);
}

static double callback_round(uint64_t bytes)
{
    static const char *const server[] = {"listen", "/ip4/127.0.0.1/tcp/0", "services", "", NULL};
    static const char *const client[] = {"services", "", NULL};
    static const char *const protocol = SINK;
    struct remote remote;
    struct bench_host self;
    remote_start(&remote, server, serve);
    host_start(&self, NULL, client);
    left = bytes;
    double begin = now_s();
    p2p_host_open(self.host, remote.addr, &protocol, 1, NULL, &uploader, NULL);
    host_until(&self, &done, 1);
    double took = now_s() - begin;
    p2p_host_close(self.host, NULL, NULL);
    uv_run(self.loop, UV_RUN_DEFAULT);
    remote_stop(&remote);
    return took;
}

/* ---- blocking ---- */

static void sync_serve(int fd)
{
    static uint8_t bytes[65536];
    char addr[256] = "";
    p2p_h host = p2p_open("listen=/ip4/127.0.0.1/tcp/0\nservices=");
    p2p_h listener = p2p_listen(host, SINK, 0);
    p2p_addr(host, 0, addr, sizeof(addr));
    if (write(fd, addr, sizeof(addr)) != sizeof(addr))
        _exit(1);
    p2p_h stream = p2p_accept(listener, -1);
    while (p2p_read(stream, bytes, sizeof(bytes), -1) > 0)
        ;
    p2p_write(stream, "k", 1, -1);
    p2p_close(stream);
    p2p_close(host);
    _exit(0);
}

static double sync_round(uint64_t bytes)
{
    int fds[2];
    char addr[256], byte;
    if (pipe(fds))
        die("pipe");
    pid_t child = fork();
    if (child == 0)
        sync_serve(fds[1]);
    if (child < 0 || read(fds[0], addr, sizeof(addr)) != sizeof(addr))
        die("the second process");
    p2p_h host = p2p_open("services=");
    double begin = now_s();
    p2p_h stream = p2p_dial(host, addr, SINK, 0);
    for (uint64_t rest = bytes; rest > 0;) {
        size_t n = rest < sizeof(chunk) ? (size_t)rest : sizeof(chunk);
        if (p2p_write(stream, chunk, n, -1) != (int64_t)n)
            die(p2p_errmsg());
        rest -= n;
    }
    p2p_shutdown(stream);
    if (p2p_read(stream, &byte, 1, -1) != 1)
        die(p2p_errmsg());
    double took = now_s() - begin;
    p2p_close(host);
    close(fds[0]);
    close(fds[1]);
    waitpid(child, NULL, 0);
    return took;
}

int main(int argc, char **argv)
{
    uint64_t mib = argument(argc, argv, 1, 512);
    memset(chunk, 1, sizeof(chunk));
    double callbacks = callback_round(mib << 20);
    double blocking = sync_round(mib << 20);
    print("sync.callbacks.rate", (double)mib / callbacks, "MiB/s");
    print("sync.blocking.rate", (double)mib / blocking, "MiB/s");
    print("sync.ratio", callbacks / blocking, "");
    return 0;
}
