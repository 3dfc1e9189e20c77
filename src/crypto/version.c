#include "crypto/version.h"

#include <openssl/crypto.h>
#include <sodium.h>

/* libsecp256k1 does not tell its version at run time. */
#ifndef P2P_SECP256K1_VERSION
#define P2P_SECP256K1_VERSION "unknown"
#endif

const char *p2p__crypto_version(size_t index, const char **version)
{
    switch (index) {
    case 0:
        *version = OpenSSL_version(OPENSSL_VERSION_STRING);
        return "openssl";
    case 1:
        *version = sodium_version_string();
        return "libsodium";
    case 2:
        *version = P2P_SECP256K1_VERSION;
        return "libsecp256k1";
    default:
        return NULL;
    }
}
