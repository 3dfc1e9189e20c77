/* The secure channel "/tls/1.0.0" (libp2p specs, tls r0): TLS 1.3 with libp2p's identity in the
 * certificates, and the muxer agreed on in ALPN. OpenSSL shakes hands, over bytes in memory; what
 * follows needs only the keys (tls_channel.c), so that an idle connection keeps nothing else. */
#include "layer/tls.h"

#include <assert.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <p2p/error.h>

static int tls_start(void *state, void *handshake, const struct layer_config *config,
                     const struct layer_env *env)
{
    (void)state;
    struct tls_handshake *self = handshake;
    assert(config->muxer_count <= LAYER_MUXERS_MAX);
    self->config = config;
    ERR_set_mark();
    int code = p2p__tls_ssl_new(self, env->tls);
    ERR_pop_to_mark();
    return code;
}

/* ---- why it failed ---- */

static struct tls_failure failure_by_alert(const struct tls_handshake *self)
{
    switch (self->alert_received) {
    case 0:
        break;
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return (struct tls_failure){P2P_ENOMUXER, "the remote supports none of our stream muxers"};
    case SSL_AD_PROTOCOL_VERSION:
        return (struct tls_failure){P2P_EHANDSHAKE, "the remote does not speak TLS 1.3"};
    default:
        return (struct tls_failure){P2P_EHANDSHAKE, "the remote refused our TLS handshake"};
    }
    switch (self->alert_sent) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return (struct tls_failure){P2P_EHANDSHAKE, "the remote sent no certificate"};
    case SSL_AD_PROTOCOL_VERSION:
        return (struct tls_failure){P2P_EHANDSHAKE, "the remote does not speak TLS 1.3"};
    default:
        return (struct tls_failure){P2P_EHANDSHAKE,
                                    "the remote's TLS handshake is malformed or does not verify"};
    }
}

static int explain(const struct tls_handshake *self, struct layer_result *result)
{
    struct tls_failure failure = self->failure;
    if (failure.code == 0)
        failure = failure_by_alert(self);
    result->error = failure.sentence;
    return failure.code;
}

/* ---- the end ---- */

/* A server that answers without ALPN, or with what was not offered, is no libp2p. */
static int agree_on_muxer(const struct tls_handshake *self, struct layer_result *result)
{
    const struct layer_config *config = self->config;
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(self->ssl, &name, &len);
    for (size_t i = 0; i < config->muxer_count; i++)
        if (strlen(config->muxers[i]) == len && memcmp(config->muxers[i], name, len) == 0)
            result->muxer = config->muxers[i];
    if (result->muxer || (len == 6 && memcmp(name, "libp2p", 6) == 0))
        return 0;
    result->error = "the remote speaks TLS, but does not agree on libp2p in it";
    return P2P_EHANDSHAKE;
}

static int take_keys(const struct tls_handshake *self, struct p2p__tls *tls,
                     struct tls_state *channel)
{
    int suite = p2p__tls_suite_of(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(self->ssl)));
    int ours = self->config->initiator ? 0 : 1;
    if (suite < 0 || self->secret_len[0] != p2p__tls_secret_len((enum tls_suite)suite) ||
        self->secret_len[1] != self->secret_len[0])
        return P2P_EINTERNAL;
    int code = p2p__tls_keys_init(&channel->send, &tls->ciphers, (enum tls_suite)suite,
                                  self->secret[ours]);
    return code < 0 ? code
                    : p2p__tls_keys_init(&channel->recv, &tls->ciphers, (enum tls_suite)suite,
                                         self->secret[1 - ours]);
}

static int finish(const struct tls_handshake *self, const struct layer_env *env,
                  struct tls_state *channel, struct layer_result *result)
{
    int code = agree_on_muxer(self, result);
    return code < 0 ? code : take_keys(self, env->tls, channel);
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
static int shake_hands(const struct tls_handshake *self, struct buf *in)
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

static int step(struct tls_handshake *self, const struct layer_env *env, struct buf *in,
                struct outq *out, struct tls_state *channel)
{
    int code = shake_hands(self, in);
    int sent = send_output(self, env, out);
    if (code == P2P_EHANDSHAKE)
        return explain(self, self->result);
    if (code < 0 || sent < 0)
        return code < 0 ? code : sent;
    return code == STEP_DONE ? finish(self, env, channel, self->result) : code;
}

static int tls_step(void *state, void *handshake, const struct layer_env *env, struct buf *in,
                    struct outq *out, struct layer_result *result)
{
    struct tls_handshake *self = handshake;
    if (self->failed < 0)
        return self->failed;
    self->result = result;
    ERR_set_mark();
    int code = step(self, env, in, out, state);
    ERR_pop_to_mark();
    if (code < 0)
        self->failed = code;
    return code;
}

static void tls_handshake_fini(void *handshake)
{
    struct tls_handshake *self = handshake;
    SSL_free(self->ssl);
    p2p__wipe(self, sizeof *self);
}

static void tls_fini(void *state)
{
    p2p__wipe(state, sizeof(struct tls_state));
}

const struct layer_ops p2p__layer_tls = {
    .id = "/tls/1.0.0",
    .state_size = sizeof(struct tls_state),
    .handshake_size = sizeof(struct tls_handshake),
    .record_max = TLS_HEADER_LEN + TLS_BODY_MAX,
    .plain_max = TLS_PLAIN_MAX,
    /* A key update may go before it. */
    .overhead = TLS_RECORD_OVERHEAD + TLS_RECORD_OVERHEAD + TLS_KEY_UPDATE_LEN,
    .start = tls_start,
    .step = tls_step,
    .handshake_fini = tls_handshake_fini,
    .open = p2p__tls_open,
    .seal = p2p__tls_seal,
    .close = p2p__tls_close,
    .fini = tls_fini,
};
