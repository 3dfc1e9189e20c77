/* The layers of a connection, from the link up: at most a private network, TLS and WebSocket below,
 * then the secure channel. Records are opened upward and sealed downward. */
#ifndef P2P_CONN_STACK_H
#define P2P_CONN_STACK_H

#include "conn/shard.h"

enum {
    STACK_LAYERS_MAX = 4,
    STACK_IOV_MAX = 64,
    /* A record counts in a pass for its bytes and so many more, which is what a cipher could have
     * moved in the time: a flood of empty ones must use up its budget, too. */
    STACK_RECORD_COST = 512,
};

struct stack_layer {
    const struct layer_ops *ops;
    void *state;
    struct buf in; /* what the layer below opened; the lowest reads the link's */
};

struct stack {
    struct stack_layer layers[STACK_LAYERS_MAX];
    uint32_t count;
    uint32_t opened; /* bytes that link->in begins with, which only the top layer has yet to open */
};

/* Puts a layer on top, whose handshake is over. Takes state; *plain, what the layers so far have
 * opened, becomes its input. 0 or P2P_ENOMEM (state is then still the caller's). */
int p2p__stack_push(struct stack *self, struct shard *shard, const struct layer_ops *ops,
                    void *state, struct buf *plain);

static inline const struct layer_ops *stack_top(const struct stack *self)
{
    return self->count ? self->layers[self->count - 1].ops : NULL;
}

/* How much of an open connection's link is worth reading at once. */
uint32_t p2p__stack_fill_max(const struct stack *self);

/* The next record of the top layer, joined to `to`: STEP_DONE, STEP_WANT_INPUT, or an error
 * (P2P_EEOF: a layer's own goodbye). Adds what it cost to shard->pump_bytes. With several layers
 * nothing may be lent from `to` when it is called. */
int p2p__stack_open(struct stack *self, struct shard *shard, struct link *link, struct buf *to);

/* After STEP_WANT_INPUT: the top layer holds the beginning of a record in the link's memory, and
 * its rest can be read right behind it (link->behind). Then it need not be settled before. */
bool p2p__stack_reads_on(const struct stack *self, const struct link *link);

/* Seals iov (at most SHARD_SEAL_LEN less all layers' overheads) and hands it to the link. */
int p2p__stack_seal(struct stack *self, struct shard *shard, struct link *link,
                    const struct iov *iov, size_t iov_count);

/* Sends what layers owe the remote by themselves. */
int p2p__stack_pending(struct stack *self, struct shard *shard, struct link *link);

/* The layers' own farewells, top first. */
int p2p__stack_close(struct stack *self, struct shard *shard, struct link *link);

int p2p__stack_settle(struct stack *self, struct shard *shard);
/* At the end of a turn, before link_rest: as settle, but what the top layer holds of a record in
 * the link's memory stays there, where the link answers for it. For a stack that nothing is pushed
 * on any more. */
int p2p__stack_rest(struct stack *self, struct shard *shard, struct link *link);
void p2p__stack_fini(struct stack *self, struct shard *shard);

#endif
