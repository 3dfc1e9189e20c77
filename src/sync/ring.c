#include "sync/ring.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

bool p2p__ring_init(struct ring *self)
{
    memset(self, 0, sizeof(*self));
    return p2p__gate_init(&self->gate);
}

void p2p__ring_fini(struct ring *self)
{
    p2p__free(self->bytes);
    p2p__gate_fini(&self->gate);
}

bool p2p__ring_reserve(struct ring *self, size_t n)
{
    size_t cap = self->cap ? self->cap : RING_LEN;
    while (cap - self->len < n)
        cap *= 2;
    if (cap == self->cap)
        return true;
    uint8_t *bytes = p2p__realloc(NULL, cap);
    if (!bytes)
        return false;
    (void)p2p__ring_copy(self, 0, bytes, self->len);
    p2p__free(self->bytes);
    self->bytes = bytes;
    self->cap = cap;
    self->head = 0;
    return true;
}

size_t p2p__ring_push(struct ring *self, const uint8_t *in, size_t in_len)
{
    if (in_len == 0 || (!self->cap && !p2p__ring_reserve(self, 1)))
        return 0;
    size_t n = in_len < ring_room(self) ? in_len : ring_room(self);
    size_t tail = (self->head + self->len) & (self->cap - 1);
    size_t first = n < self->cap - tail ? n : self->cap - tail;
    memcpy(self->bytes + tail, in, first);
    memcpy(self->bytes, in + first, n - first);
    self->len += n;
    return n;
}

const uint8_t *p2p__ring_peek(const struct ring *self, size_t *len)
{
    size_t together = self->cap - self->head;
    *len = self->len < together ? self->len : together;
    return self->len ? self->bytes + self->head : NULL;
}

size_t p2p__ring_copy(const struct ring *self, size_t offset, uint8_t *out, size_t cap)
{
    if (offset >= self->len)
        return 0;
    size_t n = self->len - offset < cap ? self->len - offset : cap;
    size_t at = (self->head + offset) & (self->cap - 1);
    size_t first = n < self->cap - at ? n : self->cap - at;
    memcpy(out, self->bytes + at, first);
    memcpy(out + first, self->bytes, n - first);
    return n;
}

void p2p__ring_drop(struct ring *self)
{
    p2p__free(self->bytes);
    self->bytes = NULL;
    self->cap = self->head = self->len = 0;
}

void p2p__ring_consume(struct ring *self, size_t n)
{
    assert(n <= self->len);
    self->len -= n;
    if (self->len)
        self->head = (self->head + n) & (self->cap - 1);
    else if (self->cap > RING_LEN)
        p2p__ring_drop(self); /* it grew for a message that is gone */
    else
        self->head = 0;
}
