/* Certificates of every kind, good and bad, for the tests. */
#ifndef P2P_LAYER_TLS_FORGE_H
#define P2P_LAYER_TLS_FORGE_H

#include <string.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/key.h"
#include "crypto/der.h"
#include "layer/tls_cert.h"
#include "layer/tls_cert_oid.h"

enum {
    FORGED_MAX = 8192,
    NOW_S = 1795000000, /* 18 November 2026 */
};

/* What differs from an honest certificate. All zero: nothing. */
struct recipe {
    const char *kind;            /* "EC" (default), "RSA", "ED25519" */
    const char *curve;           /* "P-256" */
    int rsa_bits;                /* 2048 */
    const EVP_MD *(*hash)(void); /* EVP_sha256 */
    bool pss, legacy_version;
    const char *not_before, *not_after; /* ASN.1's text */
    bool no_extension, empty_extension, twice, critical, trailing;
    bool wrong_spki, no_prefix, wrong_signer;
    const char *other_oid; /* one more extension */
    bool other_critical;
    int key_usage;       /* bits, as a critical extension; 0: none */
    bool large_exponent; /* RSA, 2^32 + 1 */
    int unique_id;       /* 1: issuerUniqueId, 2: subjectUniqueId */
    bool explicit_curve; /* its parameters in place of its name */
    bool trailing_inside;
};

struct forged {
    uint8_t der[FORGED_MAX];
    size_t len;
    EVP_PKEY *key;
};

static inline p2p_key *key_of(uint8_t number)
{
    uint8_t seed[P2P__ED25519_SEED_LEN] = {number};
    p2p_key *key;
    assert_int_equal(p2p__key_from_seed(seed, &key), 0);
    return key;
}

static inline void add_raw(X509 *cert, const char *oid, bool critical, const uint8_t *value,
                           size_t len)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(octets, value, (int)len);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, critical, octets);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(object);
}

static inline size_t forge_signed_key(const struct recipe *recipe, const p2p_key *host_key,
                                      EVP_PKEY *key, uint8_t *out)
{
    uint8_t sig[P2P_KEY_SIG_MAX], body[2 * FORGED_MAX];
    unsigned char *spki = NULL;
    size_t spki_len = (size_t)i2d_PUBKEY(key, &spki), pub_len, len = 0;
    if (recipe->wrong_spki)
        spki[spki_len - 1] ^= 1;
    const struct p2p__const_iov msg[] = {
        {(const uint8_t *)TLS_SIGNED_PREFIX, recipe->no_prefix ? 0 : sizeof TLS_SIGNED_PREFIX - 1},
        {spki, spki_len}};
    int sig_len = p2p__key_sign(host_key, msg, 2, sig);
    assert_true(sig_len > 0);
    OPENSSL_free(spki);
    const uint8_t *pub = p2p_key_public(host_key, &pub_len);
    len += p2p__der_header(TLS_DER_OCTETS, pub_len, body);
    memcpy(body + len, pub, pub_len);
    len += pub_len;
    len += p2p__der_header(TLS_DER_OCTETS, (size_t)sig_len, body + len);
    memcpy(body + len, sig, (size_t)sig_len);
    len += (size_t)sig_len;
    if (recipe->trailing_inside)
        len += p2p__der_header(TLS_DER_OCTETS, 0, body + len);
    size_t header = p2p__der_header(P2P__DER_SEQUENCE, len, out);
    memcpy(out + header, body, len);
    return header + len;
}

static inline EVP_PKEY *forge_rsa(int bits, bool large_exponent)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    EVP_PKEY *key = NULL;
    BIGNUM *exponent = BN_new();
    BN_set_word(exponent, large_exponent ? 1 : 65537);
    if (large_exponent)
        BN_set_bit(exponent, 32);
    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits ? bits : 2048);
    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    BN_free(exponent);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static inline EVP_PKEY *forge_key(const struct recipe *recipe)
{
    if (recipe->kind && strcmp(recipe->kind, "RSA") == 0)
        return forge_rsa(recipe->rsa_bits, recipe->large_exponent);
    if (recipe->kind && strcmp(recipe->kind, "ED25519") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", recipe->curve ? recipe->curve : "P-256");
    if (recipe->explicit_curve)
        assert_int_equal(EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit"), 1);
    return key;
}

static inline void forge_sign(const struct recipe *recipe, X509 *cert, EVP_PKEY *key)
{
    const EVP_MD *hash = recipe->hash ? recipe->hash() : EVP_sha256();
    if (recipe->kind && strcmp(recipe->kind, "ED25519") == 0)
        hash = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    assert_int_equal(EVP_DigestSignInit(ctx, &options, hash, NULL, key), 1);
    if (recipe->pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_true(X509_sign_ctx(cert, ctx) > 0);
    EVP_MD_CTX_free(ctx);
}

static inline void forge_extensions(const struct recipe *recipe, const p2p_key *host_key,
                                    EVP_PKEY *key, X509 *cert)
{
    uint8_t value[2 * FORGED_MAX] = {0};
    size_t len = 0;
    if (!recipe->empty_extension)
        len = forge_signed_key(recipe, host_key, key, value) + recipe->trailing;
    for (int i = 0; i < 1 + recipe->twice; i++)
        if (!recipe->no_extension)
            add_raw(cert, TLS_EXTENSION_OID, recipe->critical, value, len);
    if (recipe->other_oid)
        add_raw(cert, recipe->other_oid, recipe->other_critical, (const uint8_t *)"\x05\x00", 2);
    if (recipe->key_usage) {
        const uint8_t usage[] = {3, 2, 0, (uint8_t)recipe->key_usage};
        add_raw(cert, "2.5.29.15", true, usage, sizeof usage);
    }
}

static inline size_t forge_element(uint8_t tag, const uint8_t *body, size_t len, uint8_t *out)
{
    size_t header = p2p__der_header(tag, len, out);
    memcpy(out + header, body, len);
    return header + len;
}

/* Puts a unique id before the extensions, which come last, and signs again: OpenSSL has no function
 * for what nobody should use. ECDSA with SHA-256. */
static inline void forge_unique_id(int which, struct forged *self)
{
    struct p2p__der in = {self->der, self->len}, cert, tbs, algorithm, sig, field, extensions;
    uint8_t body[FORGED_MAX], signed_part[FORGED_MAX], bits[256] = {0};
    size_t len = 0, sig_len = sizeof bits - 1;
    p2p__der_next(&in, P2P__DER_SEQUENCE, &cert, NULL);
    p2p__der_next(&cert, P2P__DER_SEQUENCE, &tbs, NULL);
    p2p__der_next(&cert, P2P__DER_SEQUENCE, &field, &algorithm);
    p2p__der_next(&cert, P2P__DER_BIT_STRING, &sig, NULL);
    struct p2p__der at = tbs;
    while (at.left && at.at[0] != 0xa3)
        p2p__der_next(&at, at.at[0], &field, &extensions);
    size_t before = tbs.left - at.left;
    memcpy(body, tbs.at, before);
    memcpy(body + before, (const uint8_t[]){(uint8_t)(0x80 + which), 2, 0, 0xff}, 4);
    memcpy(body + before + 4, at.at, at.left);
    len = forge_element(P2P__DER_SEQUENCE, body, tbs.left + 4, signed_part);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, self->key);
    assert_int_equal(EVP_DigestSign(ctx, bits + 1, &sig_len, signed_part, len), 1);
    EVP_MD_CTX_free(ctx);
    memcpy(body, signed_part, len);
    memcpy(body + len, algorithm.at, algorithm.left);
    len += algorithm.left;
    len += forge_element(P2P__DER_BIT_STRING, bits, sig_len + 1, body + len);
    self->len = forge_element(P2P__DER_SEQUENCE, body, len, self->der);
}

static inline void forge(const struct recipe *recipe, const p2p_key *host_key, struct forged *out)
{
    X509 *cert = X509_new();
    out->key = forge_key(recipe);
    assert_non_null(out->key);
    X509_set_version(cert, recipe->legacy_version ? X509_VERSION_1 : X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    ASN1_TIME_set_string(X509_getm_notBefore(cert),
                         recipe->not_before ? recipe->not_before : "19750101130000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(cert),
                         recipe->not_after ? recipe->not_after : "40960101130000Z");
    X509_set_pubkey(cert, out->key);
    forge_extensions(recipe, host_key, out->key, cert);
    EVP_PKEY *other = recipe->wrong_signer ? forge_key(recipe) : NULL;
    forge_sign(recipe, cert, other ? other : out->key);
    EVP_PKEY_free(other);
    uint8_t *at = out->der;
    assert_true(i2d_X509(cert, NULL) <= FORGED_MAX);
    out->len = (size_t)i2d_X509(cert, &at);
    X509_free(cert);
    if (recipe->unique_id)
        forge_unique_id(recipe->unique_id, out);
}

static inline void forged_free(struct forged *self)
{
    EVP_PKEY_free(self->key);
}

#endif
