/* What limits refused: counted by the option that sets the limit, and told to the application, ten
 * times a second at most. A flood against one limit does not hide what another refuses. */
#ifndef P2P_HOST_REFUSALS_H
#define P2P_HOST_REFUSALS_H

#include <p2p/p2p.h>

#include "conn/shard.h"

enum {
    LIMITS_MAX = 40, /* names in the table of refusals.c */
    LIMIT_EVENTS_PER_S = 10,
};

struct refusal {
    uint64_t count;
    uint64_t told;       /* of them, by an event that came then or later */
    const char *message; /* of the last one; static */
};

struct refusals {
    struct refusal of[LIMITS_MAX];
    struct timer timer;    /* the next window, while something waits to be told */
    uint64_t window_us;    /* its beginning */
    uint32_t window_count; /* events in it */
    size_t next;           /* where the next round of telling starts */
};

/* What is refused by the option called name: message is a static sentence. */
void p2p__refused(p2p_host *host, const char *name, const char *message);
/* In the tell phase: what has not been told. */
void p2p__refusals_tell(p2p_host *host);
/* The index-th limit's name, or NULL past the end. */
const char *p2p__limit_name(size_t index);
uint64_t p2p__refusals_of(const p2p_host *host, size_t index);

#endif
