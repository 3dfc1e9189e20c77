#include "muxer/mplex.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

_Static_assert(sizeof(struct mplex_stream) <= 200, "ten thousand idle streams must stay cheap");
_Static_assert(sizeof(struct mplex) <= 512, "and so must idle connections");

int p2p__mplex_fail(struct mplex *self, int code, const char *error)
{
    if (self->failed)
        return self->failed;
    self->failed = code;
    self->base.error = error;
    self->base.goaway_sent = true;
    return code;
}

static uint64_t id_hash(const struct mplex *self, uint64_t id, bool outbound)
{
    uint64_t key = id << 1u | outbound;
    return p2p__hash(&self->base.config.hash_key, &key, sizeof(key));
}

static bool is_outbound(const struct mplex_stream *s)
{
    return (s->base.flags & MUXER_OUTBOUND) != 0;
}

struct mplex_stream *p2p__mplex_find(const struct mplex *self, uint64_t id, bool outbound)
{
    struct map_node *node = p2p__map_first(&self->ids, id_hash(self, id, outbound));
    for (; node; node = p2p__map_next(node)) {
        struct mplex_stream *s = P2P__CONTAINER(node, struct mplex_stream, node);
        if (s->base.id == id && is_outbound(s) == outbound)
            return s;
    }
    return NULL;
}

struct mplex_stream *p2p__mplex_stream_new(struct mplex *self, uint64_t id, uint32_t flags)
{
    size_t head = self->base.config.stream_head;
    char *memory = p2p__alloc(head + sizeof(struct mplex_stream));
    if (!memory)
        return NULL;
    struct mplex_stream *s = (struct mplex_stream *)(memory + head);
    s->base.muxer = &self->base;
    s->base.id = id;
    s->base.flags = flags;
    uint32_t max = self->base.config.unread_max;
    buf_init(&s->base.in, max ? max : MPLEX_UNREAD_MAX);
    list_init(&s->base.ready);
    list_init(&s->base.due);
    list_append(&self->base.streams, &s->base.all);
    p2p__map_put(&self->ids, &s->node, id_hash(self, id, is_outbound(s)));
    if (is_outbound(s)) {
        s->announce = true;
        self->base.streams_out++;
    } else {
        self->base.streams_in++;
    }
    return s;
}

void p2p__mplex_stream_over(struct mplex_stream *s)
{
    struct mplex *self = mplex_of(&s->base);
    if (s->base.flags & MUXER_DONE)
        return;
    s->base.flags |= MUXER_DONE;
    list_remove(&s->base.due);
    p2p__map_remove(&self->ids, &s->node);
    if (self->body_stream == s)
        self->body_stream = NULL;
    if (!is_outbound(s))
        self->dead_in++;
}

void p2p__mplex_stream_drop(struct mplex_stream *s)
{
    struct pool *pool = s->base.muxer->config.pool;
    p2p__buf_fini(&s->base.in, pool);
    p2p__outq_fini(&s->base.out, pool);
}

static int mplex_init(struct muxer *base, const struct muxer_config *config, uint64_t now_us)
{
    (void)now_us;
    assert(config->pool && config->stream_head % _Alignof(struct mplex_stream) == 0);
    base->ops = &p2p__muxer_mplex;
    base->config = *config;
    list_init(&base->ready);
    list_init(&base->due);
    list_init(&base->streams);
    return 0;
}

static struct muxer_stream *mplex_open(struct muxer *base, int *code)
{
    struct mplex *self = (struct mplex *)base;
    if (self->failed || base->goaway_sent) {
        *code = P2P_ECLOSED;
        return NULL;
    }
    if (base->streams_out >= MPLEX_STREAMS_OUT_MAX || self->next_id > MPLEX_ID_MAX) {
        *code = P2P_ELIMIT;
        return NULL;
    }
    struct mplex_stream *s = p2p__mplex_stream_new(self, self->next_id, MUXER_OUTBOUND);
    if (!s) {
        *code = P2P_ENOMEM;
        return NULL;
    }
    self->next_id++;
    p2p__mplex_make_due(s);
    return &s->base;
}

static void mplex_written(struct muxer_stream *base)
{
    p2p__mplex_make_due((struct mplex_stream *)base);
}

/* There is no credit to give back. */
static void mplex_consumed(struct muxer_stream *base, size_t n, uint64_t now_us)
{
    (void)base, (void)n, (void)now_us;
}

static void mplex_close_write(struct muxer_stream *base)
{
    if (base->flags & (MUXER_DONE | MUXER_FIN_WANTED))
        return;
    base->flags |= MUXER_FIN_WANTED;
    p2p__mplex_make_due((struct mplex_stream *)base);
}

/* A reset carries no code on the wire. */
static void mplex_reset(struct muxer_stream *base, uint32_t code)
{
    struct mplex_stream *s = (struct mplex_stream *)base;
    struct mplex *self = mplex_of(base);
    (void)code;
    list_remove(&base->ready);
    if (!(base->flags & MUXER_DONE)) {
        /* A stream whose NewStream never left is unknown to the remote: it just never was. */
        if (!s->announce) {
            base->flags |= MUXER_RESET_SENT;
            if (!self->failed)
                p2p__mplex_send_reset(self, base->id, is_outbound(s));
        }
        p2p__mplex_stream_over(s);
    }
    p2p__mplex_stream_drop(s);
}

static void mplex_stop(struct muxer_stream *base)
{
    ((struct mplex_stream *)base)->stopped = true;
    p2p__buf_fini(&base->in, base->muxer->config.pool);
}

static void release(struct mplex_stream *s)
{
    struct mplex *self = mplex_of(&s->base);
    if (is_outbound(s)) {
        self->base.streams_out--;
    } else {
        self->base.streams_in--;
        self->dead_in--;
    }
    p2p__mplex_stream_drop(s);
    list_remove(&s->base.ready);
    list_remove(&s->base.all);
    p2p__free((char *)s - self->base.config.stream_head);
}

static void mplex_stream_free(struct muxer_stream *base)
{
    mplex_reset(base, 0);
    release((struct mplex_stream *)base);
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
    return ((const struct mplex *)base)->failed ? 0 : UINT64_MAX;
}

static int mplex_timeout(struct muxer *base, uint64_t now_us)
{
    (void)now_us;
    return ((struct mplex *)base)->failed;
}

static void mplex_fini(struct muxer *base)
{
    struct mplex *self = (struct mplex *)base;
    p2p__mplex_sent(base);
    while (!list_empty(&base->streams)) {
        struct mplex_stream *s = P2P__CONTAINER(base->streams.next, struct mplex_stream, base.all);
        p2p__mplex_stream_over(s);
        release(s);
    }
    p2p__outq_fini(&self->control, base->config.pool);
    p2p__map_fini(&self->ids);
}

const struct muxer_ops p2p__muxer_mplex = {
    .id = "/mplex/6.7.0",
    .conn_size = sizeof(struct mplex),
    .stream_size = sizeof(struct mplex_stream),
    .init = mplex_init,
    .pump_in = p2p__mplex_pump_in,
    .pump_out = p2p__mplex_pump_out,
    .sent = p2p__mplex_sent,
    .open = mplex_open,
    .written = mplex_written,
    .consumed = mplex_consumed,
    .close_write = mplex_close_write,
    .reset = mplex_reset,
    .stop = mplex_stop,
    .stream_free = mplex_stream_free,
    .goaway = mplex_goaway,
    .ping = mplex_ping,
    .deadline = mplex_deadline,
    .timeout = mplex_timeout,
    .fini = mplex_fini,
};
