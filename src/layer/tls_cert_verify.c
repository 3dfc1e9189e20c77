/* Holds a peer's certificate to the spec (libp2p specs, tls, Peer Authentication). Nothing but the
 * certificate itself is looked at: there are no authorities, names or revocations. */
#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <p2p/error.h>

#include "codec/key.h"
#include "crypto/der.h"
#include "layer/tls_cert.h"
#include "layer/tls_cert_oid.h"
#include "layer/tls_time.h"

enum {
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_EXPIRED = 45,
    ALERT_INTERNAL = 80,
    /* As for host keys: less is forgeable, more only costs whoever verifies. */
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 4096,
    RSA_EXPONENT_BITS_MAX = 32,
};

static int refuse(struct tls_peer *out, uint8_t alert, const char *sentence)
{
    out->error = sentence;
    out->alert = alert;
    return P2P_EHANDSHAKE;
}

static int no_memory(struct tls_peer *out)
{
    out->error = "out of memory";
    out->alert = ALERT_INTERNAL;
    return P2P_ENOMEM;
}

/* ---- the key and the self-signature ---- */

/* The curve by its name: one that is spelled out in parameters is none of ours. */
static int curve_of(const X509 *cert)
{
    X509_ALGOR *algorithm = NULL;
    const ASN1_OBJECT *object = NULL;
    const void *value = NULL;
    int type = V_ASN1_UNDEF;
    if (X509_PUBKEY_get0_param(NULL, NULL, NULL, &algorithm, X509_get_X509_PUBKEY(cert)) != 1)
        return NID_undef;
    X509_ALGOR_get0(&object, &type, &value, algorithm);
    return type == V_ASN1_OBJECT ? OBJ_obj2nid(value) : NID_undef;
}

/* TLS 1.3 ties each curve to one hash (RFC 8446, section 4.2.3). */
static bool ecdsa_allowed(const X509 *cert, int signature)
{
    switch (curve_of(cert)) {
    case NID_X9_62_prime256v1:
        return signature == NID_ecdsa_with_SHA256;
    case NID_secp384r1:
        return signature == NID_ecdsa_with_SHA384;
    case NID_secp521r1:
        return signature == NID_ecdsa_with_SHA512;
    default:
        return false;
    }
}

static bool rsa_allowed(X509 *cert, EVP_PKEY *key, int signature)
{
    int hash = NID_undef;
    BIGNUM *exponent = NULL;
    if (signature == NID_rsassaPss) {
        if (X509_get_signature_info(cert, &hash, NULL, NULL, NULL) != 1)
            return false;
    } else if (signature == NID_sha256WithRSAEncryption ||
               signature == NID_sha384WithRSAEncryption ||
               signature == NID_sha512WithRSAEncryption) {
        hash = NID_sha256;
    }
    if (hash != NID_sha256 && hash != NID_sha384 && hash != NID_sha512)
        return false;
    bool small = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
                 BN_num_bits(exponent) <= RSA_EXPONENT_BITS_MAX;
    BN_free(exponent);
    int bits = EVP_PKEY_get_bits(key);
    return small && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
}

static bool algorithm_allowed(X509 *cert, EVP_PKEY *key)
{
    int signature = X509_get_signature_nid(cert);
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
        return ecdsa_allowed(cert, signature);
    case EVP_PKEY_ED25519:
        return signature == NID_ED25519;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return rsa_allowed(cert, key, signature);
    default:
        return false;
    }
}

static int check_key(X509 *cert, struct tls_peer *out)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    if (!key || !algorithm_allowed(cert, key))
        return refuse(out, ALERT_UNSUPPORTED_CERTIFICATE,
                      "the remote's certificate has a weak or unknown key or signature algorithm");
    if (X509_verify(cert, key) != 1)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote's certificate is not signed by its own key");
    return 0;
}

/* ---- time ---- */

static int check_time(const X509 *cert, int64_t wall_s, struct tls_peer *out)
{
    int64_t from_s, to_s;
    if (!p2p__tls_time_read(X509_get0_notBefore(cert), &from_s) ||
        !p2p__tls_time_read(X509_get0_notAfter(cert), &to_s))
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the dates of the remote's certificate are malformed");
    if (wall_s < from_s)
        return refuse(out, ALERT_BAD_CERTIFICATE, "the remote's certificate is not yet valid");
    if (wall_s > to_s)
        return refuse(out, ALERT_EXPIRED, "the remote's certificate has expired");
    return 0;
}

/* ---- extensions ---- */

static bool is_ours(X509_EXTENSION *extension, const ASN1_OBJECT *oid)
{
    return OBJ_cmp(X509_EXTENSION_get_object(extension), oid) == 0;
}

/* What may be critical: whether this is an authority says nothing about a certificate that stands
 * alone; what its key is for has to include the handshake's signature. */
static bool understood(X509_EXTENSION *extension)
{
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
    if (nid == NID_basic_constraints)
        return true;
    if (nid != NID_key_usage)
        return false;
    ASN1_BIT_STRING *usage = X509V3_EXT_d2i(extension);
    bool signs = usage && ASN1_BIT_STRING_get_bit(usage, 0) == 1;
    ASN1_BIT_STRING_free(usage);
    return signs;
}

static int find_extension(const X509 *cert, X509_EXTENSION **found, struct tls_peer *out)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(TLS_EXTENSION_OID, 1);
    int code = oid ? 0 : no_memory(out);
    *found = NULL;
    for (int i = 0; code == 0 && i < X509_get_ext_count(cert); i++) {
        X509_EXTENSION *extension = X509_get_ext(cert, i);
        if (is_ours(extension, oid)) {
            if (*found)
                code = refuse(out, ALERT_BAD_CERTIFICATE,
                              "the remote's certificate has two libp2p extensions");
            *found = extension;
        } else if (X509_EXTENSION_get_critical(extension) && !understood(extension)) {
            code = refuse(out, ALERT_UNSUPPORTED_CERTIFICATE,
                          "the remote's certificate has an unknown critical extension");
        }
    }
    ASN1_OBJECT_free(oid);
    if (code == 0 && !*found)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote's certificate has no libp2p extension");
    return code;
}

/* ---- the identity ---- */

static bool signed_key_decode(X509_EXTENSION *extension, struct p2p__der *key, struct p2p__der *sig)
{
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    struct p2p__der in = {ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)}, body;
    return p2p__der_next(&in, P2P__DER_SEQUENCE, &body, NULL) && in.left == 0 &&
           p2p__der_next(&body, TLS_DER_OCTETS, key, NULL) &&
           p2p__der_next(&body, TLS_DER_OCTETS, sig, NULL) && body.left == 0;
}

static int check_identity(const X509 *cert, X509_EXTENSION *extension, struct tls_peer *out)
{
    struct p2p__der key, sig;
    if (!signed_key_decode(extension, &key, &sig) || key.left > sizeof out->public_key)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the libp2p extension of the remote's certificate is malformed");
    unsigned char *spki = NULL;
    int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    if (spki_len <= 0)
        return no_memory(out);
    const struct p2p__const_iov msg[] = {
        {(const uint8_t *)TLS_SIGNED_PREFIX, sizeof TLS_SIGNED_PREFIX - 1},
        {spki, (size_t)spki_len}};
    int code = p2p__public_key_verify(key.at, key.left, msg, 2, sig.at, sig.left);
    OPENSSL_free(spki);
    if (code == P2P_ENOMEM)
        return no_memory(out);
    if (code == P2P_EKEY)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote's identity key is missing, malformed or of an unsupported kind");
    if (code < 0 || p2p_peer_id_from_public_key(key.at, key.left, &out->id) < 0)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote did not prove its identity: its signature does not verify");
    memcpy(out->public_key, key.at, key.left);
    out->public_key_len = key.left;
    return 0;
}

static int check_expected(const uint8_t *expected, size_t expected_len, struct tls_peer *out)
{
    if (!expected ||
        (expected_len == out->id.len && memcmp(expected, out->id.bytes, expected_len) == 0))
        return 0;
    refuse(out, ALERT_BAD_CERTIFICATE, "the remote proved another peer id than the one asked for");
    return P2P_EPEERID;
}

static int verify(X509 *cert, int64_t wall_s, struct tls_peer *out)
{
    const ASN1_BIT_STRING *issuer_uid = NULL, *subject_uid = NULL;
    X509_EXTENSION *extension = NULL;
    X509_get0_uids(cert, &issuer_uid, &subject_uid);
    if (issuer_uid || subject_uid || X509_get_version(cert) != X509_VERSION_3)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote's certificate is of a kind that libp2p does not use");
    int code = check_time(cert, wall_s, out);
    if (code == 0)
        code = find_extension(cert, &extension, out);
    if (code == 0)
        code = check_key(cert, out);
    return code < 0 ? code : check_identity(cert, extension, out);
}

int p2p__tls_cert_verify(const struct p2p__const_iov *certs, size_t cert_count, int64_t wall_s,
                         const uint8_t *expected, size_t expected_len, struct tls_peer *out)
{
    *out = (struct tls_peer){0};
    if (cert_count != 1)
        return refuse(out, ALERT_BAD_CERTIFICATE,
                      "the remote sent no certificate, or more than the one allowed");
    const uint8_t *at = certs[0].base;
    ERR_set_mark();
    X509 *cert = certs[0].len <= LONG_MAX ? d2i_X509(NULL, &at, (long)certs[0].len) : NULL;
    int code = cert && at == certs[0].base + certs[0].len
                   ? verify(cert, wall_s, out)
                   : refuse(out, ALERT_BAD_CERTIFICATE, "the remote's certificate is malformed");
    X509_free(cert);
    ERR_pop_to_mark();
    return code < 0 ? code : check_expected(expected, expected_len, out);
}
