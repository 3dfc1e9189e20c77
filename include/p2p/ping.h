/* /ipfs/ping/1.0.0 (libp2p specs, ping): 32 random bytes there and back. Served by default; the
 * option "services" names it "ping". */
#ifndef P2P_PING_H
#define P2P_PING_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

#define P2P_PING_PROTOCOL "/ipfs/ping/1.0.0"

/* Serves it, on at most two streams of a peer at a time. As p2p_host_handle. */
P2P_API int p2p_ping_serve(p2p_host *host);

/* Several pings of one peer, all on one stream. */
typedef struct p2p_ping p2p_ping;

typedef struct p2p_ping_opts {
    size_t size;
    int count;           /* how many; default 3, -1: until p2p_ping_stop */
    int interval_ms;     /* from one ping to the next; default 1,000, -1: as soon as it is back */
    int timeout_ms;      /* for each reply; default 10,000, at least 1 */
    int dial_timeout_ms; /* as in p2p_dial_opts */
    unsigned flags;      /* p2p_dial_flags */
} p2p_ping_opts;
#define P2P_PING_OPTS_INIT                                                                         \
    {                                                                                              \
        sizeof(p2p_ping_opts), 0, 0, 0, 0, 0                                                       \
    }

typedef struct p2p_ping_result {
    size_t size;
    uint64_t seq;         /* 0, 1, 2... */
    uint64_t rtt_us;      /* from writing to the whole reply */
    const p2p_error *why; /* NULL: the right reply came */
} p2p_ping_result;

/* Once for each ping, in order. result is valid during the call. */
typedef void (*p2p_ping_cb)(void *user, const p2p_ping_result *result);

/* Starts pinging target (as in p2p_host_open). opts and on_ping may be NULL. done comes once, when
 * all replies are in or given up: it is the last use of the p2p_ping. Its why is NULL also when
 * replies failed; it is set when there never was a stream (and then no ping was sent), with every
 * address tried, and when it was stopped or the host closed (P2P_ECANCELED). A failure later than
 * that is the result of that ping, and the next one opens a new stream, dialing if need be. NULL
 * only when out of memory. */
P2P_API p2p_ping *p2p_ping_start(p2p_host *host, const char *target, const p2p_ping_opts *opts,
                                 p2p_ping_cb on_ping, p2p_done_cb done, void *user);

/* done comes, later, with P2P_ECANCELED; on_ping does not come any more. */
P2P_API void p2p_ping_stop(p2p_ping *ping);

#ifdef __cplusplus
}
#endif

#endif
