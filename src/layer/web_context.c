/* How OpenSSL is set up for the web: which certificate is served, and whom a client believes. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <p2p/error.h>

#include "base/mem.h"
#include "layer/web_tls.h"

enum {
    /* Of a server's whole chain; with RSA everywhere it takes about 6 KiB. */
    CHAIN_MESSAGE_MAX = 32 * 1024,
    /* 112 bits: whatever the system's configuration says. */
    SECURITY_LEVEL = 2,
    NAME_MAX_LEN = 253,
    /* RFC 9525, section 6.3: a wildcard is a whole label, and the subject's common name no name. */
    NAME_FLAGS = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
};

static const uint8_t HTTP_1_1[] = "\x08http/1.1";

/* ---- server ---- */

/* By the name that the client asks for, which may be none at all. */
static int on_identity_wanted(SSL *ssl, void *unused)
{
    (void)unused;
    const struct web_handshake *self = SSL_get_app_data(ssl);
    const struct p2p__web *web = self->web;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t chosen = 0;
    for (size_t i = web->identity_count; name && i-- > 0;)
        if (X509_check_host(web->identities[i].leaf, name, 0, NAME_FLAGS, NULL) == 1)
            chosen = i;
    if (web->identity_count == 0)
        return 0;
    const struct web_identity *identity = &web->identities[chosen];
    return SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 1);
}

/* A client that lists protocols must list ours (RFC 7301, section 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *unused)
{
    (void)unused;
    size_t len = sizeof HTTP_1_1 - 1;
    for (const unsigned char *at = in; at < in + in_len; at += 1 + at[0]) {
        if ((size_t)at[0] + 1 != len || memcmp(at, HTTP_1_1, len) != 0)
            continue;
        *out = at + 1;
        *out_len = at[0];
        return SSL_TLSEXT_ERR_OK;
    }
    p2p__tls_fail(SSL_get_app_data(ssl), P2P_ENOPROTO,
                  "the remote speaks TLS, but asks for something else than HTTP/1.1 in it");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *server_new(void)
{
    SSL_CTX *ctx = p2p__tls_ctx_new();
    if (!ctx)
        return NULL;
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_cert_cb(ctx, on_identity_wanted, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return ctx;
}

/* ---- client ---- */

/* Each certificate of the file is trusted, be it a root or not: whoever names one means it. */
static bool trust(SSL_CTX *ctx, STACK_OF(X509) * roots)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    if (!roots)
        return SSL_CTX_set_default_verify_paths(ctx) == 1;
    for (int i = 0; i < sk_X509_num(roots); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(roots, i)) != 1)
            return false;
    return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

static SSL_CTX *client_new(STACK_OF(X509) * roots)
{
    SSL_CTX *ctx = p2p__tls_ctx_new();
    if (!ctx || !trust(ctx, roots)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_MESSAGE_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

/* An IP address is looked for in the certificate as such, and never sent (RFC 6066, section 3). */
static bool expect_server(SSL *ssl, const struct layer_config *config)
{
    char name[NAME_MAX_LEN + 1];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    size_t len = strlen(config->server_name);
    if (len > 1 && config->server_name[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_MAX_LEN)
        return false;
    memcpy(name, config->server_name, len);
    name[len] = '\0';
    X509_VERIFY_PARAM_set_time(param, (time_t)config->wall_s);
    X509_VERIFY_PARAM_set_hostflags(param, NAME_FLAGS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true;
    return X509_VERIFY_PARAM_set1_host(param, name, len) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

const char *p2p__web_distrust(const struct web_handshake *self)
{
    long result = SSL_get_verify_result(self->tls.ssl);
    switch (result) {
    case X509_V_OK:
        return NULL;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return "the remote's web certificate is for another name";
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "the remote's web certificate is not for its IP address";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the remote's web certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the remote's web certificate is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "the remote's web certificate is not signed by an authority that is trusted here";
    default:
        return "the remote's web certificate does not verify";
    }
}

/* ---- both ---- */

int p2p__web_ssl_new(struct web_handshake *self)
{
    struct p2p__web *web = self->web;
    bool client = self->tls.config->initiator;
    SSL_CTX **ctx = client ? &web->client : &web->server;
    if (!*ctx)
        *ctx = client ? client_new(web->roots) : server_new();
    if (!*ctx)
        return P2P_ENOMEM;
    int code = p2p__tls_ssl_init(&self->tls, *ctx);
    if (code < 0 || !client)
        return code;
    if (!expect_server(self->tls.ssl, self->tls.config))
        return P2P_EADDR;
    return SSL_set_alpn_protos(self->tls.ssl, HTTP_1_1, sizeof HTTP_1_1 - 1) == 0 ? 0 : P2P_ENOMEM;
}

void p2p__web_forget_client(struct p2p__web *self)
{
    SSL_CTX_free(self->client);
    self->client = NULL;
}

struct p2p__web *p2p__web_new(void)
{
    return p2p__alloc(sizeof(struct p2p__web));
}

void p2p__web_free(struct p2p__web *self)
{
    if (!self)
        return;
    p2p__web_identities_free(self);
    p2p__web_forget_client(self);
    SSL_CTX_free(self->server);
    p2p__free(self);
}
