/* ECDSA over secp256k1 by libsecp256k1: SHA-256 of the message, signatures in DER. What we sign has
 * the low S of BIP 62; what others sign may have either. */
#include <secp256k1.h>
#include <sodium.h>

#include <p2p/error.h>

#include "crypto/hash.h"
#include "crypto/lib.h"
#include "crypto/signer.h"

enum {
    SECRET_LEN = 32,
    PUBLIC_LEN = 33, /* compressed; peer ids know no other form */
    GENERATE_TRIES = 16,
};

static int secp256k1_generate(uint8_t *priv, size_t *priv_len)
{
    const secp256k1_context *ctx = p2p__crypto_lib()->secp256k1;
    if (!ctx) {
        return P2P_ENOMEM;
    }
    *priv_len = SECRET_LEN;
    /* All but 2^-128 of the numbers are keys. */
    for (int i = 0; i < GENERATE_TRIES; i++) {
        randombytes_buf(priv, SECRET_LEN);
        if (secp256k1_ec_seckey_verify(ctx, priv) == 1) {
            return P2P_OK;
        }
    }
    return P2P_EINTERNAL;
}

static int secp256k1_public_of(const uint8_t *priv, size_t priv_len, uint8_t *pub, size_t *pub_len)
{
    const secp256k1_context *ctx = p2p__crypto_lib()->secp256k1;
    if (!ctx) {
        return P2P_ENOMEM;
    }
    secp256k1_pubkey point;
    if (priv_len != SECRET_LEN || secp256k1_ec_pubkey_create(ctx, &point, priv) != 1) {
        return P2P_EKEY;
    }
    *pub_len = PUBLIC_LEN;
    (void)secp256k1_ec_pubkey_serialize(ctx, pub, pub_len, &point, SECP256K1_EC_COMPRESSED);
    return P2P_OK;
}

static int public_parse(const secp256k1_context *ctx, const uint8_t *pub, size_t pub_len,
                        secp256k1_pubkey *out)
{
    if (!ctx) {
        return P2P_ENOMEM;
    }
    bool ok = pub_len == PUBLIC_LEN && secp256k1_ec_pubkey_parse(ctx, out, pub, pub_len) == 1;
    return ok ? P2P_OK : P2P_EKEY;
}

static int secp256k1_public_check(const uint8_t *pub, size_t pub_len)
{
    secp256k1_pubkey point;
    return public_parse(p2p__crypto_lib()->secp256k1, pub, pub_len, &point);
}

static int secp256k1_sign(const uint8_t *priv, size_t priv_len, const struct p2p__const_iov *msg,
                          size_t msg_count, uint8_t *sig, size_t *sig_len)
{
    const secp256k1_context *ctx = p2p__crypto_lib()->secp256k1;
    if (!ctx) {
        return P2P_ENOMEM;
    }
    uint8_t digest[P2P__HASH_LEN];
    p2p__sha256_iov(msg, msg_count, digest);
    secp256k1_ecdsa_signature raw;
    if (priv_len != SECRET_LEN || secp256k1_ecdsa_sign(ctx, &raw, digest, priv, NULL, NULL) != 1) {
        return P2P_EKEY;
    }
    *sig_len = P2P__SIG_MAX;
    return secp256k1_ecdsa_signature_serialize_der(ctx, sig, sig_len, &raw) == 1 ? P2P_OK
                                                                                 : P2P_EINTERNAL;
}

static int secp256k1_verify(const uint8_t *pub, size_t pub_len, const struct p2p__const_iov *msg,
                            size_t msg_count, const uint8_t *sig, size_t sig_len)
{
    const secp256k1_context *ctx = p2p__crypto_lib()->secp256k1;
    secp256k1_pubkey point;
    int code = public_parse(ctx, pub, pub_len, &point);
    if (code != P2P_OK) {
        return code;
    }
    secp256k1_ecdsa_signature raw;
    if (sig_len == 0 || secp256k1_ecdsa_signature_parse_der(ctx, &raw, sig, sig_len) != 1) {
        return P2P_ESIG;
    }
    (void)secp256k1_ecdsa_signature_normalize(ctx, &raw, &raw);
    uint8_t digest[P2P__HASH_LEN];
    p2p__sha256_iov(msg, msg_count, digest);
    return secp256k1_ecdsa_verify(ctx, &raw, digest, &point) == 1 ? P2P_OK : P2P_ESIG;
}

const struct p2p__signer p2p__signer_secp256k1 = {
    .name = "secp256k1",
    .generate = secp256k1_generate,
    .public_of = secp256k1_public_of,
    .public_check = secp256k1_public_check,
    .sign = secp256k1_sign,
    .verify = secp256k1_verify,
};
