/* The secure channel "/libp2p-c/signed/1.0.0" (docs/specs/signed-channel.md): the handshake of
 * "/noise", then frames that anybody can read and nobody can alter: a 16-bit length, the payload as
 * it is, and a tag of 16 bytes over it. */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "layer/noise.h"

/* Also the handshake's prologue, so that it can meet nothing but its like. */
static const char ID[] = "/libp2p-c/signed/1.0.0";

static int signed_start(void *state, void *handshake, const struct layer_config *config,
                        const struct layer_env *env)
{
    (void)state;
    p2p__noise_handshake_start(handshake, config, env, (const uint8_t *)ID, sizeof ID - 1);
    return 0;
}

static int signed_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    struct noise_state *self = state;
    size_t len;
    int code = noise_frame_await(in, plain, &len);
    if (code != STEP_DONE)
        return code;
    uint8_t *body = buf_data_mut(in) + NOISE_HEADER_LEN;
    size_t text_len = len - P2P__AEAD_TAG_LEN;
    code = p2p__noise_open(&self->recv, env, body, text_len, body + text_len, P2P__AEAD_TAG_LEN);
    if (code < 0)
        return code == P2P_EHANDSHAKE ? P2P_EPROTO : code;
    noise_frame_consume(in, len, plain);
    return STEP_DONE;
}

static int64_t signed_seal(void *state, const struct layer_env *env,
                           const struct p2p__const_iov *in, size_t in_count, uint8_t *out)
{
    struct noise_state *self = state;
    uint8_t *body = out + NOISE_HEADER_LEN;
    size_t text_len = 0;
    for (size_t i = 0; i < in_count; i++) {
        assert(in[i].len <= NOISE_PLAIN_MAX - text_len);
        if (in[i].len > 0)
            memcpy(body + text_len, in[i].base, in[i].len);
        text_len += in[i].len;
    }
    size_t len = text_len + P2P__AEAD_TAG_LEN;
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    int code = p2p__noise_seal(&self->send, env, body, text_len, NULL, 0, body + text_len);
    return code < 0 ? code : (int64_t)(NOISE_HEADER_LEN + len);
}

const struct layer_ops p2p__layer_signed = {
    .id = ID,
    .state_size = sizeof(struct noise_state),
    .handshake_size = sizeof(struct noise_handshake),
    .record_max = NOISE_HEADER_LEN + NOISE_MESSAGE_MAX,
    .plain_max = NOISE_PLAIN_MAX,
    .overhead = NOISE_HEADER_LEN + P2P__AEAD_TAG_LEN,
    .clear = true,
    .start = signed_start,
    .step = p2p__noise_handshake_step,
    .handshake_fini = p2p__noise_handshake_fini,
    .open = signed_open,
    .seal = signed_seal,
    .fini = p2p__noise_fini,
};
