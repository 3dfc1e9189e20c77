/* Two muxers back to back through memory, and a small application on each stream that checks what
 * arrives. For tests, fuzz targets and benches; works on any muxer ops table. */
#ifndef P2P_TESTS_MUXER_PAIR_H
#define P2P_TESTS_MUXER_PAIR_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"
#include "muxer/muxer.h"

enum {
    SIDE_IOV = 64,
    SIDE_OUT = 256 * 1024, /* a pump of the writer */
    SIDE_SCRATCH = 128 * 1024,
};

/* What the tests keep of each stream: it stands before the muxer_stream. */
struct app {
    uint64_t got, sent;
    uint32_t news, done, wrong;
    bool hold; /* does not read */
    bool echo;
    bool keep; /* is not freed when it is over */
};

struct side {
    struct pool pool;
    struct muxer *muxer;
    struct buf in;
    uint8_t *wire; /* sent, not yet delivered */
    size_t wire_len, wire_cap;
    uint8_t *scratch;
    uint64_t now_us;
    int code;              /* the error that ended it */
    bool hold, echo, keep; /* of new inbound streams */
    uint32_t opened, finished, tells, wrong;
    uint64_t got;
};

static inline struct app *app_of(struct muxer_stream *s)
{
    return (struct app *)(void *)((char *)s - sizeof(struct app));
}

static inline uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 131 + (at >> 8) * 7);
}

static inline struct muxer_config side_config(bool initiator)
{
    return (struct muxer_config){
        .initiator = initiator,
        .streams_in_max = 256,
        .stream_window = 256 * 1024,
        .stream_window_max = 16 * 1024 * 1024,
        .conn_window_max = 16 * 1024 * 1024,
        .stream_head = sizeof(struct app),
        .hash_key = {1, 2},
    };
}

static inline int side_init(struct side *self, const struct muxer_ops *ops,
                            struct muxer_config config)
{
    *self = (struct side){.now_us = 1000000};
    p2p__pool_init(&self->pool, 0);
    buf_init(&self->in, 4 * SIDE_SCRATCH);
    config.pool = &self->pool;
    self->scratch = malloc(SIDE_SCRATCH);
    self->muxer = p2p__alloc(ops->conn_size);
    assert(self->scratch);
    if (!self->muxer)
        return P2P_ENOMEM;
    self->muxer->ops = ops;
    return ops->init(self->muxer, &config, self->now_us);
}

/* Afterwards the pool has everything back, which is what it returns. */
static inline bool side_fini(struct side *self)
{
    if (self->muxer)
        self->muxer->ops->fini(self->muxer);
    p2p__buf_fini(&self->in, &self->pool);
    bool clean = self->pool.used_bytes == 0;
    p2p__free(self->muxer);
    p2p__pool_fini(&self->pool);
    free(self->scratch);
    free(self->wire);
    self->muxer = NULL;
    return clean;
}

static inline struct muxer_stream *side_open(struct side *self, int *code)
{
    return self->muxer->ops->open(self->muxer, code);
}

/* n bytes of the pattern; false: no memory. */
static inline bool side_write(struct side *self, struct muxer_stream *s, size_t n)
{
    uint8_t bytes[4096];
    while (n > 0) {
        size_t now = n < sizeof(bytes) ? n : sizeof(bytes);
        for (size_t i = 0; i < now; i++)
            bytes[i] = pattern(app_of(s)->sent + i);
        if (p2p__outq_append(&s->out, &self->pool, bytes, now) < 0)
            return false;
        app_of(s)->sent += now;
        n -= now;
    }
    self->muxer->ops->written(s);
    return true;
}

static inline void side_read(struct side *self, struct muxer_stream *s, size_t max)
{
    struct app *app = app_of(s);
    size_t n = buf_len(&s->in) < max ? buf_len(&s->in) : max;
    const uint8_t *at = buf_data(&s->in);
    for (size_t i = 0; i < n; i++)
        app->wrong += at[i] != pattern(app->got + i);
    if (n && app->echo) {
        if (p2p__outq_append(&s->out, &self->pool, at, n) < 0)
            self->code = P2P_ENOMEM;
        else
            self->muxer->ops->written(s);
    }
    app->got += n;
    self->got += n;
    self->wrong += app->wrong;
    buf_consume(&s->in, n);
    if (n)
        self->muxer->ops->consumed(s, n, self->now_us);
}

static inline void side_tell_one(struct side *self, struct muxer_stream *s)
{
    struct app *app = app_of(s);
    if (s->flags & MUXER_NEW) {
        self->opened++;
        app->news++;
        app->hold = self->hold;
        app->echo = self->echo;
        app->keep = self->keep;
    }
    s->flags &= ~(uint32_t)(MUXER_NEW | MUXER_READABLE | MUXER_WRITABLE);
    if (!app->hold)
        side_read(self, s, SIZE_MAX);
    if (app->echo && (s->flags & MUXER_EOF))
        self->muxer->ops->close_write(s);
    if (p2p__buf_settle(&s->in, &self->pool) < 0)
        self->code = P2P_ENOMEM;
    if ((s->flags & MUXER_DONE) && !app->done++) {
        self->finished++;
        if (!app->keep)
            self->muxer->ops->stream_free(s);
    }
}

static inline void side_tell(struct side *self)
{
    struct list ready, *node;
    self->tells++;
    list_move(&self->muxer->ready, &ready);
    while ((node = list_pop(&ready)))
        side_tell_one(self, P2P__CONTAINER(node, struct muxer_stream, ready));
}

/* Takes up to max bytes of output to the wire; returns how many. */
static inline size_t side_send(struct side *self, size_t max)
{
    struct iov iov[SIDE_IOV];
    size_t bytes, sum = 0;
    size_t n = self->muxer->ops->pump_out(self->muxer, iov, SIDE_IOV, max, self->now_us, &bytes);
    assert(n <= SIDE_IOV && bytes <= max);
    if (n == 0)
        return 0;
    if (self->wire_len + bytes > self->wire_cap) {
        self->wire_cap = 2 * (self->wire_len + bytes);
        self->wire = realloc(self->wire, self->wire_cap);
        assert(self->wire);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(self->wire + self->wire_len + sum, iov[i].base, iov[i].len);
        sum += iov[i].len;
    }
    assert(sum == bytes);
    self->wire_len += bytes;
    self->muxer->ops->sent(self->muxer);
    return bytes;
}

/* At most SIDE_SCRATCH bytes from the remote. */
static inline int side_feed(struct side *self, const uint8_t *bytes, size_t len)
{
    if (self->code < 0)
        return self->code;
    memcpy(self->scratch, bytes, len);
    int code = p2p__buf_join(&self->in, &self->pool, self->scratch, len, 0);
    if (code == 0)
        while ((code = self->muxer->ops->pump_in(self->muxer, &self->in, self->now_us)) ==
               MUXER_TELL)
            side_tell(self);
    side_tell(self);
    if (code >= 0 && p2p__buf_settle(&self->in, &self->pool) < 0)
        code = P2P_ENOMEM;
    if (code < 0 && self->code == 0)
        self->code = code;
    return self->code;
}

/* Delivers up to max bytes of what `from` put on its wire. */
static inline size_t side_deliver(struct side *from, struct side *to, size_t max)
{
    size_t n = from->wire_len < max ? from->wire_len : max;
    if (n > SIDE_SCRATCH)
        n = SIDE_SCRATCH;
    if (n == 0)
        return 0;
    side_feed(to, from->wire, n);
    memmove(from->wire, from->wire + n, from->wire_len - n);
    from->wire_len -= n;
    return n;
}

/* Until nothing moves, or one side failed. */
static inline void pair_run(struct side *a, struct side *b)
{
    for (bool moved = true; moved;) {
        moved = false;
        moved |= a->code == 0 && side_send(a, SIDE_OUT) > 0;
        moved |= b->code == 0 && side_send(b, SIDE_OUT) > 0;
        moved |= b->code == 0 && side_deliver(a, b, SIDE_SCRATCH) > 0;
        moved |= a->code == 0 && side_deliver(b, a, SIDE_SCRATCH) > 0;
        side_tell(a);
        side_tell(b);
    }
}

static inline uint32_t pair_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (uint32_t)(*seed >> 32);
}

/* The first open stream of that id, or NULL. */
static inline struct muxer_stream *side_find(struct side *self, uint64_t id)
{
    for (struct list *at = self->muxer->streams.next; at != &self->muxer->streams; at = at->next) {
        struct muxer_stream *s = P2P__CONTAINER(at, struct muxer_stream, all);
        if (s->id == id)
            return s;
    }
    return NULL;
}

#endif
