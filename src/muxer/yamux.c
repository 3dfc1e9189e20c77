#include "muxer/yamux.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

_Static_assert(sizeof(struct yamux_stream) <= 200, "ten thousand idle streams must stay cheap");
_Static_assert(sizeof(struct yamux) <= 1024, "and so must idle connections");

int p2p__yamux_fail(struct yamux *self, int code, enum yamux_goaway goaway, const char *error)
{
    if (self->failed)
        return self->failed;
    self->failed = code;
    self->base.error = error;
    /* A farewell that has left already is not repeated. */
    self->goaway_due = self->goaway_due || !self->base.goaway_sent;
    self->base.goaway_sent = true;
    self->goaway_code = goaway;
    return code;
}

static uint64_t id_hash(const struct yamux *self, uint32_t id)
{
    return p2p__hash(&self->base.config.hash_key, &id, sizeof(id));
}

struct yamux_stream *p2p__yamux_find(const struct yamux *self, uint32_t id)
{
    struct map_node *node = p2p__map_first(&self->ids, id_hash(self, id));
    for (; node; node = p2p__map_next(node)) {
        struct yamux_stream *s = P2P__CONTAINER(node, struct yamux_stream, node);
        if (s->base.id == id)
            return s;
    }
    return NULL;
}

struct yamux_stream *p2p__yamux_stream_new(struct yamux *self, uint32_t id, uint32_t flags)
{
    size_t head = self->base.config.stream_head;
    char *memory = p2p__alloc(head + sizeof(struct yamux_stream));
    if (!memory)
        return NULL;
    struct yamux_stream *s = (struct yamux_stream *)(memory + head);
    s->base.muxer = &self->base;
    s->base.id = id;
    s->base.flags = flags;
    s->base.window_max = self->base.config.stream_window_max;
    list_init(&s->base.ready);
    list_init(&s->base.due);
    list_append(&self->base.streams, &s->base.all);
    p2p__map_put(&self->ids, &s->node, id_hash(self, id));
    s->announce = true;
    if (flags & MUXER_OUTBOUND) {
        self->base.streams_out++;
        self->unacked++;
    } else {
        self->base.streams_in++;
    }
    return s;
}

void p2p__yamux_stream_over(struct yamux_stream *s)
{
    struct yamux *self = yamux_of(&s->base);
    if (s->base.flags & MUXER_DONE)
        return;
    s->base.flags |= MUXER_DONE;
    list_remove(&s->base.due);
    p2p__map_remove(&self->ids, &s->node);
    if (self->body_stream == s)
        self->body_stream = NULL;
    if (!(s->base.flags & MUXER_OUTBOUND))
        self->dead_in++;
    else if (!(s->base.flags & MUXER_ACKED))
        self->unacked--;
}

void p2p__yamux_stream_drop(struct yamux_stream *s)
{
    struct pool *pool = s->base.muxer->config.pool;
    p2p__buf_fini(&s->base.in, pool);
    p2p__outq_fini(&s->base.out, pool);
}

int p2p__yamux_send_reset(struct yamux *self, uint32_t id, uint32_t code)
{
    return p2p__yamux_control(self, YAMUX_WINDOW, YAMUX_RST, id, code);
}

static int yamux_init(struct muxer *base, const struct muxer_config *config, uint64_t now_us)
{
    struct yamux *self = (struct yamux *)base;
    assert(config->pool && config->stream_head % _Alignof(struct yamux_stream) == 0);
    base->ops = &p2p__muxer_yamux;
    base->config = *config;
    list_init(&base->ready);
    list_init(&base->due);
    list_init(&base->streams);
    self->next_id = config->initiator ? 1 : 2;
    p2p__yamux_flow_init(self, now_us);
    return 0;
}

static struct muxer_stream *yamux_open(struct muxer *base, int *code)
{
    struct yamux *self = (struct yamux *)base;
    if (self->failed || base->goaway_sent || base->goaway_received) {
        *code = P2P_ECLOSED;
        return NULL;
    }
    if (self->unacked >= YAMUX_ACK_BACKLOG || self->next_id > UINT32_MAX - 2) {
        *code = P2P_ELIMIT;
        return NULL;
    }
    struct yamux_stream *s = p2p__yamux_stream_new(self, self->next_id, MUXER_OUTBOUND);
    if (!s) {
        *code = P2P_ENOMEM;
        return NULL;
    }
    self->next_id += 2;
    p2p__yamux_window_init(s, 0);
    p2p__yamux_make_due(s);
    return &s->base;
}

static void yamux_written(struct muxer_stream *base)
{
    p2p__yamux_make_due((struct yamux_stream *)base);
}

static void yamux_consumed(struct muxer_stream *base, size_t n, uint64_t now_us)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    if (base->flags & MUXER_DONE)
        return;
    s->ack_due = s->announce;
    p2p__yamux_credit(s, n, now_us);
    p2p__yamux_make_due(s);
}

static void yamux_close_write(struct muxer_stream *base)
{
    if (base->flags & (MUXER_DONE | MUXER_FIN_WANTED))
        return;
    base->flags |= MUXER_FIN_WANTED;
    p2p__yamux_make_due((struct yamux_stream *)base);
}

static void yamux_reset(struct muxer_stream *base, uint32_t code)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    struct yamux *self = yamux_of(base);
    list_remove(&base->ready);
    if (!(base->flags & MUXER_DONE)) {
        /* A stream whose SYN never left is unknown to the remote: it just never was. */
        if (!(base->flags & MUXER_OUTBOUND) || !s->announce) {
            base->flags |= MUXER_RESET_SENT;
            if (!(base->flags & MUXER_EOF))
                p2p__yamux_drain_allow(self, s->recv_left);
            if (!self->failed)
                p2p__yamux_send_reset(self, (uint32_t)base->id, code);
        }
        p2p__yamux_stream_over(s);
    }
    p2p__yamux_stream_drop(s);
}

static void yamux_stop(struct muxer_stream *base)
{
    struct yamux_stream *s = (struct yamux_stream *)base;
    if (s->stopped)
        return;
    s->stopped = true;
    size_t unread = buf_len(&base->in);
    p2p__buf_fini(&base->in, base->muxer->config.pool);
    if (base->flags & MUXER_DONE)
        return;
    s->ack_due = s->announce;
    p2p__yamux_credit(s, unread, 0);
    p2p__yamux_make_due(s);
}

static void release(struct yamux_stream *s)
{
    struct yamux *self = yamux_of(&s->base);
    if (s->base.flags & MUXER_OUTBOUND) {
        self->base.streams_out--;
    } else {
        self->base.streams_in--;
        self->dead_in--;
    }
    p2p__yamux_window_fini(s);
    p2p__yamux_stream_drop(s);
    list_remove(&s->base.ready);
    list_remove(&s->base.all);
    p2p__free((char *)s - self->base.config.stream_head);
}

static void yamux_stream_free(struct muxer_stream *base)
{
    yamux_reset(base, 0);
    release((struct yamux_stream *)base);
}

static void yamux_goaway(struct muxer *base, uint32_t code)
{
    struct yamux *self = (struct yamux *)base;
    if (base->goaway_sent)
        return;
    base->goaway_sent = true;
    self->goaway_due = true;
    self->goaway_code = code;
}

static void yamux_fini(struct muxer *base)
{
    struct yamux *self = (struct yamux *)base;
    p2p__yamux_sent(base);
    while (!list_empty(&base->streams)) {
        struct yamux_stream *s = P2P__CONTAINER(base->streams.next, struct yamux_stream, base.all);
        p2p__yamux_stream_over(s);
        release(s);
    }
    p2p__outq_fini(&self->control, base->config.pool);
    p2p__map_fini(&self->ids);
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
    .written = yamux_written,
    .consumed = yamux_consumed,
    .close_write = yamux_close_write,
    .reset = yamux_reset,
    .stop = yamux_stop,
    .stream_free = yamux_stream_free,
    .goaway = yamux_goaway,
    .ping = p2p__yamux_ping,
    .deadline = p2p__yamux_deadline,
    .timeout = p2p__yamux_timeout,
    .fini = yamux_fini,
};
