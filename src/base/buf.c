#include "base/buf.h"

#include <p2p/error.h>

static void release(struct buf *self, struct pool *pool)
{
    if (self->cap)
        p2p__pool_put(pool, self->block, self->cap);
    self->block = NULL;
    self->head = self->tail = self->cap = 0;
}

/* Owned memory with room for `need` more bytes at the tail. */
static int make_room(struct buf *self, struct pool *pool, size_t need)
{
    size_t len = buf_len(self);
    if (self->cap && self->cap - self->tail >= need)
        return 0;
    /* Moving down pays only when the free head is at least as long as what is held. */
    if (self->cap && self->cap - len >= need && self->head >= len) {
        memcpy(self->block, self->block + self->head, len);
        pool->copied_bytes += len;
        self->head = 0;
        self->tail = (uint32_t)len;
        return 0;
    }
    size_t want = len + need;
    if (want > POOL_LARGE && self->cap)
        want += want / 2;
    if (want > (size_t)self->max + POOL_LARGE)
        want = len + need;
    uint8_t *block = p2p__pool_get(pool, &want);
    if (!block)
        return P2P_ENOMEM;
    if (len)
        memcpy(block, self->block + self->head, len);
    pool->copied_bytes += len;
    release(self, pool);
    self->block = block;
    self->cap = (uint32_t)want;
    self->tail = (uint32_t)len;
    return 0;
}

void p2p__buf_borrow(struct buf *self, struct pool *pool, uint8_t *block, size_t head, size_t tail)
{
    assert(buf_len(self) == 0 && head <= tail && tail <= UINT32_MAX);
    release(self, pool);
    if (head == tail)
        return;
    self->block = block;
    self->head = (uint32_t)head;
    self->tail = (uint32_t)tail;
}

uint8_t *p2p__buf_reserve(struct buf *self, struct pool *pool, size_t len)
{
    if (len > buf_room(self) || make_room(self, pool, len) < 0)
        return NULL;
    return self->block + self->tail;
}

void p2p__buf_commit(struct buf *self, size_t len)
{
    assert(self->cap - self->tail >= len);
    self->tail += (uint32_t)len;
}

int p2p__buf_append(struct buf *self, struct pool *pool, const void *in, size_t in_len)
{
    if (in_len == 0)
        return 0;
    if (in_len > buf_room(self))
        return P2P_ELIMIT;
    uint8_t *to = p2p__buf_reserve(self, pool, in_len);
    if (!to)
        return P2P_ENOMEM;
    memcpy(to, in, in_len);
    pool->copied_bytes += in_len;
    self->tail += (uint32_t)in_len;
    return 0;
}

int p2p__buf_join(struct buf *self, struct pool *pool, uint8_t *base, size_t len, size_t gap)
{
    size_t held = buf_len(self);
    if (len > buf_room(self))
        return P2P_ELIMIT;
    if (held && buf_borrowed(self) && self->block + self->tail == base) {
        self->tail += (uint32_t)len;
        return 0;
    }
    if (held > gap)
        return p2p__buf_append(self, pool, base, len);
    if (held)
        memmove(base - held, self->block + self->head, held);
    pool->copied_bytes += held;
    release(self, pool);
    p2p__buf_borrow(self, pool, base - held, 0, held + len);
    return 0;
}

int p2p__buf_settle(struct buf *self, struct pool *pool)
{
    if (buf_len(self) == 0)
        release(self, pool);
    else if (buf_borrowed(self))
        return make_room(self, pool, 1);
    return 0;
}

void p2p__buf_fini(struct buf *self, struct pool *pool)
{
    release(self, pool);
}
