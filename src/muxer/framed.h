/* What muxers have in common that cut their streams into frames over one byte pipe (yamux, mplex):
 * the streams that the remote may name, how they end, the body that is coming in, the replies that
 * the remote causes, and the writer. What a frame looks like, and who has credit, is theirs.
 *
 * framed.c holds streams and what comes in, framed_out.c begins and ends what goes out, and
 * framed_write.h writes it. */
#ifndef P2P_MUXER_FRAMED_H
#define P2P_MUXER_FRAMED_H

#include "base/map.h"
#include "muxer/muxer.h"

enum {
    FRAMED_HEADER_MAX = 12, /* of a body, in all of them */
    /* Header and body fit into one Noise record (65535 - 16 bytes). */
    FRAMED_BODY_ALONE = 65519 - FRAMED_HEADER_MAX,
    /* When several streams have something due: small turns keep the small ones' wait short. */
    FRAMED_BODY_SHARED = 16 * 1024,
    /* Shorter bodies are copied behind their header: a gather entry costs more than the copy. */
    FRAMED_COPY_BELOW = 2048,
    /* Replies that the remote caused and does not read. Above half, the connection is asked to
     * write before more is parsed; above the whole it ends. */
    FRAMED_CONTROL_MAX = 64 * 1024,
};

/* What a framed muxer's stream starts with. */
struct framed_stream {
    struct muxer_stream base;
    struct map_node node;
    struct framed_stream *flight; /* next of the streams whose bytes pump_out lent */
};

/* More of muxer_stream.flags. */
enum framed_flag {
    FRAMED_ANNOUNCE = 1 << 16,  /* the frame that opens (or accepts) it has not left */
    FRAMED_STOPPED = 1 << 17,   /* bytes are discarded */
    FRAMED_ANSWERED = 1 << 18,  /* bytes of its handler have left on it */
    FRAMED_IN_FLIGHT = 1 << 19, /* on the flight list */
    FRAMED_OWN = 1 << 24,       /* this one and above: the muxer's own */
};

/* What its connection state starts with. */
struct framed {
    struct muxer base;
    const struct framed_ops *frames;
    struct map ids;      /* the streams that the remote may name, by id and who opened them */
    struct outq control; /* replies */
    uint32_t dead_in;    /* inbound streams that are over but not freed */
    uint32_t unacked;    /* outbound ones that are not over and not MUXER_ACKED */

    struct framed_stream *body_stream; /* NULL: the body is discarded */
    uint32_t body_left;

    bool told;         /* this frame already asked for a tell */
    bool control_told; /* the backlog of replies already did */
    bool goaway_due;   /* a farewell has to leave, where there is a frame for one */
    int failed;        /* the error that ended it, repeated for ever */

    uint8_t *stage; /* headers and small bodies, between pump_out and sent */
    size_t stage_cap;
    struct framed_stream *flight;
};

enum framed_due {
    FRAMED_NOT_DUE,
    FRAMED_DUE,
    FRAMED_DUE_FIRST, /* before all others */
};

/* One pump's gather list. */
struct framed_writer {
    struct framed *muxer;
    struct iov *iov;
    size_t iov_cap, count;
    size_t room, bytes; /* of the pump */
    size_t stage_len;
    uint64_t now_us;
};

struct framed_ops {
    enum framed_due (*due)(const struct framed_stream *);
    /* Writes what is due of the stream; alone: no other waits. false: no room for all of it. */
    bool (*write)(struct framed_stream *, struct framed_writer *, bool alone);
    /* The header of a body of len bytes, at most FRAMED_HEADER_MAX; returns its own length. */
    size_t (*body_header)(const struct framed_stream *, uint8_t *out, size_t len);
    /* Queues the reset of a stream that the remote knows: 0, or the error that ends the
     * connection. */
    int (*send_reset)(struct framed_stream *, uint32_t code);
};

static inline struct framed *framed_of(const struct framed_stream *s)
{
    return (struct framed *)s->base.muxer;
}

static inline bool framed_outbound(const struct framed_stream *s)
{
    return (s->base.flags & MUXER_OUTBOUND) != 0;
}

static inline bool framed_announces(const struct framed_stream *s)
{
    return (s->base.flags & FRAMED_ANNOUNCE) != 0;
}

/* --- framed.c: streams */

void p2p__framed_init(struct framed *, const struct framed_ops *, const struct muxer_config *);
/* Ends the connection: the code and a sentence. Returns the code of the first such call. */
int p2p__framed_fail(struct framed *, int code, const char *error);

/* Room for one more stream of ops->stream_size, the rest of it zeroed, or NULL. */
struct framed_stream *p2p__framed_stream_new(struct framed *, uint64_t id, uint32_t flags);
/* Of a stream that the remote may name. Both sides may give out the same id. */
struct framed_stream *p2p__framed_find(const struct framed *, uint64_t id, bool outbound);
/* The remote may no longer name it; nothing more is sent. Idempotent. */
void p2p__framed_over(struct framed_stream *);
/* Frees a stream that is over. */
void p2p__framed_release(struct framed_stream *);
void p2p__framed_close_write(struct muxer_stream *); /* as in muxer_ops */
void p2p__framed_reset(struct muxer_stream *, uint32_t code);
void p2p__framed_fini(struct muxer *);

/* --- framed.c: what comes in */

/* pump_in, of its two halves. take_frame: one frame's header off `in`; 0, STEP_WANT_INPUT,
 * MUXER_TELL with nothing done, or the error that ends the connection. take_body: what `in` (not
 * empty) holds of the body (body_left is not 0); returns likewise. Inline, as in framed_write.h. */
static inline int framed_pump_in(struct framed *self, struct buf *in, uint64_t now_us,
                                 int (*take_frame)(struct framed *, struct buf *, uint64_t),
                                 int (*take_body)(struct framed *, struct buf *, uint64_t))
{
    int code = self->failed;
    while (code == 0) {
        if (self->body_left == 0)
            code = take_frame(self, in, now_us);
        else
            code = buf_len(in) ? take_body(self, in, now_us) : STEP_WANT_INPUT;
    }
    return self->failed ? self->failed : code;
}

/* The remote ended its side. */
void p2p__framed_remote_end(struct framed_stream *);
/* The remote reset it: 0, or the error that ends the connection. */
int p2p__framed_remote_reset(struct framed_stream *, uint64_t now_us);
/* One more stream that was opened and reset before anything came of it. Returns likewise. */
int p2p__framed_reset_take(struct framed *, uint64_t now_us);
/* That stream ends for a fault of its own (`why`: flags), both sides learn of it. Likewise. */
int p2p__framed_break(struct framed_stream *, uint32_t why);
/* So many replies wait that they should leave before more of them are caused. Says so once. */
bool p2p__framed_backlog(struct framed *);

/* What can be taken now of the body: that many bytes of `in`. */
static inline size_t framed_body_len(const struct framed *self, const struct buf *in)
{
    return buf_len(in) < self->body_left ? buf_len(in) : self->body_left;
}

/* Lends the first n bytes of `in` to the stream: 0, MUXER_TELL (not yet), or an error. */
int p2p__framed_lend(struct framed_stream *, struct buf *in, size_t n);

/* n bytes of the body are done with. */
static inline void framed_body_done(struct framed *self, struct buf *in, size_t n)
{
    buf_consume(in, n);
    self->told = false;
    self->body_left -= (uint32_t)n;
    if (self->body_left == 0)
        self->body_stream = NULL;
}

/* --- framed_out.c */

/* A frame that answers the remote: 0, or the error that ends the connection. */
int p2p__framed_control(struct framed *, const uint8_t *frame, size_t len);

/* Puts the stream on `due` if it can send something. */
static inline void framed_make_due(const struct framed_ops *ops, struct framed_stream *s)
{
    if (!list_empty(&s->base.due))
        return;
    enum framed_due due = ops->due(s);
    if (due == FRAMED_DUE)
        list_append(&s->base.muxer->due, &s->base.due);
    else if (due == FRAMED_DUE_FIRST)
        list_prepend(&s->base.muxer->due, &s->base.due);
}

void p2p__framed_make_due(struct framed_stream *);
void p2p__framed_written(struct muxer_stream *); /* as in muxer_ops */

/* A pump: begin, a stage unless nothing needs one, what is due, then end, which returns the
 * pieces. */
void p2p__framed_begin(struct framed *, struct framed_writer *, struct iov *, size_t iov_cap,
                       size_t max_bytes, uint64_t now_us);
/* Without memory for it the connection has failed. */
void p2p__framed_stage(struct framed *);
size_t p2p__framed_end(struct framed_writer *, size_t *bytes);
void p2p__framed_sent(struct muxer *); /* as in muxer_ops */

static inline void framed_bytes_left(struct framed_stream *s)
{
    s->base.flags |= MUXER_WRITABLE;
    muxer_make_ready(&s->base);
}

/* Replies, cut between frames of `unit` bytes only. false: some are left, nothing else may leave.
 */
bool p2p__framed_write_control(struct framed_writer *, size_t unit);

static inline bool framed_end_due(const struct framed_stream *s)
{
    return (s->base.flags & (MUXER_FIN_WANTED | MUXER_FIN_SENT)) == MUXER_FIN_WANTED &&
           outq_unsent(&s->base.out) == 0;
}

/* Our side's last frame has been written. */
void p2p__framed_ended(struct framed_stream *);

#endif
