/* Addresses of ours as others see them. One peer's word is worth nothing, nor that of many who may
 * be one: an address is believed once observers of OBSERVED_GROUPS different networks name it. No
 * clock, no host: a table of votes. */
#ifndef P2P_SERVICES_OBSERVED_H
#define P2P_SERVICES_OBSERVED_H

#include <stdbool.h>

#include <p2p/multiaddr.h>

#include "base/list.h"

enum {
    OBSERVED_GROUPS = 4,       /* networks that must agree */
    OBSERVED_VOTES_MAX = 256,  /* each of one connection */
    OBSERVED_BELIEVED_MAX = 3, /* of one listening address */
    OBSERVED_ADDR_MAX = 64,    /* bytes; longer ones are none that we could have */
};

/* How long a vote holds once its connection has ended. */
#define OBSERVED_HOLD_US (30ull * 60 * 1000 * 1000)

struct observed_addr {
    uint8_t len;
    uint8_t bytes[OBSERVED_ADDR_MAX];
};

struct observed_vote {
    struct list node;
    uint64_t conn;     /* its id */
    uint64_t until_us; /* HEAP_NEVER while it is open */
    struct observed_addr local, seen;
    uint8_t group[5]; /* family, and /24 of IPv4 or /32 of IPv6 */
    bool counted;     /* the first of its group for that pair */
    unsigned groups;  /* of the pair; only where counted */
};

struct observed {
    struct list votes; /* the oldest first */
    size_t count;
};

void p2p__observed_init(struct observed *self);
void p2p__observed_fini(struct observed *self);

/* What the peer at the other end of a connection says: local and remote are its ends, seen is what
 * it calls ours. A word of no use is not kept: an address that nobody could reach us at from afar,
 * or of another kind than local. True if something is to be counted again. */
bool p2p__observed_note(struct observed *self, uint64_t conn, const p2p_multiaddr *local,
                        const p2p_multiaddr *remote, const p2p_multiaddr *seen);
/* The connection has ended. True: its vote is to be looked at when it runs out. */
bool p2p__observed_gone(struct observed *self, uint64_t conn, uint64_t now_us);
/* Drops what has run out. When the next one does, or HEAP_NEVER. */
uint64_t p2p__observed_expire(struct observed *self, uint64_t now_us);

/* The index-th pair of a listening address and what it is seen as, with how many groups say so;
 * false past the end. Believed are those of at least OBSERVED_GROUPS groups, and of each listening
 * address at most OBSERVED_BELIEVED_MAX, those that most agree on. */
bool p2p__observed_at(struct observed *self, size_t index, p2p_multiaddr *local,
                      p2p_multiaddr *seen, unsigned *groups, bool *believed);

#endif
