/* A peer as it is stored: a protobuf message under the key "peer/" and the peer's id. */
#ifndef P2P_HOST_PEER_VALUE_H
#define P2P_HOST_PEER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/peerstore.h>

#include "host/identity.h"

enum {
    PEER_VALUE_ADDRS_MAX = 64, /* the rest is left out */
    PEER_VALUE_NOTES_MAX = P2P_NOTES_MAX,
};

struct peer_value_addr {
    const uint8_t *bytes; /* views, not yet parsed */
    size_t len;
    uint64_t expires_s; /* wall time since 1970; 0: never */
    bool learned;       /* from the peer itself */
};

struct peer_value_note {
    struct p2p__const_iov name, bytes;
};

struct peer_value {
    uint64_t record_seq;        /* of the newest signed record that was believed; 0: none */
    uint64_t lasted_s;          /* when it was last seen to stay, wall time; 0: never */
    struct identity_parts said; /* without addresses, the record not verified */
    size_t note_count;
    struct peer_value_note notes[PEER_VALUE_NOTES_MAX];
    size_t count;
    struct peer_value_addr addrs[PEER_VALUE_ADDRS_MAX];
};

/* 0, or P2P_EPROTO. */
int p2p__peer_value_decode(const uint8_t *in, size_t in_len, struct peer_value *out);
/* Bytes written; addresses that do not fit are left out. */
size_t p2p__peer_value_encode(const struct peer_value *self, uint8_t *out, size_t out_cap);

#endif
