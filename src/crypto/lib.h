/* What the crypto libraries want done once per process: algorithm lookups (an implicit lookup on
 * each use triples the cost of a short hash), CPU detection, precomputed tables. */
#ifndef P2P_CRYPTO_LIB_H
#define P2P_CRYPTO_LIB_H

#include <openssl/evp.h>
#include <secp256k1.h>

struct p2p__crypto_lib {
    EVP_MD *sha256; /* each NULL if the library does not offer it */
    EVP_MD *sha512;
    EVP_CIPHER *chacha20_poly1305;
    EVP_PKEY *p256;               /* any key on the curve P-256: a pattern for others */
    secp256k1_context *secp256k1; /* NULL when out of memory */
};

/* Prepared by the first call, from whichever thread; never freed, never changed afterwards. */
const struct p2p__crypto_lib *p2p__crypto_lib(void);

#endif
