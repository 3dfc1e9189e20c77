/* What a dial is asked for: a multiaddr with a peer id, a name that leads to some, a peer id. */
#ifndef P2P_HOST_TARGET_H
#define P2P_HOST_TARGET_H

#include <p2p/p2p.h>

enum target_kind {
    TARGET_PEER, /* its known addresses */
    TARGET_ADDR, /* addr, which ends before /p2p/PEER */
    TARGET_NAME, /* addr, whole, which has a name to be resolved first */
};

struct target {
    enum target_kind kind;
    p2p_peer_id peer; /* len 0: whom a /dnsaddr leads to */
    p2p_multiaddr addr;
};

/* 0, or a code and a sentence in why: P2P_EADDR, P2P_EPEERID, P2P_ENOTSUP. */
int p2p__target_parse(const p2p_host *host, const char *text, struct target *out, char *why,
                      size_t why_cap);

#endif
