#include "crypto/pem.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "crypto/lib.h"
#include "crypto/pkey.h"
#include "crypto/signer.h"

/* Without one, libcrypto would ask for a pass phrase on the terminal. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *user)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)user;
    return -1;
}

static EVP_PKEY *pem_read(const uint8_t *text, size_t text_len)
{
    if (text_len > INT_MAX) {
        return NULL;
    }
    ERR_set_mark();
    BIO *bio = BIO_new_mem_buf(text, (int)text_len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
    BIO_free(bio);
    ERR_pop_to_mark();
    return key;
}

static int ed25519_take(EVP_PKEY *key, uint8_t *priv, size_t *priv_len)
{
    size_t seed_len = P2P__ED25519_SEED_LEN;
    size_t pub_len = P2P__ED25519_PUBLIC_LEN;
    bool ok = EVP_PKEY_get_raw_private_key(key, priv, &seed_len) == 1 &&
              EVP_PKEY_get_raw_public_key(key, priv + P2P__ED25519_SEED_LEN, &pub_len) == 1 &&
              seed_len == P2P__ED25519_SEED_LEN && pub_len == P2P__ED25519_PUBLIC_LEN;
    *priv_len = P2P__ED25519_PRIVATE_LEN;
    EVP_PKEY_free(key);
    return ok ? P2P_KEY_ED25519 : P2P_EKEY;
}

static int secp256k1_take(EVP_PKEY *key, uint8_t *priv, size_t *priv_len)
{
    BIGNUM *secret = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret) == 1 &&
              BN_bn2binpad(secret, priv, 32) == 32;
    *priv_len = 32;
    BN_clear_free(secret);
    EVP_PKEY_free(key);
    return ok ? P2P_KEY_SECP256K1 : P2P_EKEY;
}

static int exported(EVP_PKEY *key, int type, uint8_t *priv, size_t *priv_len)
{
    int code = p2p__pkey_export(key, priv, P2P__PRIVATE_DATA_MAX, priv_len);
    return code == P2P_OK ? type : P2P_EKEY;
}

int p2p__pem_decode(const uint8_t *text, size_t text_len, uint8_t *priv, size_t *priv_len)
{
    (void)p2p__crypto_lib();
    EVP_PKEY *key = pem_read(text, text_len);
    if (!key) {
        return P2P_EKEY;
    }
    if (EVP_PKEY_is_a(key, "ED25519")) {
        return ed25519_take(key, priv, priv_len);
    }
    if (EVP_PKEY_is_a(key, "RSA")) {
        return exported(key, P2P_KEY_RSA, priv, priv_len);
    }
    char group[32] = "";
    if (EVP_PKEY_is_a(key, "EC")) {
        (void)EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    }
    if (strcmp(group, "prime256v1") == 0) {
        return exported(key, P2P_KEY_ECDSA, priv, priv_len);
    }
    if (strcmp(group, "secp256k1") == 0) {
        return secp256k1_take(key, priv, priv_len);
    }
    EVP_PKEY_free(key);
    return P2P_ENOTSUP;
}
