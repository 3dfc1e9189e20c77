/* SHA-1, which WebSocket's upgrade asks for (RFC 6455, section 4.2.2) to tell that the other end
 * speaks it. Nothing here depends on its strength, and nothing else may use it. */
#ifndef P2P_CRYPTO_SHA1_H
#define P2P_CRYPTO_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum {
    P2P__SHA1_LEN = 20,
};

/* 0, or P2P_ENOTSUP when libcrypto has no memory or is configured without it. */
int p2p__sha1(const uint8_t *in, size_t in_len, uint8_t out[P2P__SHA1_LEN]);

#endif
