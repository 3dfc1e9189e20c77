#include "crypto/pkey.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/hash.h"
#include "crypto/lib.h"
#include "crypto/signer.h"

EVP_PKEY *p2p__pkey_private(int type, const uint8_t *der, size_t der_len)
{
    const uint8_t *at = der;
    ERR_set_mark();
    EVP_PKEY *key = der_len <= LONG_MAX ? d2i_PrivateKey(type, NULL, &at, (long)der_len) : NULL;
    ERR_pop_to_mark();
    if (key && at != der + der_len) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

EVP_PKEY *p2p__pkey_rsa(const uint8_t *der, size_t der_len)
{
    const uint8_t *at = der;
    ERR_set_mark();
    EVP_PKEY *key =
        der_len <= LONG_MAX ? d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)der_len) : NULL;
    ERR_pop_to_mark();
    if (key && at != der + der_len) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

EVP_PKEY *p2p__pkey_p256(const uint8_t *point, size_t point_len)
{
    const EVP_PKEY *pattern = p2p__crypto_lib()->p256;
    ERR_set_mark();
    EVP_PKEY *key = pattern ? EVP_PKEY_new() : NULL;
    bool ok = key && EVP_PKEY_copy_parameters(key, pattern) == 1 &&
              EVP_PKEY_set1_encoded_public_key(key, point, point_len) == 1;
    ERR_pop_to_mark();
    if (!ok) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static bool options_set(EVP_PKEY_CTX *ctx, int padding)
{
    return (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1) &&
           EVP_PKEY_CTX_set_signature_md(ctx, p2p__crypto_lib()->sha256) == 1;
}

int p2p__pkey_sign(EVP_PKEY *key, int padding, const struct p2p__const_iov *msg, size_t msg_count,
                   uint8_t *sig, size_t *sig_len)
{
    uint8_t digest[P2P__HASH_LEN];
    p2p__sha256_iov(msg, msg_count, digest);
    *sig_len = P2P__SIG_MAX;
    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 && options_set(ctx, padding) &&
              EVP_PKEY_sign(ctx, sig, sig_len, digest, sizeof digest) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();
    return ok ? P2P_OK : P2P_EINTERNAL;
}

int p2p__pkey_verify(EVP_PKEY *key, int padding, const struct p2p__const_iov *msg, size_t msg_count,
                     const uint8_t *sig, size_t sig_len)
{
    uint8_t digest[P2P__HASH_LEN];
    p2p__sha256_iov(msg, msg_count, digest);
    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ready = ctx && EVP_PKEY_verify_init(ctx) == 1 && options_set(ctx, padding);
    bool ok = ready && EVP_PKEY_verify(ctx, sig, sig_len, digest, sizeof digest) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();
    if (!ready) {
        return P2P_ENOMEM;
    }
    return ok ? P2P_OK : P2P_ESIG;
}

int p2p__pkey_export(EVP_PKEY *key, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t *der = NULL;
    ERR_set_mark();
    int der_len = key ? i2d_PrivateKey(key, &der) : -1;
    ERR_pop_to_mark();
    EVP_PKEY_free(key);
    int code = P2P_EINTERNAL;
    if (der_len > 0 && (size_t)der_len <= cap) {
        memcpy(out, der, (size_t)der_len);
        *len = (size_t)der_len;
        code = P2P_OK;
    }
    if (der_len > 0) {
        OPENSSL_clear_free(der, (size_t)der_len);
    }
    return code;
}
