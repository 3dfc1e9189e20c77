#include "muxer/mplex.h"

#include <p2p/error.h>

_Static_assert(sizeof(struct framed_stream) <= 200, "ten thousand idle streams must stay cheap");
_Static_assert(sizeof(struct mplex) <= 512, "and so must idle connections");

struct framed_stream *p2p__mplex_stream_new(struct mplex *self, uint64_t id, uint32_t flags)
{
    struct framed_stream *s = p2p__framed_stream_new(&self->framed, id, flags);
    uint32_t max = self->base.config.unread_max;
    if (s)
        buf_init(&s->base.in, max ? max : MPLEX_UNREAD_MAX);
    return s;
}

static int mplex_init(struct muxer *base, const struct muxer_config *config, uint64_t now_us)
{
    (void)now_us;
    base->ops = &p2p__muxer_mplex;
    p2p__framed_init((struct framed *)base, &p2p__mplex_frames, config);
    return 0;
}

static struct muxer_stream *mplex_open(struct muxer *base, int *code)
{
    struct mplex *self = (struct mplex *)base;
    if (self->framed.failed || base->goaway_sent) {
        *code = P2P_ECLOSED;
        return NULL;
    }
    if (base->streams_out >= MPLEX_STREAMS_OUT_MAX || self->next_id > MPLEX_ID_MAX) {
        *code = P2P_ELIMIT;
        return NULL;
    }
    struct framed_stream *s =
        p2p__mplex_stream_new(self, self->next_id, MUXER_OUTBOUND | FRAMED_ANNOUNCE);
    if (!s) {
        *code = P2P_ENOMEM;
        return NULL;
    }
    self->next_id++;
    p2p__framed_make_due(s);
    return &s->base;
}

/* There is no credit to give back. */
static void mplex_consumed(struct muxer_stream *base, size_t n, uint64_t now_us)
{
    (void)base, (void)n, (void)now_us;
}

static void mplex_stop(struct muxer_stream *base)
{
    base->flags |= FRAMED_STOPPED;
    p2p__buf_fini(&base->in, base->muxer->config.pool);
}

static void mplex_stream_free(struct muxer_stream *base)
{
    p2p__framed_reset(base, 0);
    p2p__framed_release((struct framed_stream *)base);
}

/* Nothing on the wire: what is due still leaves, and what the remote opens is reset. */
static void mplex_goaway(struct muxer *base, uint32_t code)
{
    (void)code;
    base->goaway_sent = true;
}

static void mplex_ping(struct muxer *base, uint64_t now_us)
{
    (void)base, (void)now_us;
}

static uint64_t mplex_deadline(const struct muxer *base)
{
    return ((const struct framed *)base)->failed ? 0 : UINT64_MAX;
}

static int mplex_timeout(struct muxer *base, uint64_t now_us)
{
    (void)now_us;
    return ((struct framed *)base)->failed;
}

const struct muxer_ops p2p__muxer_mplex = {
    .id = "/mplex/6.7.0",
    .conn_size = sizeof(struct mplex),
    .stream_size = sizeof(struct framed_stream),
    .init = mplex_init,
    .pump_in = p2p__mplex_pump_in,
    .pump_out = p2p__mplex_pump_out,
    .sent = p2p__framed_sent,
    .open = mplex_open,
    .written = p2p__framed_written,
    .consumed = mplex_consumed,
    .close_write = p2p__framed_close_write,
    .reset = p2p__framed_reset,
    .stop = mplex_stop,
    .stream_free = mplex_stream_free,
    .goaway = mplex_goaway,
    .ping = mplex_ping,
    .deadline = mplex_deadline,
    .timeout = mplex_timeout,
    .fini = p2p__framed_fini,
};
