/* What a multiaddr says about the way to a peer: its IP address and how far that reaches, and what
 * is spoken over it. For ranking, limits and what to announce; pure, and cheap enough to be asked
 * again rather than kept. */
#ifndef P2P_CODEC_ADDR_FACTS_H
#define P2P_CODEC_ADDR_FACTS_H

#include <stdbool.h>
#include <string.h>

#include <p2p/multiaddr.h>
#include <p2p/peer_id.h>

enum addr_reach {
    REACH_NONE,       /* no IP address: a name, a path, a number */
    REACH_LOOPBACK,   /* this machine */
    REACH_LINK_LOCAL, /* this wire */
    REACH_PRIVATE,    /* this network, carriers' shared space included (RFC 1918, 4193, 6598) */
    REACH_PUBLIC,
    REACH_UNUSABLE, /* unspecified, multicast, reserved */
};

enum addr_kind {
    KIND_OTHER,
    KIND_QUIC,
    KIND_WEBTRANSPORT,
    KIND_WEBRTC,
    KIND_TCP,
    KIND_WS,
    KIND_WSS,
    KIND_UNIX,
    KIND_MEMORY,
    KIND_RELAY, /* over another peer, whatever leads to that one */
};

struct addr_facts {
    enum addr_reach reach;
    enum addr_kind kind;
    bool udp;
    bool any;       /* 0.0.0.0 or :: */
    uint8_t family; /* 4, 6, or 0: no IP address. An IPv4 address mapped into IPv6 is judged as the
                       IPv4 address it is, but stays of family 6 */
    uint8_t ip[16];
    uint16_t port;
    size_t ip_at, ip_end; /* where the IP component lies, its zone included */
};

void p2p__addr_facts(const p2p_multiaddr *addr, struct addr_facts *out);
enum addr_reach p2p__ip_reach(uint8_t family, const uint8_t *ip);

/* Appends /p2p/PEER. */
void p2p__addr_append_peer(p2p_multiaddr *self, const p2p_peer_id *peer);
/* Takes a last /p2p/PEER off: true with the peer, or false, and peer->len is 0. */
bool p2p__addr_take_peer(p2p_multiaddr *self, p2p_peer_id *peer);
/* The same address with another front instead of its IP and zone; the address itself when it has
 * none. P2P_ETOOBIG. */
int p2p__addr_with_front(const p2p_multiaddr *self, const struct addr_facts *facts,
                         const p2p_multiaddr *front, p2p_multiaddr *out);

static inline bool p2p__addr_equal(const p2p_multiaddr *a, const p2p_multiaddr *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

#endif
