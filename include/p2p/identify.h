/* /ipfs/id/1.0.0 and /ipfs/id/push/1.0.0 (libp2p specs, identify): what a peer says about itself.
 * Served by default; the option "services" names it "identify". A host that serves it asks each
 * peer that it gets connected with, and tells peers when its own addresses or protocols change. */
#ifndef P2P_IDENTIFY_H
#define P2P_IDENTIFY_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

#define P2P_IDENTIFY_PROTOCOL      "/ipfs/id/1.0.0"
#define P2P_IDENTIFY_PUSH_PROTOCOL "/ipfs/id/push/1.0.0"

/* What is kept of a peer's own words. */
enum {
    P2P_IDENTITY_ADDRS_MAX = 128,
    P2P_IDENTITY_PROTOCOLS_MAX = 256,
    P2P_IDENTITY_AGENT_MAX = 256, /* bytes, before escaping; of the protocol version too */
};

typedef struct p2p_identity_addr {
    const uint8_t *bytes; /* a valid multiaddr, without /p2p/PEER at the end */
    size_t len;
} p2p_identity_addr;

/* A peer as it describes itself. Nothing of it is proven but the peer id, and the addresses if
 * signed_record is set (that the peer itself claims them, not that they work). */
typedef struct p2p_identity {
    size_t size;
    p2p_peer_id peer;
    const char *agent;            /* "" if not told; escaped, safe to print */
    const char *protocol_version; /* likewise */
    const char *const *protocols; /* printable UTF-8 */
    size_t protocol_count;
    const p2p_identity_addr *addrs; /* where it listens */
    size_t addr_count;
    p2p_identity_addr observed_addr; /* ours, as it sees us; len 0: not told */
    int signed_record;               /* 1: the addresses are those of its signed peer record */
    uint64_t record_seq;             /* of that record: higher is newer */
    const uint8_t *record;           /* the envelope of that record, or NULL */
    size_t record_len;
    const uint8_t *public_key; /* its protobuf, which the peer id is made of; NULL: not told, or the
                                  id contains it */
    size_t public_key_len;
} p2p_identity;

/* A copy of one of its addresses; P2P_ENOENT past the end. */
P2P_API int p2p_identity_addr_at(const p2p_identity *identity, size_t index, p2p_multiaddr *out);
/* 1 if it serves this protocol, else 0. */
P2P_API int p2p_identity_supports(const p2p_identity *identity, const char *protocol);

/* Serves both protocols, and starts asking and telling. P2P_EEXIST, P2P_ENOMEM. */
P2P_API int p2p_identify_serve(p2p_host *host);

/* identity is valid during the call; NULL with why if there is none: P2P_ETIMEDOUT after five
 * seconds, P2P_EPEERID if it claims to be another peer, P2P_ETOOBIG, P2P_EPROTO... */
typedef void (*p2p_identify_cb)(void *user, const p2p_identity *identity, const p2p_error *why);

/* Asks target (as in p2p_host_open) now. opts may be NULL; its timeout is for dialing. done comes
 * once. Works on a host that does not serve identify, too. 0, or P2P_ENOMEM (done will not come).
 */
P2P_API int p2p_identify_request(p2p_host *host, const char *target, const p2p_dial_opts *opts,
                                 p2p_identify_cb done, void *user);

/* What the peer said of itself last, connected or remembered (<p2p/peerstore.h>), or NULL. Valid
 * until the return to the loop. */
P2P_API const p2p_identity *p2p_identify_peer(const p2p_host *host, const p2p_peer_id *peer);

typedef struct p2p_identify_events {
    size_t size;
    /* A peer was identified, or told of a change. */
    void (*on_identified)(p2p_host *, const p2p_identity *, void *user);
    /* Which of our addresses are believed has changed; how many there are now. */
    void (*on_observed)(p2p_host *, size_t believed, void *user);
} p2p_identify_events;

/* An address of ours as peers see it. It is believed, and told to others like those we listen on,
 * once peers of four networks (/24 of IPv4, /32 of IPv6) in the public internet agree on it, for as
 * long as they are connected and half an hour more; at most three for each listening address. */
typedef struct p2p_observed {
    size_t size;
    p2p_multiaddr addr, local; /* without /p2p/PEER; local: where we listen */
    unsigned networks;         /* that agree */
    int believed;
} p2p_observed;
#define P2P_OBSERVED_INIT                                                                          \
    {                                                                                              \
        sizeof(p2p_observed), {0, {0}}, {0, {0}}, 0, 0                                             \
    }

/* The index-th, believed or not; P2P_ENOENT past the end, or when identify is not served. out->size
 * is the caller's. */
P2P_API int p2p_identify_observed(const p2p_host *host, size_t index, p2p_observed *out);

/* Kept by pointer; NULL: none. P2P_ENOENT if the host does not serve identify. */
P2P_API int p2p_identify_set_events(p2p_host *host, const p2p_identify_events *events, void *user);

#ifdef __cplusplus
}
#endif

#endif
