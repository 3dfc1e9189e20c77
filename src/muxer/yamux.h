/* What the files of yamux share. Spec: libp2p/specs yamux/README.md; what the deployed ones do
 * beyond it (an error code in a reset's length, FIN on a frame of its own) is followed.
 *
 * yamux.c holds streams and their ends, yamux_in.c parses, yamux_out.c writes frames, yamux_flow.c
 * keeps the windows, the round trip and the allowances of the remote. */
#ifndef P2P_MUXER_YAMUX_H
#define P2P_MUXER_YAMUX_H

#include "base/map.h"
#include "muxer/muxer.h"

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
    /* Header and body fill exactly one Noise record (65535 - 16 bytes). */
    YAMUX_BODY_ALONE = 65519 - YAMUX_HEADER,
    /* When several streams have something due: small turns keep the small ones' wait short. */
    YAMUX_BODY_SHARED = 16 * 1024,
    /* Shorter bodies are copied behind their header: a gather entry costs more than the copy. */
    YAMUX_COPY_BELOW = 2048,
    /* Replies that the remote caused and does not read. Above half, the connection is asked to
     * write before more is parsed; above the whole it ends. */
    YAMUX_CONTROL_MAX = 64 * 1024,
    YAMUX_PONGS_MAX = 32,
    /* Bodies for streams that never were: a mistaken peer is tolerated for this long. */
    YAMUX_DRAIN_MAX = 16 * 1024 * 1024,
};

struct yamux_stream {
    struct muxer_stream base; /* in.max is the window */
    struct map_node node;
    struct yamux_stream *flight; /* next of the streams whose bytes pump_out lent */
    uint64_t credit_us;          /* of the last credit: how fast the window is used up */
    uint32_t send_window;
    uint32_t recv_left;  /* what the remote may still send */
    uint32_t owed;       /* consumed (or grown), not yet credited */
    bool announce : 1;   /* SYN, or ACK of an inbound stream, has not left */
    bool ack_due : 1;    /* the ACK need not wait for other output */
    bool credit_due : 1; /* a window update is to be sent */
    bool stopped : 1;    /* bytes are discarded */
    bool answered : 1;   /* bytes of its handler have left on it */
    bool in_flight : 1;  /* on the flight list */
};

struct yamux {
    struct muxer base;
    struct map ids;      /* the streams that the remote may name */
    struct outq control; /* pongs and resets */
    uint32_t pongs;      /* among them, since it was last empty */
    uint32_t next_id;
    uint32_t unacked; /* outbound streams */
    uint32_t dead_in; /* inbound streams that are over but not freed */
    uint32_t growth;  /* sum of what windows exceed the initial one by */

    struct yamux_stream *body_stream; /* NULL: the body is discarded */
    uint32_t body_left;
    bool body_fin; /* FIN takes effect after the body */

    bool told;         /* this frame already asked for a tell */
    bool control_told; /* the backlog of replies already did */
    bool ping_due, ping_waiting, keepalive_waiting;
    bool goaway_due;
    uint32_t goaway_code;
    int failed; /* the error that ended it, repeated for ever */

    uint64_t drain_left;

    uint32_t ping_nonce;
    uint64_t heard_us;     /* anything was received */
    uint64_t keepalive_us; /* the unanswered keep-alive ping was decided */
    uint64_t ping_us;      /* the last ping left */

    uint8_t *stage; /* headers and small bodies, between pump_out and sent */
    size_t stage_cap;
    struct yamux_stream *flight;
    size_t control_lent;
    uint8_t farewell[YAMUX_HEADER]; /* must leave without memory, too */
};

static inline struct yamux *yamux_of(const struct muxer_stream *s)
{
    return (struct yamux *)s->muxer;
}

/* --- yamux.c: streams */

/* Ends the connection: the code, a sentence, and the go-away that tells the remote. */
int p2p__yamux_fail(struct yamux *, int code, enum yamux_goaway, const char *error);
/* Room for one more stream, or NULL. */
struct yamux_stream *p2p__yamux_stream_new(struct yamux *, uint32_t id, uint32_t flags);
struct yamux_stream *p2p__yamux_find(const struct yamux *, uint32_t id);
/* The remote may no longer name it; nothing more is sent. Idempotent. */
void p2p__yamux_stream_over(struct yamux_stream *);
/* Both directions are empty and give their memory back. */
void p2p__yamux_stream_drop(struct yamux_stream *);
/* Queues a reset frame: 0, or the error that ends the connection. */
int p2p__yamux_send_reset(struct yamux *, uint32_t id, uint32_t code);

/* --- yamux_in.c */
int p2p__yamux_pump_in(struct muxer *, struct buf *in, uint64_t now_us);

/* --- yamux_out.c */
size_t p2p__yamux_pump_out(struct muxer *, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes);
void p2p__yamux_sent(struct muxer *);
void p2p__yamux_header(uint8_t out[YAMUX_HEADER], enum yamux_type, uint32_t flags, uint32_t id,
                       uint32_t length);
/* A frame that answers the remote: 0, or the error that ends the connection. */
int p2p__yamux_control(struct yamux *, enum yamux_type, uint32_t flags, uint32_t id,
                       uint32_t length);
/* Puts the stream on `due` if it can send something. */
void p2p__yamux_make_due(struct yamux_stream *);

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
