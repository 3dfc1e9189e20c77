#include "crypto/lib.h"

#include <pthread.h>
#include <sodium.h>

#include "crypto/crypto.h"

static struct p2p__crypto_lib lib;
static pthread_once_t lib_once = PTHREAD_ONCE_INIT;

static void lib_prepare(void)
{
    /* Without it libsodium stays on its portable code. Its only failure is to find no randomness,
     * which it reports again, by aborting, where randomness is drawn. */
    int ready = sodium_init();
    (void)ready;
    lib.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    lib.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    lib.chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    lib.p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    lib.secp256k1 = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (lib.secp256k1) {
        /* Blinds the signing tables against power and timing analysis. */
        uint8_t seed[32];
        randombytes_buf(seed, sizeof seed);
        if (secp256k1_context_randomize(lib.secp256k1, seed) != 1) {
            secp256k1_context_destroy(lib.secp256k1);
            lib.secp256k1 = NULL;
        }
        p2p__wipe(seed, sizeof seed);
    }
}

const struct p2p__crypto_lib *p2p__crypto_lib(void)
{
    pthread_once(&lib_once, lib_prepare);
    return &lib;
}
