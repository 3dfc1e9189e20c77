/* RSASSA-PKCS1-v1_5 with SHA-256 by libcrypto. The public key is PKIX, the private key PKCS#1.
 * Sizes are read from the DER and judged before libcrypto sees a key: the work of a verification
 * grows with the square of the modulus and the length of the exponent, and a peer chooses both. */
#include <openssl/rsa.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/der.h"
#include "crypto/lib.h"
#include "crypto/pkey.h"
#include "crypto/signer.h"

enum {
    MODULUS_BITS_MIN = 2048, /* shorter ones are within reach of factoring */
    MODULUS_BITS_MAX = 4096,
    EXPONENT_BITS_MAX = 32, /* odd and at most 2^32; in practice it is 65537 */
    GENERATE_BITS = 2048,   /* as go-libp2p */
    PRIVATE_NUMBERS = 8,    /* n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p */
};

/* RFC 3279: SEQUENCE { rsaEncryption, NULL } */
static const uint8_t ALGORITHM[15] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                      0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

/* n and e at the head of `in`, as magnitudes and as whole elements. */
static bool numbers_judge(struct p2p__der *in, struct p2p__der *n_whole, struct p2p__der *e_whole)
{
    struct p2p__der n;
    struct p2p__der e;
    if (!p2p__der_positive(in, &n, n_whole) || !p2p__der_positive(in, &e, e_whole)) {
        return false;
    }
    size_t n_bits = p2p__der_bits(&n);
    size_t e_bits = p2p__der_bits(&e);
    bool n_odd = n.at[n.left - 1] & 1;
    bool e_odd = e.at[e.left - 1] & 1;
    return n_bits >= MODULUS_BITS_MIN && n_bits <= MODULUS_BITS_MAX && n_odd && e_bits > 1 &&
           e_bits <= EXPONENT_BITS_MAX && e_odd;
}

/* The PKCS#1 key in a PKIX one, if it is within the limits. */
static bool public_parse(const uint8_t *pub, size_t pub_len, struct p2p__der *pkcs1)
{
    struct p2p__der in = {pub, pub_len};
    struct p2p__der outer;
    struct p2p__der bits;
    struct p2p__der numbers;
    struct p2p__der n;
    struct p2p__der e;
    if (pub_len > P2P__PUBLIC_DATA_MAX || !p2p__der_next(&in, P2P__DER_SEQUENCE, &outer, NULL) ||
        in.left != 0 || outer.left < sizeof ALGORITHM ||
        memcmp(outer.at, ALGORITHM, sizeof ALGORITHM) != 0) {
        return false;
    }
    outer.at += sizeof ALGORITHM;
    outer.left -= sizeof ALGORITHM;
    if (!p2p__der_next(&outer, P2P__DER_BIT_STRING, &bits, NULL) || outer.left != 0 ||
        bits.left < 1 || bits.at[0] != 0) {
        return false;
    }
    bits.at++;
    bits.left--;
    return p2p__der_next(&bits, P2P__DER_SEQUENCE, &numbers, pkcs1) && bits.left == 0 &&
           numbers_judge(&numbers, &n, &e) && numbers.left == 0;
}

static int rsa_public_check(const uint8_t *pub, size_t pub_len)
{
    struct p2p__der pkcs1;
    return public_parse(pub, pub_len, &pkcs1) ? P2P_OK : P2P_EKEY;
}

/* SEQUENCE { 0, the numbers } and nothing else; n and e are judged. */
static bool private_parse(const uint8_t *priv, size_t priv_len, struct p2p__der *n,
                          struct p2p__der *e)
{
    struct p2p__der in = {priv, priv_len};
    struct p2p__der body;
    struct p2p__der version;
    if (priv_len > P2P__PRIVATE_DATA_MAX || !p2p__der_next(&in, P2P__DER_SEQUENCE, &body, NULL) ||
        in.left != 0 || !p2p__der_next(&body, P2P__DER_INTEGER, &version, NULL) ||
        version.left != 1 || version.at[0] != 0 || !numbers_judge(&body, n, e)) {
        return false;
    }
    for (int i = 2; i < PRIVATE_NUMBERS; i++) {
        struct p2p__der number;
        if (!p2p__der_positive(&body, &number, NULL)) {
            return false;
        }
    }
    return body.left == 0;
}

static size_t public_build(const struct p2p__der *n, const struct p2p__der *e, uint8_t *out)
{
    uint8_t head[P2P__DER_HEADER_MAX];
    size_t numbers_len = n->left + e->left;
    size_t bits_len = 1 + p2p__der_header(P2P__DER_SEQUENCE, numbers_len, head) + numbers_len;
    size_t body_len =
        sizeof ALGORITHM + p2p__der_header(P2P__DER_BIT_STRING, bits_len, head) + bits_len;
    size_t at = p2p__der_header(P2P__DER_SEQUENCE, body_len, out);
    memcpy(out + at, ALGORITHM, sizeof ALGORITHM);
    at += sizeof ALGORITHM;
    at += p2p__der_header(P2P__DER_BIT_STRING, bits_len, out + at);
    out[at++] = 0; /* no unused bits */
    at += p2p__der_header(P2P__DER_SEQUENCE, numbers_len, out + at);
    memcpy(out + at, n->at, n->left);
    at += n->left;
    memcpy(out + at, e->at, e->left);
    return at + e->left;
}

static int rsa_generate(uint8_t *priv, size_t *priv_len)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)GENERATE_BITS);
    return p2p__pkey_export(key, priv, P2P__PRIVATE_DATA_MAX, priv_len);
}

static int rsa_sign(const uint8_t *priv, size_t priv_len, const struct p2p__const_iov *msg,
                    size_t msg_count, uint8_t *sig, size_t *sig_len)
{
    EVP_PKEY *key = p2p__pkey_private(EVP_PKEY_RSA, priv, priv_len);
    if (!key) {
        return P2P_EINTERNAL;
    }
    int code = p2p__pkey_sign(key, RSA_PKCS1_PADDING, msg, msg_count, sig, sig_len);
    EVP_PKEY_free(key);
    return code;
}

static int rsa_verify(const uint8_t *pub, size_t pub_len, const struct p2p__const_iov *msg,
                      size_t msg_count, const uint8_t *sig, size_t sig_len)
{
    struct p2p__der pkcs1;
    if (!public_parse(pub, pub_len, &pkcs1)) {
        return P2P_EKEY;
    }
    EVP_PKEY *key = p2p__pkey_rsa(pkcs1.at, pkcs1.left);
    if (!key) {
        return P2P_ENOMEM; /* nothing else is left to be wrong */
    }
    int code = p2p__pkey_verify(key, RSA_PKCS1_PADDING, msg, msg_count, sig, sig_len);
    EVP_PKEY_free(key);
    return code;
}

/* That the numbers belong together is shown by a signature that verifies; proving them prime would
 * take a second for what only its owner could have got wrong. */
static int rsa_public_of(const uint8_t *priv, size_t priv_len, uint8_t *pub, size_t *pub_len)
{
    struct p2p__der n;
    struct p2p__der e;
    if (!private_parse(priv, priv_len, &n, &e)) {
        return P2P_EKEY;
    }
    *pub_len = public_build(&n, &e, pub);
    static const uint8_t TRIAL[] = "a signature to try the key";
    struct p2p__const_iov msg = {TRIAL, sizeof TRIAL};
    uint8_t sig[P2P__SIG_MAX];
    size_t sig_len = 0;
    bool ok = rsa_sign(priv, priv_len, &msg, 1, sig, &sig_len) == P2P_OK &&
              rsa_verify(pub, *pub_len, &msg, 1, sig, sig_len) == P2P_OK;
    return ok ? P2P_OK : P2P_EKEY;
}

const struct p2p__signer p2p__signer_rsa = {
    .name = "rsa",
    .generate = rsa_generate,
    .public_of = rsa_public_of,
    .public_check = rsa_public_check,
    .sign = rsa_sign,
    .verify = rsa_verify,
};
