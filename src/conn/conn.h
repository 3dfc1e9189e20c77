/* One connection: a link, a secure channel over it, a muxer over that, and streams. The only place
 * where they meet.
 *
 * One enum of stages and one idempotent, level-triggered run: pump (bytes move, no application code
 * on the stack), tell (callbacks, which only copy and mark), settle (nothing stays borrowed). */
#ifndef P2P_CONN_CONN_H
#define P2P_CONN_CONN_H

#include <p2p/p2p.h>

#include "conn/multistream.h"
#include "conn/protocols.h"
#include "conn/shard.h"
#include "conn/stack.h"
#include "muxer/session.h"

struct transport;
struct addr_copy;

enum conn_stage {
    CONN_CONNECTING,
    CONN_UNDER, /* what lies under the secure channel: a private network, WebSocket */
    CONN_SECURITY_SELECT,
    CONN_SECURITY_STEP,
    CONN_MUXER_SELECT,
    CONN_OPEN,
    CONN_CLOSING, /* nothing new; what was promised is delivered; a farewell */
    CONN_UNREAD,  /* all is said; streams that came whole wait for their readers */
    CONN_DEAD,
};

/* Why something ended. Strings are static or belong to the connection. */
struct ending {
    int code; /* enum p2p_code; 0: in order */
    int sys_errno;
    uint32_t remote_code;
    const char *message, *limit;
    bool remote; /* its end, not ours: streams that it had ended before stay readable */
};

/* What one peer uses, over all its connections; the host owns it. */
struct peer_load {
    uint32_t conns;
    uint32_t streams_in, streams_out;
    size_t held_bytes;  /* unread and unsent, of all its streams */
    struct rate resets; /* muxer_config.resets */
    uint16_t *by_slot;  /* slot_count counters, while streams_in > 0 */
    size_t slot_count;  /* as far as the highest slot needed so far */
};

enum {
    CONN_NAME_MAX = 253, /* a domain name's text (RFC 1035, 2.3.4) */
};

/* What only a connection in the making needs. */
struct upgrade {
    struct multistream select;
    struct layer_config config;
    struct layer_result result;
    struct outq plain_out; /* the muxer's negotiation, not yet sealed */
    p2p_peer_id expected;
    char name[CONN_NAME_MAX + 1];   /* of the remote, as it was dialed; empty: by its address */
    char host[CONN_NAME_MAX + 9];   /* what a WebSocket's upgrade asks for: with brackets, a port */
    char server[CONN_NAME_MAX + 1]; /* whose certificate a secure one must show */
    bool optimistic;                /* the first handshake message left with the proposal */
    uint8_t security_first, security_count; /* which of the shard's are proposed; 0: all */
    const struct layer_ops *layer;          /* whose handshake is under way */
    void *layer_state, *handshake;
};

struct p2p_conn {
    struct work work;
    struct timer timer;
    struct list all; /* the host's list */
    struct shard *shard;
    struct link *link;                 /* NULL: muxer is a session */
    const struct transport *transport; /* the host's; knows its addresses */
    struct stack stack;
    struct muxer *muxer;
    struct buf plain; /* opened, not yet taken by the muxer */
    struct upgrade *upgrade;
    struct peer_load *load; /* set by admit */
    size_t held_bytes;      /* its part of load->held_bytes */
    void *owner_data;       /* the host's */
    const p2p_conn_events *events;
    void *events_user;
    struct addr_copy *met_at; /* where both ends met, when neither has an address; owned, or NULL */
    char *detail;             /* owned text that ending.message may point to */
    struct ending ending;
    uint64_t id;
    uint64_t deadline_us; /* of the upgrade, then of closing */
    uint64_t hold_us;     /* closing: the goodbye waits until then */
    bool spoke_last;      /* the last bytes of any stream were ours */
    uint8_t stage;
    bool initiator; /* of every handshake; who dialed is `outbound` */
    bool outbound, limited;
    bool heard; /* the remote has sent something */
    /* What is spoken under the secure channel; inbound, once the first bytes have told. */
    bool ws, web_tls;         /* WebSocket; under it, the web's TLS */
    bool sniff_ws, sniff_tls; /* inbound: what the first bytes may ask for */
    bool opened_told, said_goodbye, shut;
    bool lent; /* streams may hold bytes that lie in the link's memory, until they are told */
    p2p_peer_id peer;
};

/* Over a link that is connected, or still dialing. Takes the link over, also on failure (NULL: no
 * memory; the link is then closed). expected: the peer that must be proven, or NULL. */
struct p2p_conn *p2p__conn_new(struct shard *shard, struct link *link, bool initiator,
                               const p2p_peer_id *expected);
/* The same over a session. */
struct p2p_conn *p2p__conn_new_session(struct shard *shard, struct session *session, bool initiator,
                                       const p2p_peer_id *expected);

/* Before it runs: the DNS name by which a WebSocket's server was found. P2P_EADDR: too long. */
int p2p__conn_set_name(struct p2p_conn *self, const char *name, size_t name_len);

/* What a dialer proposes of the channels that a host has: none that protects less than one before
 * it in the list. The choice is made in the clear, so that whoever holds the wire can turn down the
 * better one. out: as long as securities, and NULL-terminated as well. */
void p2p__conn_proposals(const char *const *securities, const char **out);

/* Before it runs: which secure channels a dialer proposes, of the shard's proposals. With a single
 * one the handshake begins at once; a remote that turns it down must be dialed again
 * (P2P_ENOSECURITY), for what came behind the proposal is a proposal to it as well. */
void p2p__conn_propose(struct p2p_conn *self, size_t first, size_t count);

static inline void conn_mark(struct p2p_conn *self)
{
    p2p__work_mark(self->shard, &self->work);
}

/* Ends the connection; the first ending stays. Safe at any stage and from anywhere: it marks. */
void p2p__conn_end(struct p2p_conn *self, struct ending ending);

/* Printed reasons (a copy; silently dropped when out of memory). */
void p2p__conn_end_text(struct p2p_conn *self, int code, const char *text);

static inline struct session *conn_session(const struct p2p_conn *self)
{
    return self->link || !self->muxer ? NULL : session_of(self->muxer);
}

/* conn.c: callbacks of whatever has news. */
void p2p__conn_tell(struct p2p_conn *self);

/* conn_session.c: a connection without a link. */
void p2p__conn_take_session(struct p2p_conn *self, struct session *session,
                            const p2p_peer_id *expected);
void p2p__conn_session_run(struct p2p_conn *self);
void p2p__conn_session_close(struct p2p_conn *self);
/* Ends and frees one that no connection has taken. */
void p2p__session_drop(struct session *session, uint32_t code, uint64_t now_us);

/* conn_upgrade.c: from CONNECTING to OPEN. */
void p2p__conn_upgrade(struct p2p_conn *self);
void p2p__upgrade_free(struct p2p_conn *self);
/* The remote is another one than was asked for. */
void p2p__conn_wrong_peer(struct p2p_conn *self, const uint8_t *peer, size_t peer_len,
                          bool unproven);

/* conn_pump.c: bytes of an open or closing connection. in: true while a reader must be told before
 * more is taken. Once shard->pump_bytes has reached `end`, nothing more is read and the connection
 * is marked instead; what was read by then is still opened, because keeping it would cost a copy,
 * unless it is many small records: they may exceed `end` by a fill's bytes. */
bool p2p__conn_pump_in(struct p2p_conn *self, uint64_t end);
void p2p__conn_pump_out(struct p2p_conn *self, size_t budget);

/* stream.c */
enum stream_flag {
    STREAM_OPEN_TOLD = 1 << 0,
    STREAM_EOF_TOLD = 1 << 1,
    STREAM_CLOSE_WRITE = 1 << 2, /* asked by the application */
    STREAM_CLOSED = 1 << 3,      /* asked by the application */
    STREAM_WANT_DRAIN = 1 << 4,
    STREAM_RESUME = 1 << 5,
    STREAM_ENDED = 1 << 6, /* `ending` is final: on_close is all that is left */
    STREAM_TIMED_OUT = 1 << 7,
    STREAM_OUTBOUND = 1 << 8,
    STREAM_COUNTED = 1 << 9, /* among its peer's and the shard's streams */
    STREAM_DEAD = 1 << 10,   /* on_close has returned */
    STREAM_LINGERING = 1 << 11,
    STREAM_SERVED = 1 << 12,  /* inbound, with a handler: among those of its protocol */
    STREAM_PATIENT = 1 << 13, /* the application said that it has no deadline */
};

/* What only a stream in the making needs. */
struct opening {
    struct multistream select;
    struct outq early; /* written before the protocol was agreed */
    char **protocols;  /* outbound: NULL-terminated copies, in one allocation */
    size_t protocol_count;
    uint64_t deadline_us; /* of agreeing; outbound: of connecting and agreeing together */
    bool optimistic;      /* early bytes left with the proposal */
    struct handler *matched;
};

struct p2p_stream {
    struct work work; /* used while there is no connection */
    struct timer timer;
    struct list wait; /* the dial that it waits for */
    struct shard *shard;
    struct p2p_conn *conn;
    struct muxer_stream *mux;
    const p2p_stream_events *events;
    void *user;
    struct opening *opening;
    char *protocol;
    p2p_error *why; /* a deep copy, where there is more to say than `ending` */
    struct ending ending;
    uint64_t deadline_us; /* the application's */
    uint32_t want;
    uint32_t flags;
    uint32_t held;           /* of its peer's held_bytes */
    uint32_t memory_max;     /* what it may hold; 0: shard_limits.stream_bytes_max */
    struct handler *handler; /* while SERVED */
};

/* What precedes each muxer_stream in its allocation. */
struct stream_head {
    struct p2p_stream *stream;
    void *pad;
};

static inline struct stream_head *stream_head(struct muxer_stream *mux)
{
    return (struct stream_head *)(void *)((char *)mux - sizeof(struct stream_head));
}

/* NULL: nobody owns it, not yet or not any more. */
static inline struct p2p_stream *stream_of(struct muxer_stream *mux)
{
    return stream_head(mux)->stream;
}

/* Outbound, not yet on a connection. NULL: no memory. */
struct p2p_stream *p2p__stream_new(struct shard *shard, const char *const *protocols,
                                   size_t protocol_count, const p2p_stream_events *events,
                                   void *user);
/* Puts it on a connection and starts the negotiation; a failure is told as on_close. */
void p2p__stream_attach(struct p2p_stream *self, struct p2p_conn *conn);
/* A new inbound stream of the muxer. NULL: no memory, the muxer's stream is gone. */
struct p2p_stream *p2p__stream_inbound(struct p2p_conn *conn, struct muxer_stream *mux);
/* Everything that is due for one stream: negotiation, then callbacks, then settle. */
void p2p__stream_run(struct p2p_stream *self);
/* on_close will come with this, soon. The first ending stays. */
void p2p__stream_end(struct p2p_stream *self, struct ending ending);
/* The same with a whole error, which is copied. */
void p2p__stream_end_error(struct p2p_stream *self, const p2p_error *why);
/* Its timer: the application's deadline, or that of agreeing on the protocol, if that is earlier.
 */
void p2p__stream_arm(struct p2p_stream *self);
/* Looks at it again in this turn or the next. */
void p2p__stream_mark(struct p2p_stream *self);
/* Nobody reads it any more: what is there and what comes is discarded. */
void p2p__stream_stop(struct p2p_stream *self);

/* stream_limits.c. Counts one that is on a connection: NULL, or the option that refuses it. */
const char *p2p__stream_enter(struct p2p_stream *self);
/* Counts an inbound one on its protocol: 0, P2P_ELIMIT with the option, P2P_ENOMEM. */
int p2p__stream_serve(struct p2p_stream *self, struct handler *handler, const char **limit);
/* Undoes both. */
void p2p__stream_leave(struct p2p_stream *self);
/* Counts what it holds against its connection and its peer. */
void p2p__stream_account(struct p2p_stream *self);
/* How far its window may grow. */
void p2p__stream_window(struct p2p_stream *self);
/* The option that bounds what it holds, if that is used up by it, its connection, its peer or all
 * together; or NULL. */
const char *p2p__stream_memory_limit(const struct p2p_stream *self);
/* It came whole, and its reader has not taken all of it: that outlives the connection. */
bool p2p__stream_unread(const struct p2p_stream *self);
/* Gives the reader linger_timeout_ms, unless the application has set a time. */
void p2p__stream_await_reader(struct p2p_stream *self);
/* All it promised has left. */
bool p2p__stream_delivered(const struct p2p_stream *self);

/* The public error that describes an ending, borrowing its strings. */
p2p_error p2p__ending_error(const struct ending *ending);

#endif
