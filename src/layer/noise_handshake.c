/* The handshake of "/noise" (libp2p specs, noise r5): Noise XX, with libp2p's identity in the
 * payloads, in frames of a 16-bit length and that many bytes. */
#include "layer/noise.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "layer/noise_payload.h"

void p2p__noise_handshake_start(struct noise_handshake *self, const struct layer_config *config,
                                const struct layer_env *env, const uint8_t *prologue,
                                size_t prologue_len)
{
    assert(config->muxer_count <= LAYER_MUXERS_MAX);
    self->config = config;
    /* A new static key for every session, which the spec allows, has nothing to store or leak. */
    _Static_assert(sizeof config->random == 2 * P2P__DH_LEN, "two secrets");
    p2p__noise_xx_init(&self->xx, env, config->initiator, prologue, prologue_len, config->random,
                       config->random + P2P__DH_LEN);
}

static int fail(struct layer_result *result, int code, const char *sentence)
{
    result->error = sentence;
    return code;
}

/* The first of the initiator's list that both have. No list from either side is not "no overlap":
 * then the muxer is negotiated as if there were no such extension. */
static int muxer_choose(const struct layer_config *config, const struct noise_payload *payload,
                        struct layer_result *result)
{
    if (!payload->has_muxers || config->muxer_count == 0)
        return 0;
    int index = config->initiator ? payload->ours_first : payload->theirs_first;
    if (index < 0)
        return fail(result, P2P_ENOMUXER, "the remote supports none of our stream muxers");
    result->muxer = config->muxers[index];
    return 0;
}

static int identity_check(const struct noise_handshake *self, const struct noise_payload *payload,
                          struct layer_result *result)
{
    const struct layer_config *config = self->config;
    int code = p2p__noise_payload_verify(payload, self->xx.remote_static);
    if (code == P2P_ENOMEM)
        return code;
    if (code == P2P_EKEY)
        return fail(result, P2P_EHANDSHAKE,
                    "the remote's identity key is missing, malformed or of an unsupported kind");
    if (code < 0)
        return fail(result, P2P_EHANDSHAKE,
                    "the remote did not prove its identity: its signature does not verify");
    p2p_peer_id id;
    if (p2p_peer_id_from_public_key(payload->identity_key, payload->identity_key_len, &id) < 0)
        return fail(result, P2P_EHANDSHAKE, "the remote's identity key is malformed");
    if (!layer_meet(config, result, &id))
        return fail(result, P2P_EPEERID,
                    "the remote proved another peer id than the one asked for");
    return 0;
}

static int message_read(struct noise_handshake *self, const struct layer_env *env, uint8_t *in,
                        size_t in_len, struct layer_result *result)
{
    const uint8_t *bytes;
    size_t len;
    int code = p2p__noise_xx_read(&self->xx, env, in, in_len, &bytes, &len);
    if (code < 0)
        return fail(result, code, "the remote's Noise message does not decrypt, or has a weak key");
    /* Nothing is secret or proven in the first message, and nothing in it is looked at. */
    if (self->xx.messages == 1)
        return 0;
    const struct layer_config *config = self->config;
    struct noise_payload payload;
    if (p2p__noise_payload_decode(bytes, len, config->muxers, config->muxer_count, &payload) < 0)
        return fail(result, P2P_EHANDSHAKE, "the remote's Noise payload is malformed");
    code = identity_check(self, &payload, result);
    return code < 0 ? code : muxer_choose(config, &payload, result);
}

/* One frame, all of it or nothing. */
static int message_recv(struct noise_handshake *self, const struct layer_env *env, struct buf *in,
                        struct layer_result *result)
{
    if (buf_len(in) < NOISE_HEADER_LEN)
        return STEP_WANT_INPUT;
    size_t len = noise_frame_len(buf_data(in));
    if (len < p2p__noise_xx_overhead(&self->xx))
        return fail(result, P2P_EHANDSHAKE, "the remote's Noise message is too short");
    if (buf_len(in) < NOISE_HEADER_LEN + len)
        return STEP_WANT_INPUT;
    int code = message_read(self, env, buf_data_mut(in) + NOISE_HEADER_LEN, len, result);
    buf_consume(in, NOISE_HEADER_LEN + len);
    return code < 0 ? code : STEP_DONE;
}

static int message_send(struct noise_handshake *self, const struct layer_env *env, struct outq *out,
                        struct layer_result *result)
{
    const struct layer_config *config = self->config;
    uint8_t payload[NOISE_PAYLOAD_MAX];
    uint8_t frame[NOISE_HEADER_LEN + NOISE_XX_OVERHEAD_MAX + NOISE_PAYLOAD_MAX];
    int payload_len = 0;
    /* The spec: nothing goes into the first message, which is not secret. */
    if (self->xx.messages > 0)
        payload_len = p2p__noise_payload_encode(config->key, self->xx.static_public, config->muxers,
                                                config->muxer_count, payload);
    if (payload_len < 0)
        return fail(result, payload_len, "our own key does not sign");
    size_t len = p2p__noise_xx_overhead(&self->xx) + (size_t)payload_len;
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    int code =
        p2p__noise_xx_write(&self->xx, env, payload, (size_t)payload_len, frame + NOISE_HEADER_LEN);
    if (code < 0)
        return fail(result, code, "the remote's ephemeral Noise key is weak");
    return p2p__outq_append(out, env->pool, frame, NOISE_HEADER_LEN + len);
}

int p2p__noise_handshake_step(void *state, void *handshake, const struct layer_env *env,
                              struct buf *in, struct outq *out, struct layer_result *result)
{
    struct noise_handshake *self = handshake;
    struct noise_state *channel = state;
    if (self->failed < 0)
        return self->failed;
    while (!noise_xx_done(&self->xx)) {
        int code = noise_xx_writes(&self->xx) ? message_send(self, env, out, result)
                                              : message_recv(self, env, in, result);
        if (code < 0)
            self->failed = code;
        if (code != STEP_DONE)
            return code;
    }
    p2p__noise_xx_split(&self->xx, env, &channel->send, &channel->recv);
    return STEP_DONE;
}

void p2p__noise_handshake_fini(void *handshake)
{
    p2p__wipe(handshake, sizeof(struct noise_handshake));
}
