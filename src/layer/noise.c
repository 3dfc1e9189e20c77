/* The secure channel "/noise" (libp2p specs, noise r5) once it stands: frames of a 16-bit length
 * and that many bytes. */
#include "layer/noise.h"

#include <assert.h>

#include <p2p/error.h>

static int noise_start(void *state, void *handshake, const struct layer_config *config,
                       const struct layer_env *env)
{
    (void)state;
    const uint8_t none[1] = {0};
    p2p__noise_handshake_start(handshake, config, env, none, 0);
    return 0;
}

static int noise_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    struct noise_state *self = state;
    size_t len;
    int code = noise_frame_await(in, plain, &len);
    if (code != STEP_DONE)
        return code;
    uint8_t *body = buf_data_mut(in) + NOISE_HEADER_LEN;
    code = p2p__noise_open(&self->recv, env, NULL, 0, body, len);
    if (code < 0)
        return code == P2P_EHANDSHAKE ? P2P_EPROTO : code;
    noise_frame_consume(in, len, plain);
    return STEP_DONE;
}

static int64_t noise_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                          size_t in_count, uint8_t *out)
{
    struct noise_state *self = state;
    size_t len = P2P__AEAD_TAG_LEN;
    for (size_t i = 0; i < in_count; i++)
        len += in[i].len;
    assert(len <= NOISE_MESSAGE_MAX);
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    int code = p2p__noise_seal(&self->send, env, NULL, 0, in, in_count, out + NOISE_HEADER_LEN);
    return code < 0 ? code : (int64_t)(NOISE_HEADER_LEN + len);
}

void p2p__noise_fini(void *state)
{
    p2p__wipe(state, sizeof(struct noise_state));
}

const struct layer_ops p2p__layer_noise = {
    .id = "/noise",
    .state_size = sizeof(struct noise_state),
    .handshake_size = sizeof(struct noise_handshake),
    .record_max = NOISE_HEADER_LEN + NOISE_MESSAGE_MAX,
    .plain_max = NOISE_PLAIN_MAX,
    .overhead = NOISE_HEADER_LEN + P2P__AEAD_TAG_LEN,
    .start = noise_start,
    .step = p2p__noise_handshake_step,
    .handshake_fini = p2p__noise_handshake_fini,
    .open = noise_open,
    .seal = noise_seal,
    .fini = p2p__noise_fini,
};
