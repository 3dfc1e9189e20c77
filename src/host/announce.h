/* What is told to others of our addresses, as far as the options announce and no_announce say. */
#ifndef P2P_HOST_ANNOUNCE_H
#define P2P_HOST_ANNOUNCE_H

#include <p2p/p2p.h>

#include "host/rules.h"

enum {
    ANNOUNCE_MAX = 16,
};

struct announce {
    p2p_multiaddr *instead; /* of those that are listened on; without /p2p/PEER */
    size_t count;           /* 0: those that are listened on */
    struct rules never;
};

/* 0, or a code with a sentence. */
int p2p__announce_init(p2p_host *host, char *why, size_t why_cap);
void p2p__announce_fini(p2p_host *host);
/* Whether an address may be told at all. */
bool p2p__announce_may(const p2p_host *host, const p2p_multiaddr *addr);

#endif
