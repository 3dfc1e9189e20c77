/* What the files of yamux share. Spec: libp2p/specs yamux/README.md; what the deployed ones do
 * beyond it (an error code in a reset's length, FIN on a frame of its own) is followed.
 *
 * yamux.c holds streams and their ends, yamux_in.c parses, yamux_out.c writes frames, yamux_flow.c
 * keeps the windows, the round trip and the allowances of the remote. */
#ifndef P2P_MUXER_YAMUX_H
#define P2P_MUXER_YAMUX_H

#include "muxer/framed.h"

enum yamux_type {
    YAMUX_DATA = 0,
    YAMUX_WINDOW = 1,
    YAMUX_PING = 2,
    YAMUX_GOAWAY = 3,
};

enum yamux_frame_flag {
    YAMUX_SYN = 1,
    YAMUX_ACK = 2,
    YAMUX_FIN = 4,
    YAMUX_RST = 8,
};

enum yamux_goaway {
    YAMUX_NORMAL = 0,
    YAMUX_PROTOCOL_ERROR = 1,
    YAMUX_INTERNAL_ERROR = 2,
};

enum {
    YAMUX_HEADER = 12,
    /* Both sides assume it for every new stream; more comes only by window update. */
    YAMUX_INITIAL_WINDOW = 256 * 1024,
    /* Spec, "ACK backlog": at most this many streams that the remote has not acknowledged. */
    YAMUX_ACK_BACKLOG = 256,
    YAMUX_PONGS_MAX = 32,
    /* Bodies for streams that never were: a mistaken peer is tolerated for this long. */
    YAMUX_DRAIN_MAX = 16 * 1024 * 1024,
};

/* More of muxer_stream.flags. */
enum yamux_stream_flag {
    YAMUX_ACK_DUE = FRAMED_OWN,         /* the ACK need not wait for other output */
    YAMUX_CREDIT_DUE = FRAMED_OWN << 1, /* a window update is to be sent */
};

struct yamux_stream {
    union {
        struct muxer_stream base; /* in.max is the window */
        struct framed_stream framed;
    };
    uint64_t credit_us; /* of the last credit: how fast the window is used up */
    uint32_t send_window;
    uint32_t recv_left; /* what the remote may still send */
    uint32_t owed;      /* consumed (or grown), not yet credited */
};

struct yamux {
    union {
        struct muxer base;
        struct framed framed; /* replies: pongs and resets */
    };
    uint32_t pongs; /* among the replies, since there were none */
    uint32_t next_id;
    uint32_t growth; /* sum of what windows exceed the initial one by */

    bool body_fin; /* FIN takes effect after the body */
    bool ping_due, ping_waiting, keepalive_waiting;
    uint32_t goaway_code;

    uint64_t drain_left;

    uint32_t ping_nonce;
    uint64_t heard_us;     /* anything was received */
    uint64_t keepalive_us; /* the unanswered keep-alive ping was decided */
    uint64_t ping_us;      /* the last ping left */

    uint8_t farewell[YAMUX_HEADER]; /* must leave without memory, too */
};

static inline struct yamux *yamux_of(const struct yamux_stream *s)
{
    return (struct yamux *)s->base.muxer;
}

/* --- yamux.c: streams */

/* Room for one more stream, or NULL. */
struct yamux_stream *p2p__yamux_stream_new(struct yamux *, uint32_t id, uint32_t flags,
                                           uint64_t now_us);
/* Queues a reset frame: 0, or the error that ends the connection. */
int p2p__yamux_send_reset(struct yamux *, uint32_t id, uint32_t code);

/* --- yamux_in.c */
int p2p__yamux_pump_in(struct muxer *, struct buf *in, uint64_t now_us);

/* --- yamux_out.c */
extern const struct framed_ops p2p__yamux_frames;
size_t p2p__yamux_pump_out(struct muxer *, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes);
void p2p__yamux_sent(struct muxer *);
void p2p__yamux_header(uint8_t out[YAMUX_HEADER], enum yamux_type, uint32_t flags, uint32_t id,
                       uint32_t length);
/* A frame that answers the remote: 0, or the error that ends the connection. */
int p2p__yamux_control(struct yamux *, enum yamux_type, uint32_t flags, uint32_t id,
                       uint32_t length);

/* --- yamux_flow.c */
void p2p__yamux_flow_init(struct yamux *, uint64_t now_us);
void p2p__yamux_window_init(struct yamux_stream *, uint64_t now_us);
void p2p__yamux_window_fini(struct yamux_stream *);
/* n bytes left the window. now_us 0: it does not grow. */
void p2p__yamux_credit(struct yamux_stream *, size_t n, uint64_t now_us);
/* The remote may send bytes for a stream that we ended, until it hears of it. */
void p2p__yamux_drain_allow(struct yamux *, uint32_t bytes);
/* false: more than a mistake explains. */
bool p2p__yamux_drain_take(struct yamux *, uint32_t bytes);
void p2p__yamux_heard(struct yamux *, uint64_t now_us);
void p2p__yamux_pong(struct yamux *, uint32_t nonce, uint64_t now_us);
void p2p__yamux_ping(struct muxer *, uint64_t now_us);
uint64_t p2p__yamux_deadline(const struct muxer *);
int p2p__yamux_timeout(struct muxer *, uint64_t now_us);

#endif
