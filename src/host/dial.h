/* One dial: the peer, who waits for it, and its attempts. dial.c has the waiters and the outcome,
 * attempt.c the attempts. */
#ifndef P2P_HOST_DIAL_H
#define P2P_HOST_DIAL_H

#include "host/host.h"
#include "host/lookups.h"
#include "host/plan.h"

struct attempt {
    struct dial *dial;
    struct addr_copy *addr;
    struct transport *transport;
    struct conn_entry *entry; /* while under way */
    uint64_t start_us;
    bool started, ended;
    bool shared_port, fresh_port; /* dialed from the listening port; must not be */
    bool other_security;          /* the first one was turned down: the others are proposed */
    int code, sys_errno;
    char *error;
};

struct dial {
    struct list node; /* host->dials */
    struct work work;
    struct timer timer;
    p2p_host *host;
    struct peer *peer;    /* NULL: not known until a /dnsaddr has been resolved */
    struct list starving; /* host->starving: another dial's attempt must end first */
    struct attempt attempts[PLAN_MAX];
    size_t attempt_count;
    struct plan plan;       /* of the attempts, by index */
    struct lookups lookups; /* of targets with names */
    struct list streams;    /* p2p_stream.wait */
    struct list ops;        /* p2p_op.wait */
    unsigned flags;         /* enum p2p_dial_flags */
    bool over;
};

/* An address without a name and /p2p/PEER, once. asked: somebody named it, so it is tried even if
 * it failed lately. False: no transport is for it, or no memory. */
bool p2p__attempt_add(struct dial *self, const p2p_multiaddr *addr, bool asked);
/* Starts what is due; when to call again. */
uint64_t p2p__attempts_run(struct dial *self);
/* Its connection is open; or has ended before. */
void p2p__attempt_won(struct attempt *self);
void p2p__attempt_failed(struct attempt *self, const p2p_error *why);
/* The dial is over: those under way are cancelled. */
void p2p__attempts_end(struct dial *self);

#endif
