/* Bytes to parse: contiguous, append at the tail, consume at the head, a hard maximum.
 *
 * A buf may borrow memory (a scratch buffer, a decrypted record): borrowed bytes are never written
 * behind, and what nobody consumed is copied into owned memory by buf_settle before the lender
 * reuses it. An empty settled buf owns nothing. */
#ifndef P2P_BASE_BUF_H
#define P2P_BASE_BUF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/pool.h"

struct buf {
    uint8_t *block;
    uint32_t head, tail;
    uint32_t cap; /* 0 with a block: borrowed */
    uint32_t max; /* the most bytes it may hold */
};

static inline void buf_init(struct buf *self, uint32_t max)
{
    *self = (struct buf){.max = max};
}

static inline size_t buf_len(const struct buf *self)
{
    return self->tail - self->head;
}

/* How many more bytes may be appended before the maximum. */
static inline size_t buf_room(const struct buf *self)
{
    size_t len = buf_len(self);
    return len < self->max ? self->max - len : 0;
}

static inline const uint8_t *buf_data(const struct buf *self)
{
    return self->block ? self->block + self->head : NULL;
}

static inline uint8_t *buf_data_mut(struct buf *self)
{
    return self->block ? self->block + self->head : NULL;
}

static inline void buf_consume(struct buf *self, size_t n)
{
    assert(n <= buf_len(self));
    self->head += (uint32_t)n;
}

static inline bool buf_borrowed(const struct buf *self)
{
    return self->block && self->cap == 0;
}

/* Lends [block + head, block + tail) to an empty buf. The bytes before head are dead: whoever
 * parses may move a few leftover bytes there. */
void p2p__buf_borrow(struct buf *self, struct pool *pool, uint8_t *block, size_t head, size_t tail);

/* 0, P2P_ELIMIT over the maximum, or P2P_ENOMEM; all or nothing. */
int p2p__buf_append(struct buf *self, struct pool *pool, const void *in, size_t in_len);

/* Room for len more bytes at the tail, owned and contiguous: fill them, then p2p__buf_commit.
 * NULL: over the maximum, or out of memory. */
uint8_t *p2p__buf_reserve(struct buf *self, struct pool *pool, size_t len);
void p2p__buf_commit(struct buf *self, size_t len);

/* Adds bytes that follow what self holds, without a copy where that is possible: an empty buf
 * borrows them; they may lie right behind what it has borrowed; up to `gap` leftover bytes are
 * moved right before `base` (whose gap bytes before it must be dead memory of the same block).
 * Otherwise appends. Returns as p2p__buf_append. */
int p2p__buf_join(struct buf *self, struct pool *pool, uint8_t *base, size_t len, size_t gap);

/* Afterwards nothing is borrowed, and an empty buf owns nothing. 0 or P2P_ENOMEM. */
int p2p__buf_settle(struct buf *self, struct pool *pool);

void p2p__buf_fini(struct buf *self, struct pool *pool);

#endif
