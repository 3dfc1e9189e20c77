/* /perf/1.0.0 (libp2p specs, perf): how fast bytes move. The client says how many bytes it wants,
 * uploads, half-closes; then the server sends. Served only when the option "services" names it
 * ("perf"): it lets every peer ask for any amount of traffic. */
#ifndef P2P_PERF_H
#define P2P_PERF_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

#define P2P_PERF_PROTOCOL "/perf/1.0.0"

/* Serves it. A stream on which nothing moves for a minute is ended. As p2p_host_handle. */
P2P_API int p2p_perf_serve(p2p_host *host);

typedef struct p2p_perf p2p_perf;

typedef struct p2p_perf_result {
    size_t size;
    uint64_t upload_bytes;   /* handed to the connection so far */
    uint64_t download_bytes; /* received so far */
    /* The whole runs from the open stream to the last byte and is the sum of the two phases. The
     * upload ends when the server's answer begins, so that all of it has arrived by then; without
     * an upload, at once, so that the download includes the time to ask for it. */
    uint64_t total_us, upload_us, download_us;
} p2p_perf_result;

/* result is valid during the call; why NULL: everything was moved. */
typedef void (*p2p_perf_cb)(void *user, const p2p_perf_result *result, const p2p_error *why);

/* Measures target (as in p2p_host_open). opts may be NULL; its timeout is for dialing. done comes
 * once and is the last use of the p2p_perf. P2P_ETIMEDOUT when nothing moved for a minute,
 * P2P_EPROTO or P2P_ETRUNCATED when the server sent another amount. NULL only when out of memory.
 */
P2P_API p2p_perf *p2p_perf_run(p2p_host *host, const char *target, uint64_t upload_bytes,
                               uint64_t download_bytes, const p2p_dial_opts *opts, p2p_perf_cb done,
                               void *user);

/* How far it is. */
P2P_API void p2p_perf_progress(const p2p_perf *perf, p2p_perf_result *out);

/* done comes, later, with P2P_ECANCELED. */
P2P_API void p2p_perf_stop(p2p_perf *perf);

#ifdef __cplusplus
}
#endif

#endif
