/* TLS as web servers and browsers speak it, under a secure WebSocket (libp2p specs, websockets r0;
 * RFC 9110, section 4.2.2). It keeps the network from reading along and browsers content; who the
 * peer is, the secure channel above proves.
 *
 * TLS 1.3 only: every browser and every libp2p implementation of today speaks it, the record layer
 * of "/tls/1.0.0" serves it, and nothing of TLS 1.2 can be had without a second one. */
#include "layer/web_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <p2p/error.h>

static int web_start(void *state, void *handshake, const struct layer_config *config,
                     const struct layer_env *env)
{
    (void)state;
    struct web_handshake *self = handshake;
    self->tls.config = config;
    self->web = env->web;
    ERR_set_mark();
    int code = p2p__web_ssl_new(self);
    ERR_pop_to_mark();
    return code;
}

/* ---- why it failed ---- */

static const char *refused(uint8_t alert)
{
    switch (alert) {
    case SSL_AD_PROTOCOL_VERSION:
        return "the remote does not speak TLS 1.3";
    case SSL_AD_UNRECOGNIZED_NAME:
        return "the remote serves no web site of that name";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "the remote does not speak HTTP/1.1 over TLS";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        return "the remote does not trust our web certificate";
    default:
        return "the remote refused our TLS handshake";
    }
}

static int explain(const struct web_handshake *self, struct layer_result *result)
{
    const struct tls_handshake *tls = &self->tls;
    const char *distrust = tls->config->initiator ? p2p__web_distrust(self) : NULL;
    if (tls->failure.code)
        result->error = tls->failure.sentence;
    else if (distrust)
        result->error = distrust;
    else if (tls->alert_received)
        result->error = refused(tls->alert_received);
    else if (tls->alert_sent == SSL_AD_PROTOCOL_VERSION)
        result->error = "the remote does not speak TLS 1.3";
    else
        result->error = "the remote's TLS handshake is malformed or does not verify";
    return tls->failure.code ? tls->failure.code : P2P_EHANDSHAKE;
}

/* ---- steps ---- */

static int step(struct web_handshake *self, const struct layer_env *env, struct buf *in,
                struct outq *out, struct tls_state *channel, struct layer_result *result)
{
    int code = p2p__tls_shake_hands(&self->tls, env, in, out);
    if (code == P2P_EHANDSHAKE)
        return explain(self, result);
    return code == STEP_DONE ? p2p__tls_take_keys(&self->tls, &env->tls->ciphers, channel) : code;
}

static int web_step(void *state, void *handshake, const struct layer_env *env, struct buf *in,
                    struct outq *out, struct layer_result *result)
{
    struct web_handshake *self = handshake;
    if (self->tls.failed < 0)
        return self->tls.failed;
    ERR_set_mark();
    int code = step(self, env, in, out, state, result);
    ERR_pop_to_mark();
    if (code < 0)
        self->tls.failed = code;
    return code;
}

const struct layer_ops p2p__layer_web_tls = {
    .id = "/tls",
    .state_size = sizeof(struct tls_state),
    .handshake_size = sizeof(struct web_handshake),
    .record_max = TLS_HEADER_LEN + TLS_BODY_MAX,
    .plain_max = TLS_PLAIN_MAX,
    /* A key update may go before it. */
    .overhead = TLS_RECORD_OVERHEAD + TLS_RECORD_OVERHEAD + TLS_KEY_UPDATE_LEN,
    .start = web_start,
    .step = web_step,
    .handshake_fini = p2p__tls_handshake_fini,
    .open = p2p__tls_open,
    .seal = p2p__tls_seal,
    .close = p2p__tls_close,
    .fini = p2p__tls_fini,
};
