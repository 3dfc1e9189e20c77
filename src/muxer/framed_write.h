/* The writer of a framed muxer: the due streams in turn, as a gather list; headers and small bodies
 * stand in a stage that lives from pump_out to sent. All of it is inline, so that the muxer's own
 * frames (its framed_ops) are calls that the compiler sees through: this runs for each frame. */
#ifndef P2P_MUXER_FRAMED_WRITE_H
#define P2P_MUXER_FRAMED_WRITE_H

#include <assert.h>
#include <string.h>

#include "muxer/framed.h"

enum {
    /* A body is not cut shorter than this only to fill up what is left of the pump. */
    FRAMED_FRAGMENT_MIN = 1024,
    /* Pieces of which a small body is put together at most. */
    FRAMED_SMALL_PIECES = 8,
};

/* Room for len bytes of stage, as part of the gather list. NULL: none. */
static inline uint8_t *framed_room(struct framed_writer *w, size_t len)
{
    struct framed *self = w->muxer;
    if (len > w->room - w->bytes || len > self->stage_cap - w->stage_len)
        return NULL;
    uint8_t *at = self->stage + w->stage_len;
    struct iov *last = w->count ? &w->iov[w->count - 1] : NULL;
    if (last && last->base + last->len == at) {
        last->len += len;
    } else {
        assert(w->iov);
        if (w->count == w->iov_cap)
            return NULL;
        w->iov[w->count++] = (struct iov){at, len};
    }
    w->stage_len += len;
    w->bytes += len;
    return at;
}

/* What was taken of the stage last is needed up to `end` only. */
static inline void framed_trim(struct framed_writer *w, struct iov *last, const uint8_t *end)
{
    size_t spare = (size_t)(last->base + last->len - end);
    last->len -= spare;
    w->stage_len -= spare;
    w->bytes -= spare;
}

/* n bytes of what is written are on the gather list. */
static inline void framed_take(struct framed_stream *s, size_t n)
{
    if (muxer_answers(&s->base, n))
        s->base.flags |= FRAMED_ANSWERED;
    p2p__outq_sent(&s->base.out, n);
}

static inline bool framed_write_small(const struct framed_ops *ops, struct framed_stream *s,
                                      struct framed_writer *w, size_t n)
{
    struct pool *pool = w->muxer->base.config.pool;
    struct iov piece[FRAMED_SMALL_PIECES];
    size_t pieces = p2p__outq_iov(&s->base.out, piece, FRAMED_SMALL_PIECES, n, &n);
    uint8_t *at = framed_room(w, FRAMED_HEADER_MAX + n);
    if (!at)
        return false;
    at += ops->body_header(s, at, n);
    for (size_t i = 0; i < pieces; i++) {
        memcpy(at, piece[i].base, piece[i].len);
        at += piece[i].len;
    }
    framed_trim(w, &w->iov[w->count - 1], at);
    pool->copied_bytes += n;
    framed_take(s, n);
    /* Bytes lent earlier in this pump are still needed; sent() frees these with them. */
    if (!(s->base.flags & FRAMED_IN_FLIGHT))
        p2p__outq_acked(&s->base.out, pool, n);
    framed_bytes_left(s);
    return true;
}

static inline bool framed_write_large(const struct framed_ops *ops, struct framed_stream *s,
                                      struct framed_writer *w, size_t n)
{
    struct framed *self = w->muxer;
    if (w->iov_cap - w->count < 2)
        return false;
    uint8_t *at = framed_room(w, FRAMED_HEADER_MAX);
    if (!at)
        return false;
    struct iov *stage = &w->iov[w->count - 1];
    w->count += p2p__outq_iov(&s->base.out, w->iov + w->count, w->iov_cap - w->count, n, &n);
    framed_trim(w, stage, at + ops->body_header(s, at, n));
    w->bytes += n;
    framed_take(s, n);
    if (!(s->base.flags & FRAMED_IN_FLIGHT)) {
        s->base.flags |= FRAMED_IN_FLIGHT;
        s->flight = self->flight;
        self->flight = s;
    }
    return true;
}

/* One frame of at most `most` bytes of what is written, fewer if others wait. false: no room. */
static inline bool framed_write_body(const struct framed_ops *ops, struct framed_stream *s,
                                     struct framed_writer *w, size_t most, bool alone)
{
    size_t fair = alone ? FRAMED_BODY_ALONE : FRAMED_BODY_SHARED;
    size_t n = most < fair ? most : fair;
    if (n == 0)
        return true;
    size_t room = w->room - w->bytes;
    if (room < FRAMED_HEADER_MAX + n) {
        if (room <= FRAMED_HEADER_MAX || (w->count && room < FRAMED_FRAGMENT_MIN))
            return false;
        n = room - FRAMED_HEADER_MAX;
    }
    return n < FRAMED_COPY_BELOW ? framed_write_small(ops, s, w, n)
                                 : framed_write_large(ops, s, w, n);
}

/* The due streams in turn. */
static inline void framed_write_streams(const struct framed_ops *ops, struct framed_writer *w)
{
    struct list *due = &w->muxer->base.due;
    while (!list_empty(due)) {
        struct framed_stream *s = P2P__CONTAINER(due->next, struct framed_stream, base.due);
        bool alone = due->next->next == due;
        /* What was due may have become void since. */
        if (ops->due(s) && !ops->write(s, w, alone))
            return;
        list_remove(&s->base.due);
        framed_make_due(ops, s);
    }
}

#endif
