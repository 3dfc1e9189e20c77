/* Signed envelopes (RFC-0002): a payload, what kind it is, and who vouches for it. What a signature
 * is for (its domain) is not in the envelope: who opens one says what it expects. */
#ifndef P2P_CODEC_ENVELOPE_H
#define P2P_CODEC_ENVELOPE_H

#include <p2p/key.h>

struct p2p__envelope_kind {
    const char *domain;
    const uint8_t *type; /* payload_type */
    size_t type_len;
};

/* Views into the envelope's bytes. */
struct p2p__envelope {
    size_t kind; /* index of the kind that it is */
    const uint8_t *public_key;
    size_t public_key_len;
    const uint8_t *payload; /* signed by that key */
    size_t payload_len;
    p2p_peer_id signer;
};

/* One whole envelope of one of these kinds, with a good signature; nothing of it is handed out
 * otherwise. P2P_EPROTO (no envelope, or of another kind), P2P_EKEY, P2P_ESIG, P2P_ENOMEM. */
int p2p__envelope_open(const uint8_t *in, size_t in_len, const struct p2p__envelope_kind *kinds,
                       size_t kind_count, struct p2p__envelope *out);

/* Bytes written, P2P_ETOOBIG if they do not fit, or what signing returned. `out` must not overlap
 * the payload. */
int64_t p2p__envelope_seal(const p2p_key *key, const struct p2p__envelope_kind *kind,
                           const uint8_t *payload, size_t payload_len, uint8_t *out,
                           size_t out_cap);

#endif
