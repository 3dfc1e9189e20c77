/* Shaking hands for any TLS layer: OpenSSL does it, over bytes in memory, and tells the secrets;
 * what follows needs only those (tls_channel.c), so that an idle connection keeps nothing else. */
#include <assert.h>
#include <string.h>

#include <openssl/ssl.h>

#include <p2p/error.h>

#include "layer/tls.h"

/* What the peer's certificate and its handshake may be signed with (the latter without PKCS#1). */
static const char SIGNATURES[] = "ECDSA+SHA256:ed25519:ECDSA+SHA384:ECDSA+SHA512:"
                                 "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                                 "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
                                 "RSA+SHA256:RSA+SHA384:RSA+SHA512";
/* By speed; a server takes the first of its own. */
static const char SUITES[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char GROUPS[] = "X25519:P-256:P-384";

int p2p__tls_fail(struct tls_handshake *self, int code, const char *sentence)
{
    self->failure = (struct tls_failure){code, sentence};
    return code;
}

/* ---- what is told ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The secrets, in the form of key log files: LABEL, the client's random, the secret in hex. OpenSSL
 * 3.0 has no other way to them. */
static void on_secret(const SSL *ssl, const char *line)
{
    static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    struct tls_handshake *self = SSL_get_app_data(ssl);
    const char *hex = strrchr(line, ' ') + 1;
    for (int i = 0; i < 2; i++) {
        if (strncmp(line, labels[i], strlen(labels[i])) != 0)
            continue;
        size_t len = strlen(hex) / 2;
        assert(len <= TLS_SECRET_MAX);
        for (size_t k = 0; k < len; k++)
            self->secret[i][k] = (uint8_t)(digit(hex[2 * k]) << 4 | digit(hex[2 * k + 1]));
        self->secret_len[i] = len;
    }
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tls_handshake *self = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        self->alert_received = (uint8_t)value;
    else if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT)
        self->alert_sent = (uint8_t)value;
}

/* ---- beginning ---- */

SSL_CTX *p2p__tls_ctx_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!ctx)
        return NULL;
    /* Secrets of TLS 1.3 are what on_secret knows, and its records what tls_record.c does. */
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, SUITES) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1 ||
        SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* many half-open ones wait for bytes */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_keylog_callback(ctx, on_secret);
    SSL_CTX_set_info_callback(ctx, on_info);
    return ctx;
}

int p2p__tls_ssl_init(struct tls_handshake *self, SSL_CTX *ctx)
{
    BIO *out = BIO_new(BIO_s_mem());
    self->ssl = out ? SSL_new(ctx) : NULL;
    if (!self->ssl) {
        BIO_free(out);
        return P2P_ENOMEM;
    }
    SSL_set0_wbio(self->ssl, out);
    SSL_set_app_data(self->ssl, self);
    if (self->config->initiator)
        SSL_set_connect_state(self->ssl);
    else
        SSL_set_accept_state(self->ssl);
    return 0;
}

/* ---- steps ---- */

/* What OpenSSL wrote, an alert included. */
static int send_output(const struct tls_handshake *self, const struct layer_env *env,
                       struct outq *out)
{
    BIO *bio = SSL_get_wbio(self->ssl);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    int code = len > 0 ? p2p__outq_append(out, env->pool, bytes, (size_t)len) : 0;
    (void)BIO_reset(bio);
    return code;
}

/* OpenSSL reads from `in` where it lies, one record at a time and none ahead: what follows the
 * handshake stays. STEP_DONE, STEP_WANT_INPUT, or P2P_EHANDSHAKE to be explained. */
static int shake(const struct tls_handshake *self, struct buf *in)
{
    int len = (int)buf_len(in);
    BIO *bio = BIO_new_mem_buf(len > 0 ? (const void *)buf_data(in) : "", len);
    if (!bio)
        return P2P_ENOMEM;
    BIO_set_mem_eof_return(bio, -1); /* the end of what is here is not the end of the stream */
    SSL_set0_rbio(self->ssl, bio);
    int done = SSL_do_handshake(self->ssl);
    /* SSL_get_error would look at errors that the application left in the thread's queue, and
     * SSL_want is "reading" after an alert, too. */
    bool starved = BIO_should_read(bio);
    buf_consume(in, (size_t)len - BIO_ctrl_pending(bio));
    SSL_set0_rbio(self->ssl, NULL);
    if (done == 1)
        return STEP_DONE;
    return starved ? STEP_WANT_INPUT : P2P_EHANDSHAKE;
}

int p2p__tls_shake_hands(const struct tls_handshake *self, const struct layer_env *env,
                         struct buf *in, struct outq *out)
{
    int code = shake(self, in);
    int sent = send_output(self, env, out);
    return code == P2P_EHANDSHAKE || sent == 0 ? code : sent;
}

/* ---- the end ---- */

int p2p__tls_take_keys(const struct tls_handshake *self, struct tls_ciphers *ciphers,
                       struct tls_state *channel)
{
    int suite = p2p__tls_suite_of(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(self->ssl)));
    int ours = self->config->initiator ? 0 : 1;
    if (suite < 0 || self->secret_len[0] != p2p__tls_secret_len((enum tls_suite)suite) ||
        self->secret_len[1] != self->secret_len[0])
        return P2P_EINTERNAL;
    int code =
        p2p__tls_keys_init(&channel->send, ciphers, (enum tls_suite)suite, self->secret[ours]);
    return code < 0 ? code
                    : p2p__tls_keys_init(&channel->recv, ciphers, (enum tls_suite)suite,
                                         self->secret[1 - ours]);
}

void p2p__tls_handshake_fini(void *handshake)
{
    struct tls_handshake *self = handshake;
    SSL_free(self->ssl);
    p2p__wipe(self, sizeof *self);
}
