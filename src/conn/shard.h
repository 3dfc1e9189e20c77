/* What one loop's connections share: the queue of work, the heap of deadlines, the memory pool, the
 * scratch of the ciphers. A connection's code writes to its connection and to its shard, and to
 * nothing else. One shard a host today. */
#ifndef P2P_CONN_SHARD_H
#define P2P_CONN_SHARD_H

#include "base/heap.h"
#include "base/list.h"
#include "base/pool.h"
#include "io/io.h"
#include "layer/layer.h"
#include "muxer/muxer.h"

struct p2p_conn;
struct p2p_stream;

/* Something that has to be looked at in this turn. On the dirty list, or on the list of the dead.
 */
struct work {
    struct list node;
    void (*run)(struct work *);
};

/* An absolute deadline; fire only marks. */
struct timer {
    struct heap_node node;
    void (*fire)(struct timer *);
};

/* What the connection layer tells the host above. `admit` is called within the pump and runs no
 * application code; the others come in the tell phase. */
struct conn_owner {
    /* The remote has proven its peer id: 0, or the code (and *limit) with which to refuse it. */
    int (*admit)(struct p2p_conn *, const char **limit);
    void (*opened)(struct p2p_conn *);
    /* The last use of the connection; its streams have been told. */
    void (*closed)(struct p2p_conn *);
    /* A limit refused something; name is the option that sets it. */
    void (*limited)(void *host, const char *name, const char *message);
};

struct shard_limits {
    uint32_t handshake_timeout_ms;
    uint32_t negotiate_timeout_ms;
    uint32_t close_timeout_ms;  /* a connection's farewell */
    uint32_t linger_timeout_ms; /* a closed stream waits so long for the remote's end */
    uint32_t streams_in_max;    /* a connection, and a peer over all its connections */
    uint32_t streams_out_max;   /* a peer */
    uint32_t streams_total_max; /* in and out, of all */
    uint32_t streams_per_protocol;
    uint32_t protocol_streams_max; /* inbound, of one protocol, of all peers */
    uint32_t stream_resets;        /* a second, of a peer: muxer_config.resets */
    uint32_t stream_send_max;      /* bytes a stream may have written and unsent */
    uint32_t stream_bytes_max;     /* those, and what its window lets it receive unread */
    uint32_t conn_bytes_max;       /* unread and unsent, of all streams of a connection */
    uint32_t peer_bytes_max;       /* of all streams of a peer */
    uint32_t mplex_unread_max;     /* bytes a stream without flow control may leave unread */
    uint32_t stream_window, stream_window_max, conn_window_max;
    uint32_t keepalive_ms, keepalive_timeout_ms;
};

struct protocols;

struct shard {
    struct p2p_io *io;
    void *host;
    const struct conn_owner *owner;
    struct protocols *protocols;
    const struct p2p_key *key;
    const char *const *muxers;     /* enabled ones, in preference order; NULL-terminated */
    const char *const *securities; /* what a remote may choose */
    const char *const *proposals;  /* what a dialer proposes: p2p__conn_proposals */
    struct shard_limits limits;
    struct pool pool;
    struct layer_env env;
    struct heap timers;
    struct list dirty, dead;
    struct hash_key hash_key;
    uint8_t *seal;       /* SHARD_SEAL_LEN bytes of sealed records on their way to the kernel */
    uint8_t *seal_below; /* as much again, once a connection has several layers */
    const uint8_t *psk;  /* the private network's key, 32 bytes, or NULL */
    uint32_t streams_in, streams_out; /* that are there */
    uint64_t now_us;
    uint64_t turns;
    uint64_t pump_bytes; /* moved in this turn, for its budget */
    bool in_turn;
    size_t pool_peak;  /* bytes in use, since memory was last given back */
    uint64_t spare_us; /* when it is, or 0: there is nothing to give */
};

enum {
    SHARD_SEAL_LEN = 132 * 1024,      /* two of Noise's largest records */
    SHARD_CONN_PASS_MAX = 256 * 1024, /* bytes a connection moves before others get their go */
    SHARD_TURN_BYTES_MAX = 4 * 1024 * 1024,
    SHARD_TURN_ITEMS_MAX = 1024,
    SHARD_SPARE_LEN = 2 * 1024 * 1024, /* so much less in use than once: the system has it back */
    SHARD_SPARE_US = 2 * 1000 * 1000,  /* but not between two bursts */
};

/* 0, or P2P_ENOMEM. io, owner, limits... are set by the host before. */
int p2p__shard_init(struct shard *self, size_t memory_max);
void p2p__shard_fini(struct shard *self);

/* Queues work for this turn or the next; twice is once. */
void p2p__work_mark(struct shard *self, struct work *work);
/* The last mark: `bury` runs at the end of the turn and frees it. */
void p2p__work_bury(struct shard *self, struct work *work, void (*bury)(struct work *));

static inline void work_init(struct work *self, void (*run)(struct work *))
{
    list_init(&self->node);
    self->run = run;
}

/* The turn arms wake_at at its end; a deadline set outside of one needs a turn for that. */
static inline void timer_set(struct shard *self, struct timer *timer, uint64_t at_us)
{
    p2p__heap_set(&self->timers, &timer->node, at_us);
    if (!self->in_turn && at_us != HEAP_NEVER)
        self->io->ops->mark(self->io);
}

/* Outside the turn its clock stands still: long ago, perhaps. */
static inline uint64_t shard_now_us(const struct shard *self)
{
    return self->in_turn ? self->now_us : io_now_us(self->io);
}

/* now + ms; 0 ms means never. */
static inline uint64_t shard_after_ms(const struct shard *self, uint32_t ms)
{
    return ms ? shard_now_us(self) + (uint64_t)ms * 1000 : HEAP_NEVER;
}

/* The turn: everything that is due, as far as the budget goes. Called by the io backend through the
 * host, from a fresh stack. */
void p2p__shard_turn(struct shard *self);

#endif
