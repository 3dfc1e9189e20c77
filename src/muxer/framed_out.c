#include "muxer/framed.h"

#include <assert.h>

#include <p2p/error.h>

int p2p__framed_control(struct framed *self, const uint8_t *frame, size_t len)
{
    if (outq_len(&self->control) + len > FRAMED_CONTROL_MAX)
        return p2p__framed_fail(self, P2P_ELIMIT, "the remote causes more replies than it reads");
    if (p2p__outq_append(&self->control, self->base.config.pool, frame, len) < 0)
        return p2p__framed_fail(self, P2P_ENOMEM, "out of memory");
    return 0;
}

void p2p__framed_make_due(struct framed_stream *s)
{
    framed_make_due(framed_of(s)->frames, s);
}

void p2p__framed_written(struct muxer_stream *base)
{
    p2p__framed_make_due((struct framed_stream *)base);
}

/* --- one pump */

void p2p__framed_begin(struct framed *self, struct framed_writer *w, struct iov *iov,
                       size_t iov_cap, size_t max_bytes, uint64_t now_us)
{
    assert(iov && !self->stage && iov_cap >= MUXER_OUT_IOV_MIN && max_bytes >= MUXER_OUT_BYTES_MIN);
    *w = (struct framed_writer){
        .muxer = self, .iov = iov, .iov_cap = iov_cap, .room = max_bytes, .now_us = now_us};
}

void p2p__framed_stage(struct framed *self)
{
    size_t cap = POOL_MEDIUM;
    self->stage = p2p__pool_get(self->base.config.pool, &cap);
    self->stage_cap = self->stage ? cap : 0;
    if (!self->stage)
        p2p__framed_fail(self, P2P_ENOMEM, "out of memory");
}

size_t p2p__framed_end(struct framed_writer *w, size_t *bytes)
{
    struct muxer *base = &w->muxer->base;
    *bytes = w->bytes;
    if (w->count == 0)
        base->ops->sent(base);
    return w->count;
}

void p2p__framed_sent(struct muxer *base)
{
    struct framed *self = (struct framed *)base;
    struct pool *pool = base->config.pool;
    p2p__outq_acked(&self->control, pool, self->control.unacked);
    if (outq_len(&self->control) < FRAMED_CONTROL_MAX / 2)
        self->control_told = false;
    while (self->flight) {
        struct framed_stream *s = self->flight;
        self->flight = s->flight;
        s->base.flags &= ~(uint32_t)FRAMED_IN_FLIGHT;
        p2p__outq_acked(&s->base.out, pool, s->base.out.unacked);
        framed_bytes_left(s);
    }
    p2p__pool_put(pool, self->stage, self->stage_cap);
    self->stage = NULL;
    self->stage_cap = 0;
}

bool p2p__framed_write_control(struct framed_writer *w, size_t unit)
{
    struct outq *control = &w->muxer->control;
    size_t bytes;
    if (outq_unsent(control) == 0)
        return true;
    w->count = p2p__outq_iov(control, w->iov, w->iov_cap, w->room, &bytes);
    size_t excess = bytes % unit;
    bytes -= excess;
    while (excess) {
        struct iov *last = &w->iov[w->count - 1];
        size_t cut = excess < last->len ? excess : last->len;
        last->len -= cut;
        excess -= cut;
        if (last->len == 0)
            w->count--;
    }
    p2p__outq_sent(control, bytes);
    w->bytes = bytes;
    return outq_unsent(control) == 0;
}

void p2p__framed_ended(struct framed_stream *s)
{
    s->base.flags |= MUXER_FIN_SENT;
    if (s->base.flags & MUXER_EOF) {
        p2p__framed_over(s);
        muxer_make_ready(&s->base);
    }
}
