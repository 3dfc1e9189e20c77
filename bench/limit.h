/* What the machine can do: bytes over raw TCP on loopback, sealed and opened with ChaCha20-Poly1305
 * in the largest records of Noise, by the same cipher code; one process a side. */
#ifndef P2P_BENCH_LIMIT_H
#define P2P_BENCH_LIMIT_H

#include "bench.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "crypto/crypto.h"

enum {
    LIMIT_RECORD = 65519,
    LIMIT_IN = 256 * 1024,
    LIMIT_READ = 128 * 1024,
};

static const uint8_t limit_key[P2P__AEAD_KEY_LEN] = {1};

static inline void write_all(int fd, const uint8_t *at, size_t len)
{
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n <= 0)
            die("write");
        at += n;
        len -= (size_t)n;
    }
}

static inline void limit_send(int fd, uint64_t bytes)
{
    static uint8_t plain[LIMIT_RECORD], sealed[LIMIT_RECORD + 18];
    struct p2p__aead *aead = p2p__crypto_real.aead_new();
    for (uint64_t nonce = 0; bytes; nonce++) {
        size_t n = bytes < LIMIT_RECORD ? (size_t)bytes : LIMIT_RECORD;
        struct p2p__const_iov iov = {plain, n};
        p2p__crypto_real.seal(aead, limit_key, nonce, NULL, 0, &iov, 1, sealed + 2);
        sealed[0] = (uint8_t)((n + 16) >> 8);
        sealed[1] = (uint8_t)(n + 16);
        write_all(fd, sealed, n + 18);
        bytes -= n;
    }
    p2p__crypto_real.aead_free(aead);
}

/* Opens every whole record of [head, tail); returns the new head, and the plaintext in *opened. */
static inline size_t limit_open(struct p2p__aead *aead, uint64_t *nonce, uint8_t *in, size_t head,
                                size_t tail, uint64_t *opened)
{
    while (tail - head >= 2) {
        size_t len = (size_t)(in[head] << 8 | in[head + 1]);
        if (tail - head < 2 + len)
            break;
        uint8_t *body = in + head + 2;
        if (p2p__crypto_real.open(aead, limit_key, (*nonce)++, NULL, 0, body, len, body) < 0)
            die("open");
        head += 2 + len;
        *opened += len - 16;
    }
    return head;
}

static inline void limit_receive(int fd, uint64_t bytes)
{
    static uint8_t in[LIMIT_IN];
    struct p2p__aead *aead = p2p__crypto_real.aead_new();
    size_t head = 0, tail = 0;
    uint64_t nonce = 0, opened = 0;
    while (opened < bytes) {
        if (head == tail)
            head = tail = 0;
        if (sizeof(in) - tail < LIMIT_READ) {
            memmove(in, in + head, tail - head);
            tail -= head;
            head = 0;
        }
        ssize_t n = read(fd, in + tail, LIMIT_READ);
        if (n <= 0)
            die("read");
        tail += (size_t)n;
        head = limit_open(aead, &nonce, in, head, tail, &opened);
    }
    p2p__crypto_real.aead_free(aead);
}

/* Seconds for the bytes to go from this process to another and be answered, or (download) to be
 * asked for and come. */
static inline double limit_round(uint64_t bytes, bool download)
{
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char go;
    if (bind(server, (struct sockaddr *)&at, len) || listen(server, 1) ||
        getsockname(server, (struct sockaddr *)&at, &len))
        die("listen");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = accept(server, NULL, NULL);
        if (download && read(fd, &go, 1) == 1)
            limit_send(fd, bytes);
        if (!download)
            limit_receive(fd, bytes);
        _exit(download || write(fd, "k", 1) == 1 ? 0 : 1);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (child < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
        die("connect");
    double start = now_s();
    if (download) {
        write_all(fd, (const uint8_t *)"g", 1);
        limit_receive(fd, bytes);
    } else {
        limit_send(fd, bytes);
        if (read(fd, &go, 1) != 1)
            die("read");
    }
    double took = now_s() - start;
    close(fd);
    close(server);
    waitpid(child, NULL, 0);
    return took;
}

#endif
