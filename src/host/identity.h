/* What a peer says of itself, in one allocation. */
#ifndef P2P_HOST_IDENTITY_H
#define P2P_HOST_IDENTITY_H

#include <stdbool.h>

#include <p2p/identify.h>

#include "crypto/crypto.h"

enum {
    IDENTITY_PROTOCOL_NAME_MAX = 255, /* bytes; nobody could register a longer one here */
};

/* What a peer says of itself, as views. A field that it did not mention has no base. */
struct identity_parts {
    struct p2p__const_iov public_key, observed, record, protocol_version, agent;
    struct p2p__const_iov addrs[P2P_IDENTITY_ADDRS_MAX];
    size_t addr_count;
    struct p2p__const_iov protocols[P2P_IDENTITY_PROTOCOLS_MAX];
    size_t protocol_count;
    bool any_addrs, any_protocols; /* mentioned, even if none of them is of use */
    bool signed_record;            /* addrs are the record's */
    uint64_t record_seq;
};

/* What was known (NULL: nothing) with what was said in its place, in one allocation
 * that p2p__free frees. A signed record older than the known one changes nothing. NULL: no memory.
 */
p2p_identity *p2p__identity_merge(const p2p_identity *known, const struct identity_parts *said,
                                  const p2p_peer_id *peer);

/* Without a trailing /p2p/PEER of this very peer; addresses of others are not its own. The length
 * to keep, 0 to drop it. */
size_t p2p__identity_addr_len(const p2p_multiaddr *addr, const p2p_peer_id *peer);
/* Unless it is malformed, or there is no room. */
void p2p__identity_add_addr(struct identity_parts *out, struct p2p__const_iov bytes,
                            const p2p_peer_id *peer);
void p2p__identity_add_protocol(struct identity_parts *out, struct p2p__const_iov name);
/* What a peer signed itself counts more than what it just says: the addresses of out->record, which
 * the peer must have signed, take the place of the others. Or what p2p__peer_record_open returns,
 * or P2P_EPEERID, and nothing is changed. */
int p2p__identity_take_record(struct identity_parts *out, const p2p_peer_id *peer);

/* Bytes of all that it holds. */
size_t p2p__identity_size(const p2p_identity *self);

#endif
