/* Certificates as web servers have them, made on the spot: an authority, and what it signs. PEM. */
#ifndef P2P_TESTS_WEB_CERTS_H
#define P2P_TESTS_WEB_CERTS_H

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "layer/layer.h"

enum {
    WEB_NOW_S = 1795000000, /* 18 November 2026 */
    WEB_DAY_S = 24 * 60 * 60,
};

/* All zero but for the names: an honest certificate, P-256, signed by `issuer`, valid a month
 * around WEB_NOW_S. */
struct web_recipe {
    const char *names;       /* subjectAltName as OpenSSL writes it: "DNS:a.example,IP:127.0.0.1" */
    const char *common_name; /* "test" */
    const char *kind;        /* "EC" (default), "RSA", "ED25519", "ED448" */
    const char *curve;       /* "P-256" */
    size_t rsa_bits;         /* 2048 */
    int64_t not_before_s, not_after_s;
    bool authority;    /* may sign others */
    bool client_usage; /* good for clients only */
};

struct web_cert {
    X509 *cert;
    EVP_PKEY *key;
    char *pem, *key_pem;
};

static inline char *web_pem_of(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *out = calloc(1, (size_t)len + 1);
    memcpy(out, bytes, (size_t)len);
    BIO_free(bio);
    return out;
}

static inline void web_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline EVP_PKEY *web_key(const struct web_recipe *recipe)
{
    const char *kind = recipe->kind ? recipe->kind : "EC";
    if (strcmp(kind, "RSA") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", recipe->rsa_bits ? recipe->rsa_bits : 2048);
    if (strcmp(kind, "EC") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", recipe->curve ? recipe->curve : "P-256");
    return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

/* issuer NULL: signed by itself. */
static inline void web_cert_init(struct web_cert *self, const struct web_recipe *recipe,
                                 const struct web_cert *issuer)
{
    int64_t from = recipe->not_before_s ? recipe->not_before_s : WEB_NOW_S - 30 * WEB_DAY_S;
    int64_t to = recipe->not_after_s ? recipe->not_after_s : WEB_NOW_S + 30 * WEB_DAY_S;
    const char *name = recipe->common_name ? recipe->common_name : "test";
    self->key = web_key(recipe);
    self->cert = X509_new();
    assert_non_null(self->key);
    X509 *signer = issuer ? issuer->cert : self->cert;
    EVP_PKEY *key = issuer ? issuer->key : self->key;
    X509_set_version(self->cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(self->cert), (long)(uintptr_t)self >> 4);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(self->cert), (time_t)from));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(self->cert), (time_t)to));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(self->cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(self->cert, X509_get_subject_name(signer));
    X509_set_pubkey(self->cert, self->key);
    if (recipe->authority)
        web_extension(self->cert, signer, NID_basic_constraints, "critical,CA:TRUE");
    if (recipe->names)
        web_extension(self->cert, signer, NID_subject_alt_name, recipe->names);
    if (recipe->client_usage)
        web_extension(self->cert, signer, NID_ext_key_usage, "clientAuth");
    bool bare = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ||
                EVP_PKEY_get_base_id(key) == EVP_PKEY_ED448;
    assert_true(X509_sign(self->cert, key, bare ? NULL : EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, self->cert);
    self->pem = web_pem_of(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, self->key, NULL, NULL, 0, NULL, NULL);
    self->key_pem = web_pem_of(bio);
}

static inline void web_cert_fini(struct web_cert *self)
{
    X509_free(self->cert);
    EVP_PKEY_free(self->key);
    free(self->pem);
    free(self->key_pem);
    *self = (struct web_cert){0};
}

static inline struct web_pem web_pair(const struct web_cert *cert)
{
    return (struct web_pem){cert->pem, strlen(cert->pem), cert->key_pem, strlen(cert->key_pem)};
}

static inline void web_authority(struct web_cert *self, const char *name)
{
    web_cert_init(self, &(struct web_recipe){.authority = true, .common_name = name}, NULL);
}

#endif
