/* The bytes between a stream and the threads that read or write it, one direction: a ring and its
 * lock. Everything here is called below the lock, except init and fini. */
#ifndef P2P_SYNC_RING_H
#define P2P_SYNC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/gate.h"

enum {
    /* A power of two. Over loopback, against callbacks: 64 KiB runs at 0.6 of their rate, 128 at
     * 0.74, 256 at 0.74 (medians of bench-sync, two processors, four threads). */
    RING_LEN = 128 * 1024,
};

struct ring {
    struct gate gate;
    uint8_t *bytes; /* NULL: none yet */
    size_t cap, head, len;
    int end;      /* P2P_EEOF or why no more will come or can be written; 0: it goes on */
    bool starved; /* the loop has stopped for want of room, and waits to hear of it */
    bool busy;    /* one writer is not done: others wait */
};

bool p2p__ring_init(struct ring *self);
void p2p__ring_fini(struct ring *self);

/* Room for n more bytes at least. False: no memory. */
bool p2p__ring_reserve(struct ring *self, size_t n);
/* Copies in as much as there is room for; returns it. Makes the ring when it was none; then 0 can
 * mean no memory. */
size_t p2p__ring_push(struct ring *self, const uint8_t *in, size_t in_len);
/* The oldest bytes, as far as they lie together. */
const uint8_t *p2p__ring_peek(const struct ring *self, size_t *len);
/* Copies out what is there from offset on, at most cap; returns it. Nothing is consumed. */
size_t p2p__ring_copy(const struct ring *self, size_t offset, uint8_t *out, size_t cap);
void p2p__ring_consume(struct ring *self, size_t n);
/* Forgets everything. */
void p2p__ring_drop(struct ring *self);

static inline size_t ring_room(const struct ring *self)
{
    size_t cap = self->cap ? self->cap : RING_LEN;
    return cap - self->len;
}

/* Waking the other side for a few bytes costs more than they do. */
static inline bool ring_has_room(const struct ring *self)
{
    return self->len <= self->cap / 2;
}

#endif
