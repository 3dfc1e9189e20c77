#include "muxer/framed.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

void p2p__framed_init(struct framed *self, const struct framed_ops *frames,
                      const struct muxer_config *config)
{
    struct muxer *base = &self->base;
    assert(config->pool && config->stream_head % _Alignof(struct framed_stream) == 0);
    self->frames = frames;
    base->config = *config;
    list_init(&base->ready);
    list_init(&base->due);
    list_init(&base->streams);
}

int p2p__framed_fail(struct framed *self, int code, const char *error)
{
    if (self->failed)
        return self->failed;
    self->failed = code;
    self->base.error = error;
    /* A farewell that has left already is not repeated. */
    self->goaway_due = self->goaway_due || !self->base.goaway_sent;
    self->base.goaway_sent = true;
    return code;
}

/* --- streams */

static uint64_t id_hash(const struct framed *self, uint64_t id)
{
    const struct hash_key *key = &self->base.config.hash_key;
    uint32_t low = (uint32_t)id;
    return low == id ? p2p__hash(key, &low, sizeof(low)) : p2p__hash(key, &id, sizeof(id));
}

struct framed_stream *p2p__framed_find(const struct framed *self, uint64_t id, bool outbound)
{
    struct map_node *node = p2p__map_first(&self->ids, id_hash(self, id));
    for (; node; node = p2p__map_next(node)) {
        struct framed_stream *s = P2P__CONTAINER(node, struct framed_stream, node);
        if (s->base.id == id && framed_outbound(s) == outbound)
            return s;
    }
    return NULL;
}

struct framed_stream *p2p__framed_stream_new(struct framed *self, uint64_t id, uint32_t flags)
{
    size_t head = self->base.config.stream_head;
    char *memory = p2p__alloc(head + self->base.ops->stream_size);
    if (!memory)
        return NULL;
    struct framed_stream *s = (struct framed_stream *)(memory + head);
    s->base.muxer = &self->base;
    s->base.id = id;
    s->base.flags = flags;
    list_init(&s->base.ready);
    list_init(&s->base.due);
    list_append(&self->base.streams, &s->base.all);
    p2p__map_put(&self->ids, &s->node, id_hash(self, id));
    if (framed_outbound(s)) {
        self->base.streams_out++;
        self->unacked++;
    } else {
        self->base.streams_in++;
    }
    return s;
}

void p2p__framed_over(struct framed_stream *s)
{
    struct framed *self = framed_of(s);
    if (s->base.flags & MUXER_DONE)
        return;
    s->base.flags |= MUXER_DONE;
    list_remove(&s->base.due);
    p2p__map_remove(&self->ids, &s->node);
    if (self->body_stream == s)
        self->body_stream = NULL;
    if (!framed_outbound(s))
        self->dead_in++;
    else if (!(s->base.flags & MUXER_ACKED))
        self->unacked--;
}

/* Both directions are empty and give their memory back. */
static void drop(struct framed_stream *s)
{
    struct pool *pool = s->base.muxer->config.pool;
    p2p__buf_fini(&s->base.in, pool);
    p2p__outq_fini(&s->base.out, pool);
}

void p2p__framed_release(struct framed_stream *s)
{
    struct framed *self = framed_of(s);
    if (framed_outbound(s)) {
        self->base.streams_out--;
    } else {
        self->base.streams_in--;
        self->dead_in--;
    }
    drop(s);
    list_remove(&s->base.ready);
    list_remove(&s->base.all);
    p2p__free((char *)s - self->base.config.stream_head);
}

void p2p__framed_close_write(struct muxer_stream *base)
{
    if (base->flags & (MUXER_DONE | MUXER_FIN_WANTED))
        return;
    base->flags |= MUXER_FIN_WANTED;
    p2p__framed_make_due((struct framed_stream *)base);
}

void p2p__framed_reset(struct muxer_stream *base, uint32_t code)
{
    struct framed_stream *s = (struct framed_stream *)base;
    struct framed *self = framed_of(s);
    list_remove(&base->ready);
    if (!(base->flags & MUXER_DONE)) {
        /* A stream whose first frame never left is unknown to the remote: it just never was. */
        if (!framed_outbound(s) || !framed_announces(s)) {
            base->flags |= MUXER_RESET_SENT;
            if (!self->failed)
                self->frames->send_reset(s, code);
        }
        p2p__framed_over(s);
    }
    drop(s);
}

void p2p__framed_fini(struct muxer *base)
{
    struct framed *self = (struct framed *)base;
    base->ops->sent(base);
    while (!list_empty(&base->streams)) {
        struct framed_stream *s =
            P2P__CONTAINER(base->streams.next, struct framed_stream, base.all);
        p2p__framed_over(s);
        p2p__framed_release(s);
    }
    p2p__outq_fini(&self->control, base->config.pool);
    p2p__map_fini(&self->ids);
}

/* --- what comes in */

void p2p__framed_remote_end(struct framed_stream *s)
{
    if (s->base.flags & MUXER_EOF)
        return;
    s->base.flags |= MUXER_EOF;
    if (s->base.flags & MUXER_FIN_SENT)
        p2p__framed_over(s);
    muxer_make_ready(&s->base);
}

int p2p__framed_reset_take(struct framed *self, uint64_t now_us)
{
    if (muxer_reset_take(&self->base, now_us))
        return 0;
    return p2p__framed_fail(self, P2P_ELIMIT, "the remote opens and resets streams too fast");
}

static void cut_off(struct framed_stream *s, uint32_t flags)
{
    struct pool *pool = s->base.muxer->config.pool;
    s->base.flags |= flags;
    p2p__framed_over(s);
    p2p__outq_fini(&s->base.out, pool);
    /* What the remote completed stays readable. */
    if (!(s->base.flags & MUXER_EOF))
        p2p__buf_fini(&s->base.in, pool);
    muxer_make_ready(&s->base);
}

int p2p__framed_remote_reset(struct framed_stream *s, uint64_t now_us)
{
    /* Work that was thrown away makes a rapid reset; go ends every ping with one, after the answer.
     */
    bool rapid = !(s->base.flags & (MUXER_OUTBOUND | MUXER_FIN_SENT | FRAMED_ANSWERED));
    cut_off(s, MUXER_RESET);
    return rapid ? p2p__framed_reset_take(framed_of(s), now_us) : 0;
}

int p2p__framed_break(struct framed_stream *s, uint32_t why)
{
    cut_off(s, MUXER_RESET | MUXER_RESET_SENT | why);
    return framed_of(s)->frames->send_reset(s, 0);
}

bool p2p__framed_backlog(struct framed *self)
{
    if (outq_len(&self->control) < FRAMED_CONTROL_MAX / 2 || self->control_told)
        return false;
    self->control_told = true;
    return true;
}

int p2p__framed_lend(struct framed_stream *s, struct buf *in, size_t n)
{
    struct framed *self = framed_of(s);
    size_t held = buf_borrowed(&s->base.in) ? buf_len(&s->base.in) : 0;
    /* Joining the two would copy both. */
    if (held && held + n >= FRAMED_COPY_BELOW && !self->told) {
        self->told = true;
        return MUXER_TELL;
    }
    if (p2p__buf_join(&s->base.in, self->base.config.pool, buf_data_mut(in), n, 0) < 0)
        return p2p__framed_fail(self, P2P_ENOMEM, "out of memory");
    s->base.flags |= MUXER_READABLE;
    muxer_make_ready(&s->base);
    return 0;
}
