/* What the channels that start with a Noise handshake share: "/noise" and the signed one. */
#ifndef P2P_LAYER_NOISE_H
#define P2P_LAYER_NOISE_H

#include "layer/noise_xx.h"

enum {
    NOISE_HEADER_LEN = 2, /* the length, big-endian */
    NOISE_PLAIN_MAX = NOISE_MESSAGE_MAX - P2P__AEAD_TAG_LEN,
};

struct noise_state {
    struct noise_cipher send, recv;
};

struct noise_handshake {
    struct noise_xx xx;
    const struct layer_config *config;
    int failed; /* the error it ended with: whoever steps again gets it again, never a channel */
};

/* Both sides must say the same prologue, or the handshake fails; "/noise" has none. */
void p2p__noise_handshake_start(struct noise_handshake *self, const struct layer_config *config,
                                const struct layer_env *env, const uint8_t *prologue,
                                size_t prologue_len);
/* As layer_ops.step; fills channel at STEP_DONE. */
int p2p__noise_handshake_step(struct noise_handshake *self, const struct layer_env *env,
                              struct buf *in, struct outq *out, struct layer_result *result,
                              struct noise_state *channel);
void p2p__noise_handshake_fini(void *self);

static inline size_t noise_frame_len(const uint8_t header[NOISE_HEADER_LEN])
{
    return (size_t)header[0] << 8 | header[1];
}

/* What was consumed right before this frame ended with the tag of another one (or was handshake or
 * negotiation): dead bytes that leftover plaintext may be moved over. */
static inline size_t noise_gap(const struct buf *in)
{
    return in->head < P2P__AEAD_TAG_LEN ? in->head : P2P__AEAD_TAG_LEN;
}

#endif
