/* ECDSA over P-256 by libcrypto: SHA-256 of the message, signatures in DER. The public key is PKIX,
 * the private key is SEC1 with parameters and public half (as go-libp2p writes them, and as the
 * specs' test vectors have it), so with one curve and no compressed points both are a fixed frame
 * around the numbers. */
#include <string.h>

#include <p2p/error.h>

#include "crypto/lib.h"
#include "crypto/pkey.h"
#include "crypto/signer.h"

enum {
    SCALAR_LEN = 32,
    POINT_LEN = 65,
    PUBLIC_HEAD_LEN = 26,
    PUBLIC_LEN = PUBLIC_HEAD_LEN + POINT_LEN,
    PRIVATE_HEAD_LEN = 7,
    PRIVATE_MIDDLE_LEN = 17,
    PRIVATE_LEN = PRIVATE_HEAD_LEN + SCALAR_LEN + PRIVATE_MIDDLE_LEN + POINT_LEN,
};

/* RFC 5480: SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING, 04 = uncompressed */
static const uint8_t PUBLIC_HEAD[PUBLIC_HEAD_LEN + 1] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
};

/* RFC 5915: SEQUENCE { version 1, OCTET STRING of 32 */
static const uint8_t PRIVATE_HEAD[PRIVATE_HEAD_LEN] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20};

/* [0] { prime256v1 }, [1] { BIT STRING, 04 */
static const uint8_t PRIVATE_MIDDLE[PRIVATE_MIDDLE_LEN + 1] = {
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00, 0x04,
};

static bool private_framed(const uint8_t *priv, size_t priv_len)
{
    return priv_len == PRIVATE_LEN && memcmp(priv, PRIVATE_HEAD, sizeof PRIVATE_HEAD) == 0 &&
           memcmp(priv + PRIVATE_HEAD_LEN + SCALAR_LEN, PRIVATE_MIDDLE, sizeof PRIVATE_MIDDLE) == 0;
}

static int ecdsa_generate(uint8_t *priv, size_t *priv_len)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    int code = p2p__pkey_export(key, priv, P2P__PRIVATE_DATA_MAX, priv_len);
    if (code == P2P_OK && !private_framed(priv, *priv_len)) {
        return P2P_EINTERNAL;
    }
    return code;
}

static int ecdsa_public_of(const uint8_t *priv, size_t priv_len, uint8_t *pub, size_t *pub_len)
{
    if (!private_framed(priv, priv_len)) {
        return P2P_EKEY;
    }
    EVP_PKEY *key = p2p__pkey_private(EVP_PKEY_EC, priv, priv_len);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool ok = ctx && EVP_PKEY_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!ok) {
        return P2P_EKEY;
    }
    memcpy(pub, PUBLIC_HEAD, PUBLIC_HEAD_LEN);
    memcpy(pub + PUBLIC_HEAD_LEN, priv + PRIVATE_LEN - POINT_LEN, POINT_LEN);
    *pub_len = PUBLIC_LEN;
    return P2P_OK;
}

static EVP_PKEY *public_parse(const uint8_t *pub, size_t pub_len)
{
    if (pub_len != PUBLIC_LEN || memcmp(pub, PUBLIC_HEAD, sizeof PUBLIC_HEAD) != 0) {
        return NULL;
    }
    return p2p__pkey_p256(pub + PUBLIC_HEAD_LEN, POINT_LEN);
}

static int ecdsa_public_check(const uint8_t *pub, size_t pub_len)
{
    EVP_PKEY *key = public_parse(pub, pub_len);
    EVP_PKEY_free(key);
    return key ? P2P_OK : P2P_EKEY;
}

static int ecdsa_sign(const uint8_t *priv, size_t priv_len, const struct p2p__const_iov *msg,
                      size_t msg_count, uint8_t *sig, size_t *sig_len)
{
    EVP_PKEY *key = p2p__pkey_private(EVP_PKEY_EC, priv, priv_len);
    if (!key) {
        return P2P_EINTERNAL;
    }
    int code = p2p__pkey_sign(key, 0, msg, msg_count, sig, sig_len);
    EVP_PKEY_free(key);
    return code;
}

static int ecdsa_verify(const uint8_t *pub, size_t pub_len, const struct p2p__const_iov *msg,
                        size_t msg_count, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *key = public_parse(pub, pub_len);
    if (!key) {
        return P2P_EKEY;
    }
    int code = p2p__pkey_verify(key, 0, msg, msg_count, sig, sig_len);
    EVP_PKEY_free(key);
    return code;
}

const struct p2p__signer p2p__signer_ecdsa = {
    .name = "ecdsa",
    .generate = ecdsa_generate,
    .public_of = ecdsa_public_of,
    .public_check = ecdsa_public_check,
    .sign = ecdsa_sign,
    .verify = ecdsa_verify,
};
