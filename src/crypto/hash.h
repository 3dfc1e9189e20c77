/* SHA-256 over pieces, and HMAC (RFC 2104) over any hash with SHA-256's sizes. */
#ifndef P2P_CRYPTO_HASH_H
#define P2P_CRYPTO_HASH_H

#include "crypto/crypto.h"

enum {
    P2P__HMAC_PARTS = 8, /* pieces of one HMAC's input; HKDF needs three */
};

typedef void (*p2p__hash_fn)(const struct p2p__const_iov *in, size_t in_count,
                             uint8_t out[P2P__HASH_LEN]);

/* Always the real SHA-256. */
void p2p__sha256_iov(const struct p2p__const_iov *in, size_t in_count, uint8_t out[P2P__HASH_LEN]);

/* in_count is at most P2P__HMAC_PARTS. out may be the key. */
void p2p__hmac(p2p__hash_fn hash, const uint8_t *key, size_t key_len,
               const struct p2p__const_iov *in, size_t in_count, uint8_t out[P2P__HASH_LEN]);

#endif
