/* What libp2p puts into messages 1 and 2 of a Noise handshake (libp2p specs, noise r5): the
 * NoiseHandshakePayload, its signature, and the muxers for early selection (inlined-muxer). */
#ifndef P2P_LAYER_NOISE_PAYLOAD_H
#define P2P_LAYER_NOISE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/key.h>

#include "crypto/crypto.h"
#include "layer/layer.h"

enum {
    /* Of a payload that we write: the largest key and signature, and LAYER_MUXERS_MAX names of the
     * usual length several times over. */
    NOISE_PAYLOAD_MAX = 2048,
};

/* Views into the payload; nothing in it is proven before p2p__noise_payload_verify. */
struct noise_payload {
    const uint8_t *identity_key;
    size_t identity_key_len;
    const uint8_t *identity_sig;
    size_t identity_sig_len;
    /* The remote's muxers, held against ours while they pass by; indexes into ours, -1: none. */
    bool has_muxers;
    int ours_first;   /* the first of our list that is in theirs */
    int theirs_first; /* the first of their list that is in ours */
};

/* P2P_EPROTO when the bytes are no such message. Unknown fields and certificate hashes are ignored;
 * of a field that comes twice the last counts, lists are joined, as protobuf has it. */
int p2p__noise_payload_decode(const uint8_t *in, size_t in_len, const char *const *muxers,
                              size_t muxer_count, struct noise_payload *out);

/* 0 if the owner of identity_key signed this static key, otherwise negative. */
int p2p__noise_payload_verify(const struct noise_payload *self,
                              const uint8_t static_public[P2P__DH_LEN]);

/* Our own, with as many bytes as returned, or a negative error from signing. Too long muxer names
 * are misuse. */
int p2p__noise_payload_encode(const struct p2p_key *key, const uint8_t static_public[P2P__DH_LEN],
                              const char *const *muxers, size_t muxer_count,
                              uint8_t out[NOISE_PAYLOAD_MAX]);

#endif
