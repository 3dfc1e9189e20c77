/* What the machine can do: bytes over raw TCP on loopback, sealed and opened with ChaCha20-Poly1305
 * in the largest records of Noise, by the same cipher code, or with AES-128-GCM in those of TLS;
 * one process a side. */
#ifndef P2P_BENCH_LIMIT_H
#define P2P_BENCH_LIMIT_H

#include "bench.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <openssl/evp.h>

#include "crypto/crypto.h"

enum {
    LIMIT_RECORD = 65519,
    LIMIT_TLS_RECORD = 16384,
    LIMIT_TAG = 16,
    LIMIT_IN = 256 * 1024,
    LIMIT_READ = 128 * 1024,
};

static const uint8_t limit_key[P2P__AEAD_KEY_LEN] = {1};

/* One of the two ciphers. */
struct limit_cipher {
    size_t record;
    struct p2p__aead *aead; /* ChaCha20-Poly1305, or NULL: */
    EVP_CIPHER_CTX *gcm;
};

static inline void limit_cipher_init(struct limit_cipher *self, bool aes)
{
    *self = (struct limit_cipher){.record = aes ? LIMIT_TLS_RECORD : LIMIT_RECORD};
    if (!aes) {
        self->aead = p2p__crypto_real.aead_new();
        return;
    }
    self->gcm = EVP_CIPHER_CTX_new();
    if (!self->gcm)
        die("a cipher");
}

static inline void limit_cipher_fini(struct limit_cipher *self)
{
    if (self->aead)
        p2p__crypto_real.aead_free(self->aead);
    EVP_CIPHER_CTX_free(self->gcm);
}

/* The tag goes behind. */
static inline void limit_seal(struct limit_cipher *self, uint64_t nonce, const uint8_t *plain,
                              size_t len, uint8_t *out)
{
    struct p2p__const_iov iov = {plain, len};
    uint8_t iv[12] = {0};
    int n;
    if (self->aead) {
        p2p__crypto_real.seal(self->aead, limit_key, nonce, NULL, 0, &iov, 1, out);
        return;
    }
    memcpy(iv, &nonce, sizeof(nonce));
    bool fresh = nonce == 0; /* the key is set once, as a connection does */
    if (EVP_EncryptInit_ex(self->gcm, fresh ? EVP_aes_128_gcm() : NULL, NULL,
                           fresh ? limit_key : NULL, iv) != 1 ||
        EVP_EncryptUpdate(self->gcm, out, &n, plain, (int)len) != 1 ||
        EVP_EncryptFinal_ex(self->gcm, out + n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(self->gcm, EVP_CTRL_GCM_GET_TAG, LIMIT_TAG, out + len) != 1)
        die("seal");
}

/* In place; len with the tag. */
static inline void limit_unseal(struct limit_cipher *self, uint64_t nonce, uint8_t *body,
                                size_t len)
{
    uint8_t iv[12] = {0};
    int n;
    if (self->aead) {
        if (p2p__crypto_real.open(self->aead, limit_key, nonce, NULL, 0, body, len, body) < 0)
            die("open");
        return;
    }
    memcpy(iv, &nonce, sizeof(nonce));
    bool fresh = nonce == 0;
    size_t plain = len - LIMIT_TAG;
    if (EVP_DecryptInit_ex(self->gcm, fresh ? EVP_aes_128_gcm() : NULL, NULL,
                           fresh ? limit_key : NULL, iv) != 1 ||
        EVP_DecryptUpdate(self->gcm, body, &n, body, (int)plain) != 1 ||
        EVP_CIPHER_CTX_ctrl(self->gcm, EVP_CTRL_GCM_SET_TAG, LIMIT_TAG, body + plain) != 1 ||
        EVP_DecryptFinal_ex(self->gcm, body + n, &n) != 1)
        die("open");
}

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

static inline void limit_send(int fd, uint64_t bytes, bool aes)
{
    static uint8_t plain[LIMIT_RECORD], sealed[LIMIT_RECORD + 18];
    struct limit_cipher cipher;
    limit_cipher_init(&cipher, aes);
    for (uint64_t nonce = 0; bytes; nonce++) {
        size_t n = bytes < cipher.record ? (size_t)bytes : cipher.record;
        limit_seal(&cipher, nonce, plain, n, sealed + 2);
        sealed[0] = (uint8_t)((n + LIMIT_TAG) >> 8);
        sealed[1] = (uint8_t)(n + LIMIT_TAG);
        write_all(fd, sealed, n + 18);
        bytes -= n;
    }
    limit_cipher_fini(&cipher);
}

/* Opens every whole record of [head, tail); returns the new head, and the plaintext in *opened. */
static inline size_t limit_open(struct limit_cipher *cipher, uint64_t *nonce, uint8_t *in,
                                size_t head, size_t tail, uint64_t *opened)
{
    while (tail - head >= 2) {
        size_t len = (size_t)(in[head] << 8 | in[head + 1]);
        if (tail - head < 2 + len)
            break;
        limit_unseal(cipher, (*nonce)++, in + head + 2, len);
        head += 2 + len;
        *opened += len - LIMIT_TAG;
    }
    return head;
}

static inline void limit_receive(int fd, uint64_t bytes, bool aes)
{
    static uint8_t in[LIMIT_IN];
    struct limit_cipher cipher;
    size_t head = 0, tail = 0;
    uint64_t nonce = 0, opened = 0;
    limit_cipher_init(&cipher, aes);
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
        head = limit_open(&cipher, &nonce, in, head, tail, &opened);
    }
    limit_cipher_fini(&cipher);
}

/* Seconds for the bytes to go from this process to another and be answered, or (download) to be
 * asked for and come. */
static inline double limit_round(uint64_t bytes, bool download, bool aes)
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
            limit_send(fd, bytes, aes);
        if (!download)
            limit_receive(fd, bytes, aes);
        _exit(download || write(fd, "k", 1) == 1 ? 0 : 1);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (child < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
        die("connect");
    double start = now_s();
    if (download) {
        write_all(fd, (const uint8_t *)"g", 1);
        limit_receive(fd, bytes, aes);
    } else {
        limit_send(fd, bytes, aes);
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
