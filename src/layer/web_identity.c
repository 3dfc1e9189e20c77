/* The certificates that a host serves to the web, and the roots it trusts, out of PEM. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <p2p/error.h>

#include "layer/web_tls.h"

enum {
    ROOTS_MAX = 1024, /* systems have about 150 */
};

struct failure {
    int code;
    const char *sentence;
};

static const struct failure OK = {0, NULL};
static const struct failure NO_MEMORY = {P2P_ENOMEM, "its certificates do not fit into memory"};

static struct failure unusable(const char *sentence)
{
    return (struct failure){P2P_EKEY, sentence};
}

static BIO *reader(const char *pem, size_t len)
{
    static const size_t max = 1 << 30;
    return BIO_new_mem_buf(len ? pem : "", (int)(len < max ? len : max));
}

static void identity_free(struct web_identity *self)
{
    X509_free(self->leaf);
    sk_X509_pop_free(self->chain, X509_free);
    EVP_PKEY_free(self->key);
    *self = (struct web_identity){0};
}

/* ---- certificates ---- */

/* Adds all there are, up to max. What lies between them is skipped, as everybody does. */
static struct failure read_certs(const char *pem, size_t len, int max, STACK_OF(X509) * out)
{
    BIO *bio = reader(pem, len);
    struct failure failure = bio ? OK : NO_MEMORY;
    X509 *cert = NULL;
    while (failure.code == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (sk_X509_num(out) == max)
            failure = unusable("its certificates are too many");
        else if (sk_X509_push(out, cert) > 0)
            continue;
        else
            failure = NO_MEMORY;
        X509_free(cert);
    }
    BIO_free(bio);
    if (failure.code)
        return failure;
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return unusable("its certificate is malformed");
    return sk_X509_num(out) ? OK : unusable("its text holds no certificate in PEM");
}

/* ---- the key ---- */

/* Without this OpenSSL would ask whoever sits at the terminal. */
static int no_password(char *out, int cap, int writing, void *asked)
{
    (void)out;
    (void)cap;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool names_a_key(const char *pem, size_t len)
{
    static const char label[] = "PRIVATE KEY-----";
    size_t label_len = sizeof label - 1;
    for (size_t i = 0; i + label_len <= len; i++)
        if (memcmp(pem + i, label, label_len) == 0)
            return true;
    return false;
}

static struct failure read_key(const char *pem, size_t len, EVP_PKEY **out)
{
    bool encrypted = false;
    BIO *bio = reader(pem, len);
    if (!bio)
        return NO_MEMORY;
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
    BIO_free(bio);
    if (*out)
        return OK;
    if (encrypted)
        return unusable("its private key is encrypted");
    return unusable(names_a_key(pem, len) ? "its private key is malformed"
                                          : "its text holds no private key in PEM");
}

/* Whether TLS 1.3 has a signature for it, and not one that clients would laugh at. */
static bool key_serves(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return EVP_PKEY_get_bits(key) >= 2048;
    case EVP_PKEY_EC:
        return EVP_PKEY_get_bits(key) == 256 || EVP_PKEY_get_bits(key) == 384 ||
               EVP_PKEY_get_bits(key) == 521;
    case EVP_PKEY_ED25519:
        return true;
    default:
        return false;
    }
}

static struct failure identity_read(struct web_identity *self, const struct web_pem *pem, bool *key)
{
    self->chain = sk_X509_new_null();
    if (!self->chain)
        return NO_MEMORY;
    struct failure failure = read_certs(pem->chain, pem->chain_len, WEB_CHAIN_MAX, self->chain);
    if (failure.code)
        return failure;
    self->leaf = sk_X509_shift(self->chain);
    *key = true;
    failure = read_key(pem->key, pem->key_len, &self->key);
    if (failure.code)
        return failure;
    if (X509_check_private_key(self->leaf, self->key) != 1)
        return unusable("its private key is not the certificate's");
    return key_serves(self->key) ? OK : unusable("its kind of key is not good for TLS 1.3");
}

/* ---- what others call ---- */

int p2p__web_serve(struct p2p__web *self, const struct web_pem *pairs, size_t count,
                   struct web_fault *fault)
{
    struct web_identity fresh[WEB_IDENTITIES_MAX] = {0};
    struct failure failure = OK;
    ERR_set_mark();
    for (size_t i = 0; i < count && failure.code == 0; i++) {
        *fault = (struct web_fault){.pair = i};
        failure = identity_read(&fresh[i], &pairs[i], &fault->key);
    }
    ERR_pop_to_mark();
    for (size_t i = 0; i < WEB_IDENTITIES_MAX; i++)
        identity_free(failure.code ? &fresh[i] : &self->identities[i]);
    fault->sentence = failure.sentence;
    if (failure.code)
        return failure.code;
    memcpy(self->identities, fresh, sizeof fresh);
    self->identity_count = count;
    return 0;
}

bool p2p__web_serves(const struct p2p__web *self)
{
    return self->identity_count > 0;
}

int p2p__web_trust(struct p2p__web *self, const char *pem, size_t pem_len, const char **error)
{
    STACK_OF(X509) *roots = sk_X509_new_null();
    ERR_set_mark();
    struct failure failure = roots ? read_certs(pem, pem_len, ROOTS_MAX, roots) : NO_MEMORY;
    ERR_pop_to_mark();
    *error = failure.sentence;
    if (failure.code) {
        sk_X509_pop_free(roots, X509_free);
        return failure.code;
    }
    sk_X509_pop_free(self->roots, X509_free);
    self->roots = roots;
    p2p__web_forget_client(self);
    return 0;
}

void p2p__web_identities_free(struct p2p__web *self)
{
    for (size_t i = 0; i < WEB_IDENTITIES_MAX; i++)
        identity_free(&self->identities[i]);
    self->identity_count = 0;
    sk_X509_pop_free(self->roots, X509_free);
    self->roots = NULL;
}
