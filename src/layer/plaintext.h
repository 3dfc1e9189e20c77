/* The state behind p2p__layer_plaintext, for its tests; everybody else uses the table in layer.h.
 */
#ifndef P2P_LAYER_PLAINTEXT_H
#define P2P_LAYER_PLAINTEXT_H

#include "layer/layer.h"

enum {
    /* Of an Exchange message: a peer id, the largest public key, and as much again for fields of
     * later versions. */
    PLAINTEXT_EXCHANGE_MAX = 2048,
    /* There are no records; so much is handed on at a time. */
    PLAINTEXT_PIECE_MAX = 65536,
};

struct plaintext_handshake {
    const struct layer_config *config;
    bool sent;
    int failed; /* the error it ended with: whoever steps again gets it again, never a channel */
};

#endif
