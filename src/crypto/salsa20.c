#include "crypto/salsa20.h"

#include <sodium.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/crypto.h"
#include "crypto/lib.h"

enum {
    BLOCK = 64,
    /* Of the nonce, this much goes into the key and the rest into the stream. */
    DERIVE_LEN = P2P__XSALSA20_NONCE_LEN - P2P__SALSA20_NONCE_LEN,
};

_Static_assert(DERIVE_LEN == crypto_core_hsalsa20_INPUTBYTES &&
                   P2P__SALSA20_KEY_LEN == crypto_stream_salsa20_KEYBYTES &&
                   P2P__SALSA20_NONCE_LEN == crypto_stream_salsa20_NONCEBYTES,
               "libsodium's sizes");

void p2p__xsalsa20_init(struct p2p__xsalsa20 *self, const uint8_t key[P2P__SALSA20_KEY_LEN],
                        const uint8_t nonce[P2P__XSALSA20_NONCE_LEN])
{
    (void)p2p__crypto_lib();
    uint8_t derived[P2P__SALSA20_KEY_LEN];
    (void)crypto_core_hsalsa20(derived, nonce, key, NULL); /* cannot fail */
    memcpy(self->key, derived, sizeof derived);
    memcpy(self->nonce, nonce + DERIVE_LEN, sizeof self->nonce);
    self->at = 0;
    p2p__wipe(derived, sizeof derived);
}

/* The library starts at blocks only: what is left of a begun one is computed again. To keep it
 * instead would be one more secret in every connection's state. */
static size_t finish_block(struct p2p__xsalsa20 *self, const uint8_t *in, size_t in_len,
                           uint8_t *out)
{
    size_t off = self->at % BLOCK;
    size_t len = in_len < BLOCK - off ? in_len : BLOCK - off;
    if (off == 0 || len == 0)
        return 0;
    uint8_t block[BLOCK] = {0};
    memcpy(block + off, in, len);
    (void)crypto_stream_salsa20_xor_ic(block, block, off + len, self->nonce, self->at / BLOCK,
                                       self->key);
    memcpy(out, block + off, len);
    p2p__wipe(block, sizeof block);
    return len;
}

void p2p__xsalsa20_xor(struct p2p__xsalsa20 *self, const uint8_t *in, size_t in_len, uint8_t *out)
{
    size_t done = finish_block(self, in, in_len, out);
    self->at += done;
    if (done == in_len)
        return;
    (void)crypto_stream_salsa20_xor_ic(out + done, in + done, in_len - done, self->nonce,
                                       self->at / BLOCK, self->key);
    self->at += in_len - done;
}

void p2p__salsa20_stream(const uint8_t key[P2P__SALSA20_KEY_LEN],
                         const uint8_t nonce[P2P__SALSA20_NONCE_LEN], uint8_t *out, size_t out_len)
{
    (void)p2p__crypto_lib();
    (void)crypto_stream_salsa20(out, out_len, nonce, key);
}

int p2p__shake128(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    EVP_MD *shake = EVP_MD_fetch(NULL, "SHAKE128", NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = shake && ctx && EVP_DigestInit_ex2(ctx, shake, NULL) == 1 &&
             EVP_DigestUpdate(ctx, in, in_len) == 1 && EVP_DigestFinalXOF(ctx, out, out_len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(shake);
    return ok ? 0 : P2P_ENOTSUP;
}
