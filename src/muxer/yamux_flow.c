/* Windows, the round trip they grow by, and how much of what the remote should not do is forgiven.
 */
#include "muxer/yamux.h"

#include <assert.h>

#include <p2p/error.h>

enum {
    US_PER_MS = 1000,
    /* Half a window within this many round trips: the window, not the reader, is the brake. */
    GROW_WITHIN_RTTS = 2,
    /* The reader keeps up while it leaves less than this part of the window unread. */
    BACKLOG_PART = 4,
};

void p2p__yamux_flow_init(struct yamux *self, uint64_t now_us)
{
    struct muxer_config *config = &self->base.config;
    if (config->stream_window < YAMUX_INITIAL_WINDOW)
        config->stream_window = YAMUX_INITIAL_WINDOW;
    if (config->stream_window_max < config->stream_window)
        config->stream_window_max = config->stream_window;
    self->drain_left = YAMUX_DRAIN_MAX;
    self->heard_us = now_us;
    if (config->keepalive_ms)
        p2p__yamux_ping(&self->base, now_us);
}

/* --- windows */

/* Widens the window by up to `want` and owes the remote the difference. */
static void grow(struct yamux_stream *s, uint32_t want)
{
    struct yamux *self = yamux_of(s);
    uint32_t cap = self->base.config.conn_window_max;
    uint32_t budget = self->growth < cap ? cap - self->growth : 0;
    uint32_t more = want < budget ? want : budget;
    s->base.in.max += more;
    s->owed += more;
    self->growth += more;
}

void p2p__yamux_window_init(struct yamux_stream *s, uint64_t now_us)
{
    buf_init(&s->base.in, YAMUX_INITIAL_WINDOW);
    s->send_window = YAMUX_INITIAL_WINDOW;
    s->recv_left = YAMUX_INITIAL_WINDOW;
    s->credit_us = now_us;
    /* The spec's way to a larger first window: credit with the SYN or the ACK. */
    grow(s, s->base.muxer->config.stream_window - YAMUX_INITIAL_WINDOW);
    if (s->owed)
        s->base.flags |= YAMUX_CREDIT_DUE;
}

void p2p__yamux_window_fini(struct yamux_stream *s)
{
    yamux_of(s)->growth -= s->base.in.max - YAMUX_INITIAL_WINDOW;
}

static void autotune(struct yamux_stream *s, uint64_t now_us)
{
    const struct muxer *base = s->base.muxer;
    uint32_t window = s->base.in.max;
    uint32_t max = s->base.window_max;
    uint64_t within = (uint64_t)base->rtt_us * GROW_WITHIN_RTTS;
    /* What is promised beyond the first window must be there for all: not from the second half. */
    const struct pool *pool = base->config.pool;
    if (pool->max_bytes && pool->used_bytes > pool->max_bytes / 2)
        return;
    if (s->credit_us && now_us - s->credit_us < within && window < max &&
        buf_len(&s->base.in) <= window / BACKLOG_PART)
        grow(s, window < max - window ? window : max - window);
}

void p2p__yamux_credit(struct yamux_stream *s, size_t n, uint64_t now_us)
{
    assert(n <= s->base.in.max - s->recv_left - s->owed);
    s->owed += (uint32_t)n;
    /* After its FIN the remote has no use for credit. */
    if ((s->base.flags & (YAMUX_CREDIT_DUE | MUXER_EOF)) || s->owed < s->base.in.max / 2)
        return;
    if (now_us) {
        autotune(s, now_us);
        s->credit_us = now_us;
    }
    s->base.flags |= YAMUX_CREDIT_DUE;
}

/* --- forgiveness */

void p2p__yamux_drain_allow(struct yamux *self, uint32_t bytes)
{
    self->drain_left += bytes;
}

bool p2p__yamux_drain_take(struct yamux *self, uint32_t bytes)
{
    if (bytes > self->drain_left)
        return false;
    self->drain_left -= bytes;
    return true;
}

/* --- keep-alive and round trip */

void p2p__yamux_heard(struct yamux *self, uint64_t now_us)
{
    /* Any byte is a sign of life: a pong may be stuck behind data. */
    self->heard_us = now_us;
    self->keepalive_waiting = false;
}

void p2p__yamux_ping(struct muxer *base, uint64_t now_us)
{
    struct yamux *self = (struct yamux *)base;
    (void)now_us;
    if (self->ping_due || self->ping_waiting)
        return;
    self->ping_due = true;
    self->ping_nonce++;
}

void p2p__yamux_pong(struct yamux *self, uint32_t nonce, uint64_t now_us)
{
    if (!self->ping_waiting || nonce != self->ping_nonce)
        return;
    self->ping_waiting = false;
    uint64_t rtt = now_us - self->ping_us;
    if (rtt == 0)
        rtt = 1;
    self->base.rtt_us = rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX;
}

uint64_t p2p__yamux_deadline(const struct muxer *base)
{
    const struct yamux *self = (const struct yamux *)base;
    const struct muxer_config *config = &base->config;
    if (self->framed.failed)
        return 0;
    if (config->keepalive_ms == 0)
        return UINT64_MAX;
    if (self->keepalive_waiting)
        return self->keepalive_us + (uint64_t)config->keepalive_timeout_ms * US_PER_MS;
    return self->heard_us + (uint64_t)config->keepalive_ms * US_PER_MS;
}

int p2p__yamux_timeout(struct muxer *base, uint64_t now_us)
{
    struct yamux *self = (struct yamux *)base;
    if (self->framed.failed)
        return self->framed.failed;
    if (now_us < p2p__yamux_deadline(base))
        return 0;
    if (self->keepalive_waiting)
        return p2p__framed_fail(&self->framed, P2P_ETIMEDOUT,
                                "the remote left a keep-alive ping unanswered");
    self->keepalive_waiting = true;
    self->keepalive_us = now_us;
    /* An older ping that was never answered must not stand in the way. */
    self->ping_waiting = false;
    p2p__yamux_ping(base, now_us);
    return 0;
}
