/* What both sides of perf do: send an amount of bytes that nobody looks at. */
#ifndef P2P_SERVICES_PERF_H
#define P2P_SERVICES_PERF_H

#include <p2p/p2p.h>

enum {
    PERF_BLOB_LEN = 64 * 1024,
    /* The window of a long path must grow as far as it takes: the whole connection's share. */
    PERF_MEMORY = INT32_MAX,
    PERF_SIZE_LEN = 8, /* the amount that is asked for, big-endian */
};

/* PERF_BLOB_LEN bytes to send again and again; NULL: no memory. */
p2p_blob *p2p__perf_blob(void);

/* Hands over as much of *left as the stream takes now, without copying. 1 when nothing is left, 0
 * when on_drain will come, or a negative code. */
int p2p__perf_send(p2p_stream *stream, p2p_blob *blob, uint64_t *left);

#endif
