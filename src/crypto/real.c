/* The real primitives: ChaCha20-Poly1305 by libcrypto (RFC 8439), X25519 by libsodium (RFC 7748);
 * each is the fastest of the libraries at hand. */
#include <limits.h>
#include <sodium.h>

#include <p2p/error.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/lib.h"

enum {
    NONCE_LEN = 12,
};

/* One context for each direction, so that the cipher is set up once. */
struct p2p__aead {
    EVP_CIPHER_CTX *seal;
    EVP_CIPHER_CTX *open;
};

static void real_hmac_sha256(const uint8_t *key, size_t key_len, const struct p2p__const_iov *in,
                             size_t in_count, uint8_t out[P2P__HASH_LEN])
{
    p2p__hmac(p2p__sha256_iov, key, key_len, in, in_count, out);
}

static void real_dh_public(const uint8_t secret[P2P__DH_LEN], uint8_t pub[P2P__DH_LEN])
{
    (void)p2p__crypto_lib();
    (void)crypto_scalarmult_base(pub, secret); /* fails for no secret: they are clamped */
}

static int real_dh(const uint8_t secret[P2P__DH_LEN], const uint8_t pub[P2P__DH_LEN],
                   uint8_t shared[P2P__DH_LEN])
{
    (void)p2p__crypto_lib();
    return crypto_scalarmult(shared, secret, pub) == 0 ? P2P_OK : P2P_EHANDSHAKE;
}

static void real_aead_free(struct p2p__aead *aead)
{
    if (aead) {
        EVP_CIPHER_CTX_free(aead->seal);
        EVP_CIPHER_CTX_free(aead->open);
        p2p__free(aead);
    }
}

static struct p2p__aead *real_aead_new(void)
{
    const EVP_CIPHER *cipher = p2p__crypto_lib()->chacha20_poly1305;
    struct p2p__aead *aead = p2p__alloc(sizeof *aead);
    if (!aead || !cipher) {
        p2p__free(aead);
        return NULL;
    }
    aead->seal = EVP_CIPHER_CTX_new();
    aead->open = EVP_CIPHER_CTX_new();
    if (!aead->seal || !aead->open ||
        EVP_EncryptInit_ex2(aead->seal, cipher, NULL, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(aead->open, cipher, NULL, NULL, NULL) != 1) {
        real_aead_free(aead);
        return NULL;
    }
    return aead;
}

static void nonce_encode(uint64_t nonce, uint8_t out[NONCE_LEN])
{
    for (int i = 0; i < 4; i++) {
        out[i] = 0;
    }
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (uint8_t)(nonce >> (8 * i));
    }
}

static int real_seal(struct p2p__aead *aead, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                     const uint8_t *ad, size_t ad_len, const struct p2p__const_iov *in,
                     size_t in_count, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = aead->seal;
    uint8_t iv[NONCE_LEN];
    nonce_encode(nonce, iv);
    int written = 0;
    bool ok = ad_len <= INT_MAX && EVP_EncryptInit_ex2(ctx, NULL, key, iv, NULL) == 1;
    if (ok && ad_len > 0) {
        ok = EVP_EncryptUpdate(ctx, NULL, &written, ad, (int)ad_len) == 1;
    }
    for (size_t i = 0; ok && i < in_count; i++) {
        if (in[i].len == 0) {
            continue;
        }
        ok = in[i].len <= INT_MAX &&
             EVP_EncryptUpdate(ctx, out, &written, in[i].base, (int)in[i].len) == 1;
        out += in[i].len;
    }
    ok = ok && EVP_EncryptFinal_ex(ctx, out, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, P2P__AEAD_TAG_LEN, out) == 1;
    return ok ? P2P_OK : P2P_EINTERNAL;
}

static int real_open(struct p2p__aead *aead, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                     const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t in_len,
                     uint8_t *out)
{
    if (in_len < P2P__AEAD_TAG_LEN) {
        return P2P_EHANDSHAKE;
    }
    EVP_CIPHER_CTX *ctx = aead->open;
    size_t text_len = in_len - P2P__AEAD_TAG_LEN;
    uint8_t iv[NONCE_LEN];
    uint8_t tag[P2P__AEAD_TAG_LEN];
    nonce_encode(nonce, iv);
    for (size_t i = 0; i < sizeof tag; i++) {
        tag[i] = in[text_len + i];
    }
    int written = 0;
    bool ok = ad_len <= INT_MAX && text_len <= INT_MAX &&
              EVP_DecryptInit_ex2(ctx, NULL, key, iv, NULL) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1;
    if (ok && ad_len > 0) {
        ok = EVP_DecryptUpdate(ctx, NULL, &written, ad, (int)ad_len) == 1;
    }
    if (ok && text_len > 0) {
        ok = EVP_DecryptUpdate(ctx, out, &written, in, (int)text_len) == 1;
    }
    uint8_t none[1];
    ok = ok && EVP_DecryptFinal_ex(ctx, none, &written) == 1;
    return ok ? P2P_OK : P2P_EHANDSHAKE;
}

const struct p2p__crypto p2p__crypto_real = {
    .name = "real",
    .sha256 = p2p__sha256_iov,
    .hmac_sha256 = real_hmac_sha256,
    .dh_public = real_dh_public,
    .dh = real_dh,
    .aead_new = real_aead_new,
    .aead_free = real_aead_free,
    .seal = real_seal,
    .open = real_open,
};
