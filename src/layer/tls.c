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

static int finish(const struct tls_handshake *self, const struct layer_env *env,
                  struct tls_state *channel, struct layer_result *result)
{
    int code = agree_on_muxer(self, result);
    return code < 0 ? code : p2p__tls_take_keys(self, &env->tls->ciphers, channel);
}

/* ---- steps ---- */

static int step(struct tls_handshake *self, const struct layer_env *env, struct buf *in,
                struct outq *out, struct tls_state *channel)
{
    int code = p2p__tls_shake_hands(self, env, in, out);
    if (code == P2P_EHANDSHAKE)
        return explain(self, self->result);
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
    .handshake_fini = p2p__tls_handshake_fini,
    .open = p2p__tls_open,
    .seal = p2p__tls_seal,
    .close = p2p__tls_close,
    .fini = p2p__tls_fini,
};
