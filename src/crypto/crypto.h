/* The primitives that libp2p is built of, one function each. Real ones come from libcrypto,
 * libsodium and libsecp256k1; simulations may swap in a stand-in with the same lengths and the same
 * ways to fail (p2p__crypto_cheap), which no default ever reaches. */
#ifndef P2P_CRYPTO_CRYPTO_H
#define P2P_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    P2P__HASH_LEN = 32,
    P2P__DH_LEN = 32,
    P2P__AEAD_KEY_LEN = 32,
    P2P__AEAD_TAG_LEN = 16,
};

struct p2p__const_iov {
    const uint8_t *base;
    size_t len;
};

/* A cipher context belongs to a loop, never to a connection: layers keep 32-byte keys and counters.
 */
struct p2p__aead;

/* What a secure channel needs. All lengths are fixed, so nothing here can overflow. */
struct p2p__crypto {
    const char *name;
    void (*sha256)(const struct p2p__const_iov *in, size_t in_count, uint8_t out[P2P__HASH_LEN]);
    void (*hmac_sha256)(const uint8_t *key, size_t key_len, const struct p2p__const_iov *in,
                        size_t in_count, uint8_t out[P2P__HASH_LEN]);
    /* secret: 32 random bytes from the caller. */
    void (*dh_public)(const uint8_t secret[P2P__DH_LEN], uint8_t pub[P2P__DH_LEN]);
    /* P2P_EHANDSHAKE for a point whose shared secret is all zero. */
    int (*dh)(const uint8_t secret[P2P__DH_LEN], const uint8_t pub[P2P__DH_LEN],
              uint8_t shared[P2P__DH_LEN]);
    struct p2p__aead *(*aead_new)(void); /* NULL when out of memory */
    void (*aead_free)(struct p2p__aead *);
    /* Noise's ChaChaPoly: the 12-byte nonce is 4 zero bytes and the little-endian counter.
     * Gathers `in` into out (sum of lengths + tag bytes); out must not overlap in, or be exactly
     * it. */
    int (*seal)(struct p2p__aead *, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                const uint8_t *ad, size_t ad_len, const struct p2p__const_iov *in, size_t in_count,
                uint8_t *out);
    /* in_len includes the tag; writes in_len - 16 bytes to out, which may be exactly in.
     * P2P_EHANDSHAKE when the tag does not verify (out is then unspecified and must not be used).
     */
    int (*open)(struct p2p__aead *, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t in_len, uint8_t *out);
};

extern const struct p2p__crypto p2p__crypto_real;
extern const struct p2p__crypto p2p__crypto_cheap;

/* Always the real SHA-256 (identities, hash tables, tests), one shot. */
void p2p__sha256(const uint8_t *in, size_t in_len, uint8_t out[P2P__HASH_LEN]);
void p2p__sha512(const uint8_t *in, size_t in_len, uint8_t out[64]);

/* Overwrites secrets in a way that the compiler keeps. */
void p2p__wipe(void *secret, size_t len);
/* Constant-time comparison. */
bool p2p__equal_ct(const uint8_t *a, const uint8_t *b, size_t len);

#endif
