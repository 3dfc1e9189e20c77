/* What the files of mplex share. Spec: libp2p/specs mplex/README.md (deprecated: it has no flow
 * control; yamux is the better choice wherever the remote has it).
 *
 * mplex.c holds streams and their ends, mplex_in.c parses, mplex_out.c writes frames. */
#ifndef P2P_MUXER_MPLEX_H
#define P2P_MUXER_MPLEX_H

#include "base/map.h"
#include "muxer/muxer.h"

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
    MPLEX_HEADER_MAX = 9 + 3, /* the header, and the length of a body that we send */
    /* Header and body fit into one Noise record (65535 - 16 bytes). */
    MPLEX_BODY_ALONE = 65519 - MPLEX_HEADER_MAX,
    /* When several streams have something due: small turns keep the small ones' wait short. */
    MPLEX_BODY_SHARED = 16 * 1024,
    /* Shorter bodies are copied behind their header: a gather entry costs more than the copy. */
    MPLEX_COPY_BELOW = 2048,
    /* Nothing tells the remote to wait: a reader that leaves more than this loses the stream. */
    MPLEX_UNREAD_MAX = 4 * 1024 * 1024,
    /* Nothing says how many the remote takes; js takes as many, and resets those beyond. */
    MPLEX_STREAMS_OUT_MAX = 1024,
    /* Resets that the remote caused and does not read. Above half, the connection is asked to
     * write before more is parsed; above the whole it ends. */
    MPLEX_CONTROL_MAX = 64 * 1024,
};

struct mplex_stream {
    struct muxer_stream base; /* in.max is what it may leave unread */
    struct map_node node;
    struct mplex_stream *flight; /* next of the streams whose bytes pump_out lent */
    bool announce;               /* outbound: its NewStream has not left */
    bool stopped;                /* bytes are discarded */
    bool answered;               /* bytes of ours have left on it */
    bool in_flight;              /* on the flight list */
};

struct mplex {
    struct muxer base;
    struct map ids;      /* the streams that the remote may name, by id and who opened them */
    struct outq control; /* resets */
    uint64_t next_id;
    uint32_t dead_in; /* inbound streams that are over but not freed */

    struct mplex_stream *body_stream; /* NULL: the body is discarded */
    uint32_t body_left;

    bool told;         /* this frame already asked for a tell */
    bool control_told; /* the backlog of resets already did */
    int failed;        /* the error that ended it, repeated for ever */

    uint8_t *stage; /* headers and small bodies, between pump_out and sent */
    size_t stage_cap;
    struct mplex_stream *flight;
};

static inline struct mplex *mplex_of(const struct muxer_stream *s)
{
    return (struct mplex *)s->muxer;
}

/* --- mplex.c: streams */

/* Ends the connection: the code and a sentence. There is no frame that would tell the remote. */
int p2p__mplex_fail(struct mplex *, int code, const char *error);
/* Room for one more stream, or NULL. */
struct mplex_stream *p2p__mplex_stream_new(struct mplex *, uint64_t id, uint32_t flags);
/* Both sides may give out the same id. */
struct mplex_stream *p2p__mplex_find(const struct mplex *, uint64_t id, bool outbound);
/* The remote may no longer name it; nothing more is sent. Idempotent. */
void p2p__mplex_stream_over(struct mplex_stream *);
/* Both directions are empty and give their memory back. */
void p2p__mplex_stream_drop(struct mplex_stream *);

/* --- mplex_in.c */
int p2p__mplex_pump_in(struct muxer *, struct buf *in, uint64_t now_us);

/* --- mplex_out.c */
size_t p2p__mplex_pump_out(struct muxer *, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes);
void p2p__mplex_sent(struct muxer *);
/* Header and length, at most MPLEX_HEADER_MAX bytes; returns how many. */
size_t p2p__mplex_header(uint8_t *out, uint64_t id, uint32_t flag, size_t length);
/* Queues a reset of a stream that is (or was to be) one of ours or theirs: 0, or the error that
 * ends the connection. */
int p2p__mplex_send_reset(struct mplex *, uint64_t id, bool outbound);
/* Puts the stream on `due` if it can send something. */
void p2p__mplex_make_due(struct mplex_stream *);

#endif
