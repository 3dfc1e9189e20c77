/* Bytes to send: a queue of segments that never move, each a slab from the pool or a reference to a
 * blob. Three marks: acked <= sent <= end. Over a link, sent is acked at once; QUIC acks later. */
#ifndef P2P_BASE_OUTQ_H
#define P2P_BASE_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"

/* Gather list; the same shape as POSIX iovec without its header. */
struct iov {
    uint8_t *base;
    size_t len;
};

/* Immutable, counted bytes that many queues may share: the one counted object of the library. */
struct p2p_blob;
struct p2p_blob *p2p__blob_new(const void *in,
                               size_t in_len); /* copies; count 1; NULL: no memory */
void p2p__blob_ref(struct p2p_blob *self);
void p2p__blob_unref(struct p2p_blob *self);
const uint8_t *p2p__blob_data(const struct p2p_blob *self, size_t *len);

struct outq_seg;

struct outq {
    struct outq_seg *first, *last; /* first holds the oldest unacked byte */
    struct outq_seg *sent_seg;     /* where the sent mark stands, NULL: at the end */
    uint32_t sent_off;             /* within sent_seg */
    uint32_t acked_off;            /* within first */
    size_t unsent;                 /* end - sent */
    size_t unacked;                /* sent - acked */
};

/* A zeroed outq is an empty one. */
static inline size_t outq_unsent(const struct outq *self)
{
    return self->unsent;
}

static inline size_t outq_len(const struct outq *self)
{
    return self->unsent + self->unacked;
}

/* All or nothing: 0 or P2P_ENOMEM. The caller keeps the cap. */
int p2p__outq_append(struct outq *self, struct pool *pool, const void *in, size_t in_len);
int p2p__outq_append_blob(struct outq *self, struct p2p_blob *blob);

/* Moves everything unsent of `self` (which has nothing unacked) behind what `to` holds. */
void p2p__outq_move(struct outq *self, struct outq *to);

/* Up to iov_cap pieces and max bytes of what is unsent, oldest first; returns the pieces, and the
 * bytes in *total. Nothing is marked. */
size_t p2p__outq_iov(const struct outq *self, struct iov *iov, size_t iov_cap, size_t max,
                     size_t *total);
void p2p__outq_sent(struct outq *self, size_t n);
void p2p__outq_acked(struct outq *self, struct pool *pool, size_t n);
/* Sent and acked at once. */
static inline void outq_consume(struct outq *self, struct pool *pool, size_t n)
{
    p2p__outq_sent(self, n);
    p2p__outq_acked(self, pool, n);
}

/* Forgets what is unsent; what was sent stays where it is. */
void p2p__outq_trim(struct outq *self, struct pool *pool);

void p2p__outq_fini(struct outq *self, struct pool *pool);

#endif
