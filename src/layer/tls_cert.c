/* Makes a host's certificate. */
#include "layer/tls_cert.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include <p2p/error.h>

#include "codec/key.h"
#include "crypto/der.h"
#include "layer/tls_cert_oid.h"
#include "layer/tls_time.h"

enum {
    BACKDATE_S = 3600,
    VALID_DAYS = 36525, /* a hundred years, as go-libp2p */
    DAY_S = 86400,
    SIGNED_KEY_MAX = P2P_KEY_PUBLIC_MAX + P2P_KEY_SIG_MAX + 3 * P2P__DER_HEADER_MAX,
};

static size_t element(uint8_t tag, const uint8_t *body, size_t body_len, uint8_t *out)
{
    size_t header = p2p__der_header(tag, body_len, out);
    memcpy(out + header, body, body_len);
    return header + body_len;
}

/* SignedKey (spec, libp2p Public Key Extension): both OCTET STRINGs in a SEQUENCE. */
static int signed_key(const p2p_key *host_key, const uint8_t *spki, size_t spki_len, uint8_t *out)
{
    const struct p2p__const_iov msg[] = {
        {(const uint8_t *)TLS_SIGNED_PREFIX, sizeof TLS_SIGNED_PREFIX - 1}, {spki, spki_len}};
    uint8_t sig[P2P_KEY_SIG_MAX], body[SIGNED_KEY_MAX];
    int sig_len = p2p__key_sign(host_key, msg, 2, sig);
    if (sig_len < 0)
        return sig_len;
    size_t pub_len;
    const uint8_t *pub = p2p_key_public(host_key, &pub_len);
    size_t len = element(TLS_DER_OCTETS, pub, pub_len, body);
    len += element(TLS_DER_OCTETS, sig, (size_t)sig_len, body + len);
    return (int)element(P2P__DER_SEQUENCE, body, len, out);
}

static bool add_extension(X509 *cert, const uint8_t *value, int value_len)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(TLS_EXTENSION_OID, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = oid && octets && ASN1_OCTET_STRING_set(octets, value, value_len) == 1 &&
              (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, octets)) &&
              X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return ok;
}

/* Names and serial number mean nothing to libp2p; X.509 wants them to be there. */
static bool set_names(X509 *cert)
{
    uint64_t serial = 0;
    X509_NAME *name = X509_get_subject_name(cert);
    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) == 1 &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"libp2p", -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1;
}

static bool set_validity(X509 *cert, int64_t wall_s, struct tls_cert *out)
{
    out->not_before_s = wall_s - BACKDATE_S;
    out->not_after_s = out->not_before_s + (int64_t)VALID_DAYS * DAY_S;
    return p2p__tls_time_write(out->not_before_s, X509_getm_notBefore(cert)) &&
           p2p__tls_time_write(out->not_after_s, X509_getm_notAfter(cert));
}

/* i2d with a bound: bytes written to out, or 0. */
static size_t export_cert(X509 *cert, uint8_t *out)
{
    int len = i2d_X509(cert, NULL);
    return len > 0 && len <= TLS_CERT_MAX ? (size_t)i2d_X509(cert, &out) : 0;
}

static size_t export_key(EVP_PKEY *key, uint8_t *out)
{
    int len = i2d_PrivateKey(key, NULL);
    return len > 0 && len <= TLS_CERT_KEY_MAX ? (size_t)i2d_PrivateKey(key, &out) : 0;
}

static int build(const p2p_key *host_key, int64_t wall_s, X509 *cert, EVP_PKEY *key,
                 struct tls_cert *out)
{
    unsigned char *spki = NULL;
    uint8_t value[SIGNED_KEY_MAX];
    int spki_len = i2d_PUBKEY(key, &spki);
    if (spki_len <= 0)
        return P2P_ENOMEM;
    int value_len = signed_key(host_key, spki, (size_t)spki_len, value);
    OPENSSL_free(spki);
    if (value_len < 0)
        return value_len;
    bool ok = X509_set_version(cert, X509_VERSION_3) == 1 && set_names(cert) &&
              set_validity(cert, wall_s, out) && X509_set_pubkey(cert, key) == 1 &&
              add_extension(cert, value, value_len) && X509_sign(cert, key, EVP_sha256()) > 0;
    out->cert_len = ok ? export_cert(cert, out->cert) : 0;
    out->key_len = ok ? export_key(key, out->key) : 0;
    return out->cert_len && out->key_len ? 0 : P2P_ENOMEM;
}

int p2p__tls_cert_generate(const p2p_key *host_key, int64_t wall_s, struct tls_cert *out)
{
    ERR_set_mark();
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    int code = cert && key ? build(host_key, wall_s, cert, key, out) : P2P_ENOMEM;
    EVP_PKEY_free(key);
    X509_free(cert);
    ERR_pop_to_mark();
    return code;
}
