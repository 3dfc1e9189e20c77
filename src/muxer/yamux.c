#include "muxer/yamux.h"

#include <p2p/error.h>

_Static_assert(sizeof(struct yamux_stream) <= 200, "ten thousand idle streams must stay cheap");
_Static_assert(sizeof(struct yamux) <= 1024, "and so must idle connections");

struct yamux_stream *p2p__yamux_stream_new(struct yamux *self, uint32_t id, uint32_t flags,
                                           uint64_t now_us)
{
    struct yamux_stream *s =
        (struct yamux_stream *)p2p__framed_stream_new(&self->framed, id, flags | FRAMED_ANNOUNCE);
    if (!s)
        return NULL;
    s->base.window_max = self->base.config.stream_window_max;
    p2p__yamux_window_init(s, now_us);
    return s;
}

int p2p__yamux_send_reset(struct yamux *self, uint32_t id, uint32_t code)
{
    return p2p__yamux_control(self, YAMUX_WINDOW, YAMUX_RST, id, code);
}

static int yamux_init(struct muxer *base, const struct muxer_config *config, uint64_t now_us)
{
    struct yamux *self = (struct yamux *)base;
    base->ops = &p2p__muxer_yamux;
    p2p__framed_init(&self->framed, &p2p__yamux_frames, config);
    self->next_id = config->initiator ? 1 : 2;
    p2p__yamux_flow_init(self, now_us);
    return 0;
}

static struct muxer_stream *yamux_open(struct muxer *base, int *code)
{
    struct yamux *self = (struct yamux *)base;
    if (self->framed.failed || base->goaway_sent || base->goaway_received) {
        *code = P2P_ECLOSED;
        return NULL;
    }
    if (self->framed.unacked >= YAMUX_ACK_BACKLOG || self->next_id > UINT32_MAX - 2) {
        *code = P2P_ELIMIT;
        return NULL;
    }
    struct yamux_stream *s = p2p__yamux_stream_new(self, self->next_id, MUXER_OUTBOUND, 0);
    if (!s) {
        *code = P2P_ENOMEM;
        return NULL;
    }
    self->next_id += 2;
    p2p__framed_make_due(&s->framed);
    return &s->base;
}

/* The reader took or dropped n bytes. */
static void credit(struct yamux_stream *s, size_t n, uint64_t now_us)
{
    if (framed_announces(&s->framed))
        s->base.flags |= YAMUX_ACK_DUE;
    p2p__yamux_credit(s, n, now_us);
    if (s->base.flags & (YAMUX_ACK_DUE | YAMUX_CREDIT_DUE))
        p2p__framed_make_due(&s->framed);
}

static void yamux_consumed(struct muxer_stream *base, size_t n, uint64_t now_us)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    if (!(base->flags & MUXER_DONE))
        credit(s, n, now_us);
}

static void yamux_stop(struct muxer_stream *base)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    if (base->flags & FRAMED_STOPPED)
        return;
    base->flags |= FRAMED_STOPPED;
    size_t unread = buf_len(&base->in);
    p2p__buf_fini(&base->in, base->muxer->config.pool);
    if (!(base->flags & MUXER_DONE))
        credit(s, unread, 0);
}

static void yamux_stream_free(struct muxer_stream *base)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    p2p__framed_reset(base, 0);
    p2p__yamux_window_fini(s);
    p2p__framed_release(&s->framed);
}

static void yamux_goaway(struct muxer *base, uint32_t code)
{
    struct yamux *self = (struct yamux *)base;
    if (base->goaway_sent)
        return;
    base->goaway_sent = true;
    self->framed.goaway_due = true;
    self->goaway_code = code;
}

const struct muxer_ops p2p__muxer_yamux = {
    .id = "/yamux/1.0.0",
    .conn_size = sizeof(struct yamux),
    .stream_size = sizeof(struct yamux_stream),
    .init = yamux_init,
    .pump_in = p2p__yamux_pump_in,
    .pump_out = p2p__yamux_pump_out,
    .sent = p2p__yamux_sent,
    .open = yamux_open,
    .written = p2p__framed_written,
    .consumed = yamux_consumed,
    .close_write = p2p__framed_close_write,
    .reset = p2p__framed_reset,
    .stop = yamux_stop,
    .stream_free = yamux_stream_free,
    .goaway = yamux_goaway,
    .ping = p2p__yamux_ping,
    .deadline = p2p__yamux_deadline,
    .timeout = p2p__yamux_timeout,
    .fini = p2p__framed_fini,
};
