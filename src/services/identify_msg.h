/* The Identify message (libp2p specs, identify) as pure functions: our own in parts, a peer's
 * checked and decoded. On the wire it is one or several
 * length-prefixed parts; as in protobuf, the message is what they make one behind the other. */
#ifndef P2P_SERVICES_IDENTIFY_MSG_H
#define P2P_SERVICES_IDENTIFY_MSG_H

#include <stdbool.h>

#include <p2p/identify.h>

#include "crypto/crypto.h"
#include "host/identity.h"

enum {
    IDENTIFY_PART_MAX = 8 * 1024, /* bytes that we read; what go-libp2p reads */
    IDENTIFY_PARTS_MAX = 10,      /* go's too */
    IDENTIFY_OWN_PART_MAX = 4096, /* bytes with its prefix that we write: rust-libp2p reads no more
                                     than 4 KiB, and only the first part */
    /* All that can be on a stream before it is one part or one byte too much. */
    IDENTIFY_WIRE_MAX = IDENTIFY_PARTS_MAX * (IDENTIFY_PART_MAX + 2),
};

/* What we say; everything is borrowed. An iov without bytes is left out. */
struct identify_own {
    struct p2p__const_iov public_key, observed, record;
    const char *protocol_version, *agent;
    const struct p2p__const_iov *addrs;
    size_t addr_count;
    const char *const *protocols;
    size_t protocol_count;
};

struct identify_cursor {
    size_t next, parts; /* 0 at first */
};

/* The next part with its length prefix, at most IDENTIFY_OWN_PART_MAX bytes, or 0 when all is said.
 * A field that does not fit in any part is left out, and so are the last protocols if they would
 * take more than IDENTIFY_PARTS_MAX parts with all that goes before and behind. The order is that
 * of importance: the first part is all that some peers read. */
size_t p2p__identify_encode(const struct identify_own *own, struct identify_cursor *cursor,
                            uint8_t out[IDENTIFY_OWN_PART_MAX]);

/* May what came so far become a message? 0, P2P_ETOOBIG (a part too long, or too many), P2P_EPROTO;
 * and, when nothing more will come, P2P_ETRUNCATED if it is none. */
int p2p__identify_check(const uint8_t *in, size_t in_len, bool ended);

/* All parts of a message of this peer. Addresses and protocols that are malformed, and those above
 * the caps, are left out, and so is a signed record that is not this peer's or does not verify.
 * 0; P2P_EPROTO or what p2p__identify_check says; P2P_EPEERID or P2P_EKEY if it claims to be
 * another peer: nothing of it may then be used. */
int p2p__identify_decode(const uint8_t *in, size_t in_len, const p2p_peer_id *peer,
                         struct identity_parts *out);

#endif
