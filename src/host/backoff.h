/* Addresses that failed lately, and kinds of address behind which nothing came through lately.
 * Pure: the time is an argument. */
#ifndef P2P_HOST_BACKOFF_H
#define P2P_HOST_BACKOFF_H

#include <p2p/peer_id.h>

#include "base/list.h"
#include "base/map.h"
#include "codec/addr_facts.h"

enum {
    BACKOFF_MAX = 1024,             /* addresses; beyond it the one not touched for longest goes */
    BACKOFF_FIRST_US = 5 * 1000000, /* doubled with each failure in a row */
    BACKOFF_LONGEST_US = 300 * 1000000,
};

struct backoff {
    struct hash_key key;
    struct map map;
    struct list oldest_first;
};

void p2p__backoff_init(struct backoff *self, const struct hash_key *key);
void p2p__backoff_fini(struct backoff *self);
/* Until when the address is better not tried; 0: it may be. */
uint64_t p2p__backoff_until(const struct backoff *self, const p2p_peer_id *peer,
                            const p2p_multiaddr *addr, uint64_t now_us);
/* Out of memory: it is not remembered. */
void p2p__backoff_failed(struct backoff *self, const p2p_peer_id *peer, const p2p_multiaddr *addr,
                         uint64_t now_us);
void p2p__backoff_worked(struct backoff *self, const p2p_peer_id *peer, const p2p_multiaddr *addr);

/* Networks that swallow UDP, or IPv6, do so without a word: one that let almost nothing through
 * among the last dials is a black hole, and is probed from time to time. */
enum {
    HOLE_WINDOW = 32,   /* dials that count */
    HOLE_EVIDENCE = 16, /* at least so many, and at most one of them worked */
    HOLE_PROBE = 16,    /* each so many-th dial is let through as usual */
};

struct black_hole {
    uint32_t outcomes; /* the last ones, a bit each; 1: it worked */
    uint32_t known;    /* how many of them, up to HOLE_WINDOW */
    uint32_t asked;    /* while it is one */
};

void p2p__hole_record(struct black_hole *self, bool worked);
/* Whether a dial that goes there should wait for all others. */
bool p2p__hole_avoid(struct black_hole *self);

#endif
