/* The state behind p2p__layer_noise, for its tests; everybody else uses the table in layer.h. */
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

#endif
