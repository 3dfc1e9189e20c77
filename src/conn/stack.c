#include "conn/stack.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

int p2p__stack_push(struct stack *self, struct shard *shard, const struct layer_ops *ops,
                    void *state, struct buf *plain)
{
    assert(self->count < STACK_LAYERS_MAX);
    /* Two layers seal from one scratch into the other. */
    if (self->count && !shard->seal_below) {
        shard->seal_below = p2p__realloc(NULL, SHARD_SEAL_LEN);
        if (!shard->seal_below)
            return P2P_ENOMEM;
    }
    struct stack_layer *layer = &self->layers[self->count];
    layer->ops = ops;
    layer->state = state;
    if (self->count) {
        layer->in = *plain;
        layer->in.max = 2 * (ops->record_max > IO_FILL_MAX ? ops->record_max : IO_FILL_MAX);
        buf_init(plain, plain->max);
    }
    self->count++;
    return 0;
}

static int open_at(struct stack *self, struct shard *shard, struct link *link, size_t i,
                   struct buf *to)
{
    struct stack_layer *layer = &self->layers[i];
    struct buf *in = i ? &layer->in : &link->in;
    for (;;) {
        struct span plain = {0};
        size_t held = buf_len(in);
        int rc = layer->ops->open(layer->state, &shard->env, in, &plain);
        if (i == 0)
            link->need = rc == STEP_WANT_INPUT ? (uint32_t)plain.len : 0;
        if (rc == STEP_DONE) {
            shard->pump_bytes += STACK_RECORD_COST + (i == 0 ? held - buf_len(in) : 0);
            if (plain.len == 0)
                return STEP_DONE;
            rc = p2p__buf_join(to, &shard->pool, plain.base, plain.len, plain.gap);
            return rc < 0 ? rc : STEP_DONE;
        }
        if (rc < 0 || i == 0)
            return rc;
        /* What comes from below may move what `to` has borrowed from `in`. */
        rc = p2p__buf_settle(to, &shard->pool);
        if (rc == 0)
            rc = open_at(self, shard, link, i - 1, in);
        if (rc != STEP_DONE)
            return rc;
    }
}

int p2p__stack_open(struct stack *self, struct shard *shard, struct link *link, struct buf *to)
{
    return open_at(self, shard, link, self->count - 1, to);
}

/* Takes up to max bytes off the front of a gather list. */
static void take(const struct iov **iov, size_t *off, size_t *left, size_t max,
                 struct p2p__const_iov *out, size_t *out_count)
{
    size_t bytes = 0, count = 0;
    while (*left && bytes < max) {
        size_t n = (*iov)->len - *off;
        if (n > max - bytes)
            n = max - bytes;
        out[count++] = (struct p2p__const_iov){(*iov)->base + *off, n};
        bytes += n;
        *off += n;
        if (*off == (*iov)->len) {
            (*iov)++;
            (*left)--;
            *off = 0;
        }
    }
    *out_count = count;
}

/* All of iov as records of one layer, at out. Their length, or an error. */
static int64_t seal_layer(struct stack_layer *layer, struct shard *shard, const struct iov *iov,
                          size_t iov_count, uint8_t *out)
{
    struct p2p__const_iov piece[STACK_IOV_MAX];
    size_t off = 0, sealed = 0;
    assert(iov_count <= STACK_IOV_MAX);
    while (iov_count) {
        size_t count = 0;
        take(&iov, &off, &iov_count, layer->ops->plain_max, piece, &count);
        int64_t n = layer->ops->seal(layer->state, &shard->env, piece, count, out + sealed);
        if (n < 0)
            return n;
        sealed += (size_t)n;
        assert(sealed <= SHARD_SEAL_LEN);
    }
    return (int64_t)sealed;
}

/* Through the layers below `top`, and to the link. */
static int seal_below(struct stack *self, struct shard *shard, struct link *link, size_t top,
                      const struct iov *iov, size_t iov_count)
{
    uint8_t *scratch = shard->seal;
    struct iov sealed;
    for (size_t i = top; i-- > 0;) {
        struct stack_layer *layer = &self->layers[i];
        if (layer->ops->transparent)
            continue;
        int64_t n = seal_layer(layer, shard, iov, iov_count, scratch);
        if (n < 0)
            return (int)n;
        sealed = (struct iov){scratch, (size_t)n};
        iov = &sealed;
        iov_count = 1;
        scratch = scratch == shard->seal ? shard->seal_below : shard->seal;
    }
    return link_send(link, iov, iov_count);
}

int p2p__stack_seal(struct stack *self, struct shard *shard, struct link *link,
                    const struct iov *iov, size_t iov_count)
{
    return seal_below(self, shard, link, self->count, iov, iov_count);
}

int p2p__stack_pending(struct stack *self, struct shard *shard, struct link *link)
{
    for (size_t i = self->count; i-- > 0;) {
        struct stack_layer *layer = &self->layers[i];
        uint8_t bytes[LAYER_PENDING_MAX];
        size_t n =
            layer->ops->pending ? layer->ops->pending(layer->state, bytes, sizeof(bytes)) : 0;
        struct iov iov = {bytes, n};
        int rc = n ? seal_below(self, shard, link, i, &iov, 1) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int p2p__stack_close(struct stack *self, struct shard *shard, struct link *link)
{
    int rc = 0;
    for (size_t i = self->count; i-- > 0 && rc >= 0;) {
        struct stack_layer *layer = &self->layers[i];
        struct outq out = {0};
        struct iov iov[4];
        size_t bytes = 0, n = 0;
        rc = layer->ops->close ? layer->ops->close(layer->state, &shard->env, &out) : 0;
        if (rc >= 0 && (n = p2p__outq_iov(&out, iov, 4, SHARD_SEAL_LEN / 2, &bytes)) > 0)
            rc = seal_below(self, shard, link, i, iov, n);
        p2p__outq_fini(&out, &shard->pool);
    }
    return rc;
}

int p2p__stack_settle(struct stack *self, struct shard *shard)
{
    int rc = 0;
    for (size_t i = self->count; i-- > 1 && rc >= 0;)
        rc = p2p__buf_settle(&self->layers[i].in, &shard->pool);
    return rc;
}

void p2p__stack_fini(struct stack *self, struct shard *shard)
{
    while (self->count) {
        struct stack_layer *layer = &self->layers[--self->count];
        layer->ops->fini(layer->state);
        p2p__free(layer->state);
        p2p__buf_fini(&layer->in, &shard->pool);
    }
}
