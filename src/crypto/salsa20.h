/* XSalsa20 (Bernstein, "Extending the Salsa20 nonce") as one endless stream that is taken in any
 * pieces, and what else private networks are made of. Always the real ones: simulations have no
 * stand-in for them. */
#ifndef P2P_CRYPTO_SALSA20_H
#define P2P_CRYPTO_SALSA20_H

#include <stddef.h>
#include <stdint.h>

enum {
    P2P__SALSA20_KEY_LEN = 32,
    P2P__SALSA20_NONCE_LEN = 8,
    P2P__XSALSA20_NONCE_LEN = 24,
};

/* The key is derived from the caller's key and the first 16 bytes of its nonce, once. */
struct p2p__xsalsa20 {
    uint8_t key[P2P__SALSA20_KEY_LEN];
    uint8_t nonce[P2P__SALSA20_NONCE_LEN];
    uint64_t at; /* bytes of the stream used so far; it has 2^70, which no link carries */
};

/* key may be self->key. */
void p2p__xsalsa20_init(struct p2p__xsalsa20 *self, const uint8_t key[P2P__SALSA20_KEY_LEN],
                        const uint8_t nonce[P2P__XSALSA20_NONCE_LEN]);

/* The next in_len bytes of the stream, xored with in; out may be exactly in. */
void p2p__xsalsa20_xor(struct p2p__xsalsa20 *self, const uint8_t *in, size_t in_len, uint8_t *out);

/* The first out_len bytes of a Salsa20 stream. */
void p2p__salsa20_stream(const uint8_t key[P2P__SALSA20_KEY_LEN],
                         const uint8_t nonce[P2P__SALSA20_NONCE_LEN], uint8_t *out, size_t out_len);

/* SHAKE128 (FIPS 202). 0, or P2P_ENOTSUP where libcrypto does not offer it. */
int p2p__shake128(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len);

#endif
