/* Peers through which a host finds others: those that the option "bootstrap" names, and those that
 * it once dialed and that stayed. */
#ifndef P2P_HOST_BOOTSTRAP_H
#define P2P_HOST_BOOTSTRAP_H

#include <p2p/p2p.h>

#include "conn/shard.h"

enum {
    BOOTSTRAP_ENOUGH = 4,             /* open connections with which nothing is dialed */
    BOOTSTRAP_LEARNED_MAX = 32,       /* peers that stayed */
    BOOTSTRAP_FIRST_US = 5000 * 1000, /* after the first attempts; twice as long when all failed */
    BOOTSTRAP_LONGEST_US = 300 * 1000 * 1000,
    BOOTSTRAP_LASTING_US = 30 * 1000 * 1000,     /* a connection that held so long */
    BOOTSTRAP_LOOK_US = 60 * 1000 * 1000,        /* from look to look when there are enough */
    BOOTSTRAP_KEPT_MS = 7 * 24 * 60 * 60 * 1000, /* learned addresses of those that stayed */
};

struct peer;

struct bootstrap_try {
    p2p_host *host;
    p2p_op *op; /* or NULL */
};

struct bootstrap {
    struct timer timer;
    struct bootstrap_try tries[BOOTSTRAP_ENOUGH];
    size_t next; /* of those configured, counted round and round */
    unsigned failures;
};

/* 0, or a code with a sentence: the option names no peer. */
int p2p__bootstrap_init(p2p_host *host, char *why, size_t why_cap);
void p2p__bootstrap_close(p2p_host *host);

#endif
