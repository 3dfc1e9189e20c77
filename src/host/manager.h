/* Which connections stay: what peers are worth, and the water marks (p2p/manager.h). */
#ifndef P2P_HOST_MANAGER_H
#define P2P_HOST_MANAGER_H

#include <p2p/manager.h>

#include "base/heap.h"
#include "conn/shard.h"

struct conn_entry;
struct peer;

struct care_tag {
    char name[P2P_TAG_MAX + 1];
    int value;
    bool protects;
};

/* What the application has said of a peer. */
struct care {
    struct care_tag tags[P2P_TAGS_MAX];
    size_t count;
};

struct manager {
    uint32_t low, high;
    uint64_t grace_us;
    uint32_t cared; /* peers with care or a keep */
    uint32_t open;  /* connections */
    struct timer timer;
    uint64_t rest_until_us; /* no trimming before */
};

enum {
    MANAGER_CARED_MAX = 4096,
};

/* 0, or P2P_EINVAL with a sentence. */
int p2p__manager_init(p2p_host *host, char *why, size_t why_cap);
void p2p__manager_close(p2p_host *host);
/* One more open connection, or one less. */
void p2p__manager_opened(p2p_host *host, struct conn_entry *entry);
void p2p__manager_closed(p2p_host *host, struct conn_entry *entry);

/* ---- keep.c: peers that are connected to again ---- */

struct keep;

/* From attempt to attempt: twice as long after each failure, up to longest_us, give or take a
 * quarter, so that many who lost the same peer do not come back as one. */
uint64_t p2p__pause_us(p2p_host *host, uint64_t first_us, unsigned doublings, uint64_t longest_us);
/* What the option keep names. 0, or a code with a sentence. */
int p2p__keep_init(p2p_host *host, char *why, size_t why_cap);
void p2p__keep_opened(struct peer *peer);
void p2p__keep_closed(struct peer *peer);
void p2p__keep_free(p2p_host *host, struct peer *peer);
/* The host closes: nothing is tried any more. */
void p2p__keep_stop(p2p_host *host);

#endif
