/* TLS 1.3's record protection (RFC 8446, sections 5.2, 7.1 to 7.3), in place. OpenSSL shakes hands
 * and hands over the secrets; from then on a connection keeps its keys and counters only, which
 * are a few hundred bytes, and the cipher contexts are the loop's. */
#ifndef P2P_LAYER_TLS_RECORD_H
#define P2P_LAYER_TLS_RECORD_H

#include <openssl/evp.h>

#include "crypto/crypto.h"

enum {
    TLS_HEADER_LEN = 5, /* type, version, length (big-endian) */
    TLS_TYPE_LEN = 1,   /* the true type, behind the plaintext */
    TLS_TAG_LEN = 16,
    TLS_PLAIN_MAX = 16384,
    TLS_BODY_MAX = TLS_PLAIN_MAX + 256, /* of a record on the wire, section 5.2 */
    TLS_RECORD_OVERHEAD = TLS_HEADER_LEN + TLS_TYPE_LEN + TLS_TAG_LEN,
    TLS_SECRET_MAX = 48,
    TLS_KEY_MAX = 32,
    TLS_IV_LEN = 12,
};

enum tls_content {
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_DATA = 23,
};

enum tls_suite {
    TLS_AES_128_GCM,
    TLS_AES_256_GCM,
    TLS_CHACHA20_POLY1305,
    TLS_SUITES,
};

/* One direction of a connection. */
struct tls_keys {
    uint8_t secret[TLS_SECRET_MAX]; /* the traffic secret, from which the next one is made */
    uint8_t key[TLS_KEY_MAX];
    uint8_t iv[TLS_IV_LEN];
    uint8_t suite;
    uint64_t seq;
};

enum tls_direction {
    TLS_SEAL,
    TLS_OPEN,
};

/* Contexts of one loop, by suite and direction, made when they are first needed. Each remembers its
 * key: a connection with several records in a row sets it up once. */
struct tls_ciphers {
    EVP_CIPHER *cipher[TLS_SUITES];
    struct tls_cipher {
        EVP_CIPHER_CTX *ctx;
        bool keyed;
        uint8_t key[TLS_KEY_MAX];
    } of[TLS_SUITES][2];
};

void p2p__tls_ciphers_fini(struct tls_ciphers *self);

/* By TLS's number for it (0x1301...); -1: none of ours. */
int p2p__tls_suite_of(uint16_t id);
size_t p2p__tls_secret_len(enum tls_suite suite);

/* Prepares the contexts too: sealing and opening allocate nothing. 0 or P2P_ENOMEM. */
int p2p__tls_keys_init(struct tls_keys *self, struct tls_ciphers *ciphers, enum tls_suite suite,
                       const uint8_t *secret);
/* The next secret (section 7.2). */
int p2p__tls_keys_update(struct tls_keys *self);

/* One record at out, of at most TLS_PLAIN_MAX bytes gathered from in: its length, or P2P_ENOMEM. */
int64_t p2p__tls_record_seal(struct tls_keys *self, struct tls_ciphers *ciphers,
                             enum tls_content type, const struct p2p__const_iov *in,
                             size_t in_count, uint8_t *out);

/* A whole record, whose body is at most TLS_BODY_MAX long. The plaintext is then right behind the
 * header; the length of the content and its type are set. P2P_EPROTO, P2P_ENOMEM. */
int p2p__tls_record_open(struct tls_keys *self, struct tls_ciphers *ciphers, uint8_t *record,
                         size_t record_len, uint8_t *type, size_t *content_len);

#endif
