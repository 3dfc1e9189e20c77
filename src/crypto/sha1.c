#include "crypto/sha1.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <p2p/error.h>

int p2p__sha1(const uint8_t *in, size_t in_len, uint8_t out[P2P__SHA1_LEN])
{
    ERR_set_mark();
    int done = EVP_Digest(in, in_len, out, NULL, EVP_sha1(), NULL);
    ERR_pop_to_mark();
    return done == 1 ? 0 : P2P_ENOTSUP;
}
