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
/* As in layer_ops, of a struct noise_state and a struct noise_handshake. */
int p2p__noise_handshake_step(void *state, void *handshake, const struct layer_env *env,
                              struct buf *in, struct outq *out, struct layer_result *result);
void p2p__noise_handshake_fini(void *handshake);
void p2p__noise_fini(void *state);

static inline size_t noise_frame_len(const uint8_t header[NOISE_HEADER_LEN])
{
    return (size_t)header[0] << 8 | header[1];
}

/* A whole frame of *len bytes stands in `in`, behind its header: STEP_DONE; else STEP_WANT_INPUT,
 * with plain->len what it lacks once that is known, or P2P_EPROTO. */
static inline int noise_frame_await(const struct buf *in, struct span *plain, size_t *len)
{
    if (buf_len(in) < NOISE_HEADER_LEN)
        return STEP_WANT_INPUT;
    *len = noise_frame_len(buf_data(in));
    if (*len < P2P__AEAD_TAG_LEN)
        return P2P_EPROTO;
    if (buf_len(in) < NOISE_HEADER_LEN + *len) {
        plain->len = NOISE_HEADER_LEN + *len - buf_len(in);
        return STEP_WANT_INPUT;
    }
    return STEP_DONE;
}

/* What was consumed right before this frame ended with the tag of another one (or was handshake or
 * negotiation): dead bytes that leftover plaintext may be moved over. */
static inline size_t noise_gap(const struct buf *in)
{
    return in->head < P2P__AEAD_TAG_LEN ? in->head : P2P__AEAD_TAG_LEN;
}

/* The frame of len bytes was opened, its text where it lay. */
static inline void noise_frame_consume(struct buf *in, size_t len, struct span *plain)
{
    *plain = (struct span){
        .base = buf_data_mut(in) + NOISE_HEADER_LEN,
        .len = len - P2P__AEAD_TAG_LEN,
        .gap = noise_gap(in) + NOISE_HEADER_LEN,
    };
    buf_consume(in, NOISE_HEADER_LEN + len);
}

#endif
