/* The state behind p2p__layer_pnet, for its tests; everybody else uses the table in layer.h. */
#ifndef P2P_LAYER_PNET_H
#define P2P_LAYER_PNET_H

#include "crypto/salsa20.h"
#include "layer/layer.h"

enum {
    PNET_NONCE_LEN = P2P__XSALSA20_NONCE_LEN,
    /* There are no records; so much is handed on at a time: more than the longest record of a layer
     * above. */
    PNET_PIECE_MAX = 66 * 1024,
};

struct pnet_state {
    struct p2p__xsalsa20 send, recv; /* recv.key is the network's key until the nonce has come */
    uint8_t nonce[PNET_NONCE_LEN];   /* ours */
    bool keyed;                      /* the remote's nonce has come */
};

/* Whether the nonce is sent. */
struct pnet_handshake {
    bool sent;
};

#endif
