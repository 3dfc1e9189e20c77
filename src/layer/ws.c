/* WebSocket as a layer (libp2p specs, websockets r0; RFC 6455): an HTTP/1.1 upgrade, then binary
 * messages whose boundaries mean nothing. It proves no peer: a secure channel goes over it. */
#include "layer/ws.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/multibase.h"

static const char request_opening[] = "GET ";
static const char response_opening[] = "HTTP/1.1 ";

/* The key goes out in the clear and the masks can be seen: neither may tell about `random`, should
 * it serve another layer too. */
static void secrets_derive(struct ws_state *channel, struct ws_handshake *self,
                           const struct layer_config *config, const struct layer_env *env)
{
    static const uint8_t label[] = "libp2p websocket";
    const struct p2p__const_iov in[] = {{label, sizeof label},
                                        {config->random, sizeof config->random}};
    uint8_t digest[P2P__HASH_LEN];
    env->crypto->sha256(in, 2, digest);
    int64_t len = p2p__base_encode('M', digest, WS_KEY_LEN, self->key, sizeof self->key);
    assert(len == WS_KEY_TEXT_LEN);
    _Static_assert(WS_KEY_LEN + sizeof channel->mask_key == sizeof digest, "all of it");
    memcpy(&channel->mask_key, digest + WS_KEY_LEN, sizeof channel->mask_key);
    p2p__wipe(digest, sizeof digest);
}

static int ws_start(void *state, void *handshake, const struct layer_config *config,
                    const struct layer_env *env)
{
    struct ws_state *channel = state;
    struct ws_handshake *self = handshake;
    self->config = config;
    channel->client = config->initiator;
    if (!config->initiator)
        return 0;
    assert(config->host_name);
    /* It may be from an address that a peer has told us. */
    if (!p2p__ws_host_valid(config->host_name))
        return P2P_EADDR;
    secrets_derive(channel, self, config, env);
    return 0;
}

static int fail(struct layer_result *result, int code, const char *sentence)
{
    result->error = sentence;
    return code;
}

/* ---- client ---- */

static int request_send(struct ws_handshake *self, const struct layer_env *env, struct outq *out)
{
    char head[WS_HEAD_OUT_MAX];
    size_t len = p2p__ws_request_encode(self->config->host_name, self->key, head);
    self->asked = true;
    return p2p__outq_append(out, env->pool, head, len);
}

static int client_step(struct ws_handshake *self, const struct layer_env *env, struct buf *in,
                       struct outq *out, struct layer_result *result)
{
    char accept[WS_ACCEPT_TEXT_LEN + 1];
    int code = self->asked ? 0 : request_send(self, env, out);
    if (code < 0)
        return code;
    int64_t len = p2p__ws_head_len(buf_data(in), buf_len(in), response_opening, &self->scanned);
    if (len == P2P_ETOOBIG)
        return fail(result, P2P_ETOOBIG, "the remote's HTTP headers are too long");
    if (len < 0)
        return fail(result, (int)len, "the remote does not speak HTTP, so no WebSocket");
    if (len == STEP_WANT_INPUT)
        return STEP_WANT_INPUT;
    code = p2p__ws_accept(self->key, accept);
    if (code < 0)
        return code;
    code = p2p__ws_response_check(buf_data(in), (size_t)len, accept, &result->error);
    buf_consume(in, (size_t)len);
    return code;
}

/* ---- server ---- */

static int response_send(int status, const char *text, const struct layer_env *env,
                         struct outq *out)
{
    char head[WS_HEAD_OUT_MAX];
    size_t len = p2p__ws_response_encode(status, text, head);
    return p2p__outq_append(out, env->pool, head, len);
}

/* Answers too: returns code, or that there was no memory for it. */
static int refuse(int code, int status, const char *sentence, const struct layer_env *env,
                  struct outq *out, struct layer_result *result)
{
    int sent = response_send(status, sentence, env, out);
    return fail(result, sent < 0 ? sent : code, sentence);
}

static int server_step(struct ws_handshake *self, const struct layer_env *env, struct buf *in,
                       struct outq *out, struct layer_result *result)
{
    char accept[WS_ACCEPT_TEXT_LEN + 1];
    const char *key, *error;
    int64_t len = p2p__ws_head_len(buf_data(in), buf_len(in), request_opening, &self->scanned);
    if (len == P2P_ETOOBIG)
        return refuse(P2P_ETOOBIG, 400, "the request's headers are too long", env, out, result);
    if (len < 0)
        return refuse((int)len, 400, "the request is no HTTP GET", env, out, result);
    if (len == STEP_WANT_INPUT)
        return STEP_WANT_INPUT;
    int status = p2p__ws_request_check(buf_data(in), (size_t)len, &key, &error);
    if (status != 101)
        return refuse(status == 426 ? P2P_ENOPROTO : P2P_EPROTO, status, error, env, out, result);
    int code = p2p__ws_accept(key, accept);
    buf_consume(in, (size_t)len);
    return code < 0 ? code : response_send(101, accept, env, out);
}

static int ws_step(void *state, void *handshake, const struct layer_env *env, struct buf *in,
                   struct outq *out, struct layer_result *result)
{
    struct ws_state *channel = state;
    struct ws_handshake *self = handshake;
    if (self->failed < 0)
        return self->failed;
    assert(!channel->open);
    int code = channel->client ? client_step(self, env, in, out, result)
                               : server_step(self, env, in, out, result);
    if (code < 0)
        self->failed = code;
    channel->open = code == STEP_DONE;
    return code;
}

static void ws_handshake_fini(void *handshake)
{
    p2p__wipe(handshake, sizeof(struct ws_handshake));
}

static void ws_fini(void *state)
{
    p2p__wipe(state, sizeof(struct ws_state));
}

const struct layer_ops p2p__layer_ws = {
    .id = "/ws",
    .state_size = sizeof(struct ws_state),
    .handshake_size = sizeof(struct ws_handshake),
    .record_max = WS_RECORD_MAX,
    .plain_max = WS_PLAIN_MAX,
    .overhead = WS_HEADER_MAX,
    .start = ws_start,
    .step = ws_step,
    .handshake_fini = ws_handshake_fini,
    .open = p2p__ws_open,
    .seal = p2p__ws_seal,
    .wrap = p2p__ws_wrap,
    .close = p2p__ws_close,
    .pending = p2p__ws_pending,
    .fini = ws_fini,
};
