/* What a host takes on, and what it has refused. Limits are options (p2p_config_set); this shows
 * how far each is used. They count by scope: the whole host, peers that have not proven who they
 * are, a peer, a protocol, a connection, a stream. What is over a limit is refused, counted here,
 * and told by p2p_host_events.on_limit; the rest goes on.
 *
 * Like everything in p2p.h these belong to the thread of the host's loop. */
#ifndef P2P_LIMITS_H
#define P2P_LIMITS_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limit by limit ---- */

typedef struct p2p_limit_info {
    size_t size;
    const char *name;  /* of the option that sets it; static storage */
    uint64_t value;    /* what is allowed: a number, bytes or milliseconds */
    uint64_t used;     /* of a limit of the whole host, what it uses now; else 0 */
    uint64_t refusals; /* since the host was made */
} p2p_limit_info;
#define P2P_LIMIT_INFO_INIT                                                                        \
    {                                                                                              \
        sizeof(p2p_limit_info), NULL, 0, 0, 0                                                      \
    }

/* The index-th limit; P2P_ENOENT past the end. out->size is the caller's. */
P2P_API int p2p_host_limit_at(const p2p_host *host, size_t index, p2p_limit_info *out);

/* How often that limit has refused something since the host was made; 0 for a name that is none. */
P2P_API uint64_t p2p_host_refusals(const p2p_host *host, const char *limit);

#ifdef __cplusplus
}
#endif

#endif
