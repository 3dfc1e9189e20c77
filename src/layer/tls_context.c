/* How OpenSSL is set up for libp2p: what it offers, whom it asks, what it is told to leave out. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "base/mem.h"
#include "layer/tls.h"
#include "layer/tls_cert.h"

enum {
    /* The one certificate that the spec allows is below 4 KiB with RSA everywhere. */
    CERT_MESSAGE_MAX = 16384,
};

/* ---- the peer's certificate ---- */

static int note_peer(struct tls_handshake *self, const struct tls_peer *peer)
{
    struct layer_result *result = self->result;
    _Static_assert(sizeof result->remote_peer >= P2P_PEER_ID_MAX, "any peer id fits");
    memcpy(result->remote_peer, peer->id.bytes, peer->id.len);
    result->remote_peer_len = peer->id.len;
    return 0;
}

/* OpenSSL chooses the alert by its own kind of error. */
static int x509_error(int code, const struct tls_peer *peer)
{
    enum { EXPIRED = 45 };
    if (code == P2P_ENOMEM)
        return X509_V_ERR_OUT_OF_MEM;
    return peer->alert == EXPIRED ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_ERR_CERT_REJECTED;
}

/* In place of a chain's verification: 1, or 0 with an error for OpenSSL. */
static int on_certificate(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_handshake *self = SSL_get_app_data(ssl);
    const struct layer_config *config = self->config;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    unsigned char *der = NULL;
    struct tls_peer peer;
    int len = i2d_X509(X509_STORE_CTX_get0_cert(store), &der);
    const struct p2p__const_iov cert = {der, len > 0 ? (size_t)len : 0};
    int code = p2p__tls_cert_verify(&cert, chain ? (size_t)sk_X509_num(chain) : 0, config->wall_s,
                                    config->expected_peer, config->expected_peer_len, &peer);
    OPENSSL_free(der);
    note_peer(self, &peer);
    if (code == 0)
        return 1;
    p2p__tls_fail(self, code, peer.error);
    X509_STORE_CTX_set_error(store, x509_error(code, &peer));
    return 0;
}

/* ---- ALPN ---- */

static const char LIBP2P[] = "libp2p";

static bool is_name(const char *name, const uint8_t *bytes, size_t len)
{
    return strlen(name) == len && memcmp(name, bytes, len) == 0;
}

/* The first of the client's list that we have; "libp2p" leaves the muxer open (specs, inlined muxer
 * negotiation). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *unused)
{
    (void)unused;
    struct tls_handshake *self = SSL_get_app_data(ssl);
    for (const unsigned char *at = in; at < in + in_len; at += 1 + at[0]) {
        bool ours = is_name(LIBP2P, at + 1, at[0]);
        for (size_t i = 0; !ours && i < self->config->muxer_count; i++)
            ours = is_name(self->config->muxers[i], at + 1, at[0]);
        if (ours) {
            *out = at + 1;
            *out_len = at[0];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    p2p__tls_fail(self, P2P_ENOMUXER, "the remote supports none of our stream muxers");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* OpenSSL calls on_alpn only if there is a list. */
static int on_client_hello(SSL *ssl, int *alert, void *unused)
{
    (void)unused;
    const unsigned char *bytes;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes,
                                  &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    p2p__tls_fail(SSL_get_app_data(ssl), P2P_EHANDSHAKE,
                  "the remote speaks TLS, but does not ask for libp2p in it");
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static bool offer_muxers(const struct layer_config *config, SSL *ssl)
{
    uint8_t list[LAYER_MUXERS_MAX * 64 + sizeof LIBP2P];
    size_t len = 0;
    for (size_t i = 0; i <= config->muxer_count; i++) {
        const char *name = i < config->muxer_count ? config->muxers[i] : LIBP2P;
        size_t name_len = strlen(name);
        assert(name_len < 64);
        list[len++] = (uint8_t)name_len;
        memcpy(list + len, name, name_len);
        len += name_len;
    }
    return SSL_set_alpn_protos(ssl, list, (unsigned)len) == 0;
}

/* ---- contexts ---- */

static bool set_identity(SSL_CTX *ctx, const struct tls_cert *cert)
{
    return SSL_CTX_use_certificate_ASN1(ctx, (int)cert->cert_len, cert->cert) == 1 &&
           SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, ctx, cert->key, (long)cert->key_len) == 1;
}

static SSL_CTX *context_new(const struct tls_cert *cert)
{
    SSL_CTX *ctx = p2p__tls_ctx_new();
    if (!ctx || !set_identity(ctx, cert)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    /* Nothing between libp2p hosts takes this for a web server's TLS 1.2. */
    SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_max_cert_list(ctx, CERT_MESSAGE_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_certificate, NULL);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return ctx;
}

/* The context with the certificate of this key, valid now. */
static int renew(struct p2p__tls *tls, const struct layer_config *config)
{
    const p2p_peer_id *owner = p2p_key_peer_id(config->key);
    bool same = tls->ctx && tls->owner.len == owner->len &&
                memcmp(tls->owner.bytes, owner->bytes, owner->len) == 0;
    if (same && config->wall_s >= tls->not_before_s && config->wall_s <= tls->not_after_s)
        return 0;
    struct tls_cert cert;
    int code = p2p__tls_cert_generate(config->key, config->wall_s, &cert);
    SSL_CTX *ctx = code == 0 ? context_new(&cert) : NULL;
    p2p__wipe(cert.key, sizeof cert.key);
    if (!ctx)
        return code < 0 ? code : P2P_ENOMEM;
    SSL_CTX_free(tls->ctx);
    tls->ctx = ctx;
    tls->owner = *owner;
    tls->not_before_s = cert.not_before_s;
    tls->not_after_s = cert.not_after_s;
    return 0;
}

int p2p__tls_ssl_new(struct tls_handshake *self, struct p2p__tls *tls)
{
    int code = renew(tls, self->config);
    if (code < 0)
        return code;
    code = p2p__tls_ssl_init(self, tls->ctx);
    if (code < 0 || !self->config->initiator)
        return code;
    return offer_muxers(self->config, self->ssl) ? 0 : P2P_ENOMEM;
}

struct p2p__tls *p2p__tls_new(void)
{
    return p2p__alloc(sizeof(struct p2p__tls));
}

void p2p__tls_free(struct p2p__tls *self)
{
    if (!self)
        return;
    SSL_CTX_free(self->ctx);
    p2p__tls_ciphers_fini(&self->ciphers);
    p2p__free(self);
}
