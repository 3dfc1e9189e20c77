/* A muxer turns one ordered, reliable byte pipe into many streams. Pure: bytes and state; time is
 * an argument; never a call upward. It marks its streams and queues them on `ready`; the connection
 * looks at their state and tells the application.
 *
 * Frames go out as a gather list (header, body, header, body...), so that a body is never copied
 * behind its header; a body comes in borrowed from the decrypted record. */
#ifndef P2P_MUXER_MUXER_H
#define P2P_MUXER_MUXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/outq.h"
#include "base/pool.h"
#include "base/rate.h"
#include "crypto/crypto.h"
#include "layer/layer.h"

enum {
    MUXER_TELL = 16, /* a step of pump_in: tell the ready streams, then call again */

    /* What pump_out asks for at least, so that "nothing due" is never "no room". */
    MUXER_OUT_IOV_MIN = 4,
    MUXER_OUT_BYTES_MIN = 64,

    /* Streams opened and reset before their handler was done: no use of a protocol needs more, an
     * attack with handler starts does. */
    MUXER_RESETS_PER_S = 200,
    MUXER_RESETS_BURST = 512,
};

struct muxer_config {
    bool initiator;
    uint32_t streams_in_max;    /* open inbound streams; more are reset at once */
    uint32_t stream_window;     /* bytes a stream may receive unread, at first (yamux: 256 KiB) */
    uint32_t stream_window_max; /* to which it may grow */
    uint32_t conn_window_max;   /* cap on the sum of all windows' growth */
    uint32_t keepalive_ms;      /* ping after this much silence; 0: never */
    uint32_t keepalive_timeout_ms; /* an unanswered ping ends the connection */
    struct rate *resets;   /* the allowance that a remote's connections share; NULL: its own */
    uint32_t resets_per_s; /* 0: MUXER_RESETS_PER_S */
    uint32_t unread_max;   /* bytes of a stream, where there is no flow control (mplex); 0: its
                              default */
    size_t stream_head;    /* bytes of the connection's own struct before each muxer_stream */
    struct hash_key hash_key;
    struct pool *pool;
};

/* What every muxer's connection state starts with. */
struct muxer {
    const struct muxer_ops *ops;
    struct muxer_config config;
    struct list ready;                /* muxer_stream.ready: something to tell */
    struct list due;                  /* muxer_stream.due: something to send */
    struct list streams;              /* muxer_stream.all */
    uint32_t streams_in, streams_out; /* open ones */
    uint32_t rtt_us;                  /* last measured, 0: unknown */
    bool goaway_received;             /* open no more streams */
    bool goaway_sent;
    uint32_t remote_code; /* of the remote's go-away */
    const char *error;    /* a sentence (static) for a negative return */
    const char *limit;    /* with P2P_ELIMIT: the option that sets what was hit, or NULL */
    struct rate own_resets;
    uint32_t refused; /* inbound streams over streams_in_max, until the owner has counted them */
};

enum muxer_flag {
    MUXER_NEW = 1 << 0,      /* inbound, not yet told; cleared by the connection */
    MUXER_READABLE = 1 << 1, /* bytes arrived since the connection last cleared it */
    MUXER_EOF = 1 << 2,      /* the remote ended its side (bytes may be left in `in`) */
    MUXER_RESET = 1 << 3,    /* the remote reset it; remote_code is set */
    MUXER_WRITABLE = 1 << 4, /* bytes of `out` left; cleared by the connection */
    MUXER_DONE = 1 << 5,     /* both sides ended and all is sent, or reset: nothing more happens */
    MUXER_FIN_WANTED = 1 << 6, /* close_write was called */
    MUXER_FIN_SENT = 1 << 7,   /* and need not be sent again */
    MUXER_RESET_SENT = 1 << 8,
    MUXER_OUTBOUND = 1 << 9,
    MUXER_ACKED = 1 << 10, /* outbound: the remote acknowledged the stream */
    /* With MUXER_RESET: we reset it, because its reader left more than a muxer without flow control
     * can keep. */
    MUXER_OVERRUN = 1 << 11,
};

/* What every muxer's stream starts with. It sits config.stream_head bytes into its allocation. */
struct muxer_stream {
    struct list ready, due, all;
    struct muxer *muxer;
    struct buf in;   /* received, unread; in.max is the window */
    struct outq out; /* written, not yet framed */
    uint64_t id;
    uint32_t window_max; /* to which `in.max` may grow: the config's, until the owner sets it */
    uint32_t preamble;   /* bytes at the head of `out` that agree on a protocol: no answer yet */
    uint32_t flags;
    uint32_t remote_code; /* of a reset by the remote */
};

struct session_ops;

struct muxer_ops {
    const char *id;     /* "/yamux/1.0.0"; NULL: a session's own streams */
    size_t conn_size;   /* struct muxer and more */
    size_t stream_size; /* struct muxer_stream and more */

    /* self: zeroed memory of conn_size. */
    int (*init)(struct muxer *self, const struct muxer_config *, uint64_t now_us);

    /* Parses `in`: STEP_WANT_INPUT (all that could be was taken), MUXER_TELL (a stream's reader
     * must be told before the next body is taken, because both are borrowed; or what is over should
     * be freed and what is due be sent before more is caused), or an error that ends the connection
     * (what pump_out then gives is the farewell). A stream's body is lent to it: the connection
     * settles the streams of `ready` before `in`'s memory is reused. */
    int (*pump_in)(struct muxer *self, struct buf *in, uint64_t now_us);

    /* Fills iov with up to max_bytes of frames, fair among the due streams; returns the pieces, and
     * their sum in *bytes; 0 pieces: nothing due. They stay valid until sent() is called, which
     * must come before anything else is asked of the muxer: the bytes have been copied or sealed.
     */
    size_t (*pump_out)(struct muxer *self, struct iov *iov, size_t iov_cap, size_t max_bytes,
                       uint64_t now_us, size_t *bytes);
    void (*sent)(struct muxer *self);

    /* A new outbound stream, or NULL (*code: P2P_ENOMEM, P2P_ELIMIT, P2P_ECLOSED after a go-away).
     * Its first frame leaves with the next pump_out. */
    struct muxer_stream *(*open)(struct muxer *self, int *code);
    /* The connection appended to s->out, or wants FIN: put it on `due`. */
    void (*written)(struct muxer_stream *);
    /* The reader consumed n bytes of s->in: credit may go back. */
    void (*consumed)(struct muxer_stream *, size_t n, uint64_t now_us);
    void (*close_write)(struct muxer_stream *);
    /* Drops both directions. Idempotent; nothing is told afterwards. */
    void (*reset)(struct muxer_stream *, uint32_t code);
    /* The reader lost interest: bytes that still come are discarded and credited. */
    void (*stop)(struct muxer_stream *);
    /* The connection is finished with a stream (DONE, or reset): the muxer frees the allocation. A
     * stream that is not over is reset first. */
    void (*stream_free)(struct muxer_stream *);

    /* A farewell with this code is queued; no new streams either way. Code 0 leaves after all that
     * is due, any other at once: deployed remotes drop everything when they see it. */
    void (*goaway)(struct muxer *self, uint32_t code);
    /* A ping to measure the round trip; result in self->rtt_us. */
    void (*ping)(struct muxer *self, uint64_t now_us);
    /* When pump_out must be called though nothing else happens; UINT64_MAX: never. */
    uint64_t (*deadline)(const struct muxer *self);
    /* At a deadline: 0, or the error that ends the connection (P2P_ETIMEDOUT). */
    int (*timeout)(struct muxer *self, uint64_t now_us);
    /* Frees the streams that are left, without telling anybody. */
    void (*fini)(struct muxer *self);
    /* NULL, unless it is a session (session.h). */
    const struct session_ops *session;
};

static inline void muxer_make_ready(struct muxer_stream *self)
{
    if (list_empty(&self->ready))
        list_append(&self->muxer->ready, &self->ready);
}

/* Bytes of `out` leave: true if the last of them is an answer of the handler's. */
static inline bool muxer_answers(struct muxer_stream *self, size_t n)
{
    bool answers = n > self->preamble;
    self->preamble -= answers ? self->preamble : (uint32_t)n;
    return answers;
}

/* The remote throws work of ours away. False: more often than is borne. */
static inline bool muxer_reset_take(struct muxer *self, uint64_t now_us)
{
    const struct muxer_config *config = &self->config;
    uint32_t per_s = config->resets_per_s ? config->resets_per_s : MUXER_RESETS_PER_S;
    if (rate_take(config->resets ? config->resets : &self->own_resets, now_us, 1000000 / per_s,
                  MUXER_RESETS_BURST))
        return true;
    self->limit = "stream_resets";
    return false;
}

extern const struct muxer_ops p2p__muxer_yamux;
extern const struct muxer_ops p2p__muxer_mplex; /* off unless asked for */

#endif
