/* What the files of mplex share. Spec: libp2p/specs mplex/README.md (deprecated: it has no flow
 * control; yamux is the better choice wherever the remote has it).
 *
 * mplex.c holds streams and their ends, mplex_in.c parses, mplex_out.c writes frames. */
#ifndef P2P_MUXER_MPLEX_H
#define P2P_MUXER_MPLEX_H

#include "muxer/framed.h"

/* Each but NewStream has a twin one above it, which the stream's initiator sends. */
enum mplex_flag {
    MPLEX_NEW_STREAM = 0,
    MPLEX_MESSAGE = 1,
    MPLEX_CLOSE = 3,
    MPLEX_RESET = 5,
    MPLEX_BY_INITIATOR = 1,
    MPLEX_FLAG_MAX = MPLEX_RESET + MPLEX_BY_INITIATOR,
};

/* Spec, "Message format": a header is at most nine bytes, so an id at most 60 bits. */
#define MPLEX_ID_MAX (((uint64_t)1 << 60u) - 1)

enum {
    /* Spec, "Writing to a stream": "up to 1MiB per message". */
    MPLEX_LENGTH_MAX = 1024 * 1024,
    /* Nothing tells the remote to wait: a reader that leaves more than this loses the stream. */
    MPLEX_UNREAD_MAX = 4 * 1024 * 1024,
    /* Nothing says how many the remote takes; js takes as many, and resets those beyond. */
    MPLEX_STREAMS_OUT_MAX = 1024,
};

struct mplex {
    union {
        struct muxer base;
        struct framed framed; /* replies: resets */
    };
    uint64_t next_id;
};

/* --- mplex.c */

/* Room for one more stream, or NULL. */
struct framed_stream *p2p__mplex_stream_new(struct mplex *, uint64_t id, uint32_t flags);

/* --- mplex_in.c */
int p2p__mplex_pump_in(struct muxer *, struct buf *in, uint64_t now_us);

/* --- mplex_out.c */
extern const struct framed_ops p2p__mplex_frames;
size_t p2p__mplex_pump_out(struct muxer *, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes);
/* Header and length, at most FRAMED_HEADER_MAX bytes; returns how many. */
size_t p2p__mplex_header(uint8_t *out, uint64_t id, uint32_t flag, size_t length);
/* Queues a reset of a stream that is (or was to be) one of ours or theirs: 0, or the error that
 * ends the connection. */
int p2p__mplex_send_reset(struct mplex *, uint64_t id, bool outbound);

#endif
