#include "conn/stack.h"

#include <assert.h>
#include <string.h>

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

/* Two of the longest records as they come, with all heads, or of small records as many as fit. */
uint32_t p2p__stack_fill_max(const struct stack *self)
{
    size_t bulk = self->layers[self->count - 1].ops->record_max;
    for (uint32_t i = 0; i + 1 < self->count; i++)
        bulk += self->layers[i].ops->overhead;
    uint32_t least = 2 * self->layers[0].ops->record_max;
    if (least < IO_FILL_BULK)
        least = IO_FILL_BULK;
    return 2 * bulk > least && 2 * bulk <= IO_FILL_MAX ? (uint32_t)(2 * bulk) : least;
}

/* How many bytes of the link complete the record that a layer lacks, by what the layer below lacks
 * itself (of its own record; of a frame that streams through, what is to come before its end). */
static size_t lacking(size_t record, const struct buf *below_in, size_t below)
{
    if (buf_len(below_in) || !record || !below)
        return buf_len(below_in) ? below : 0;
    return record < below ? record : below;
}

/* *lacks: with STEP_WANT_INPUT, of the link's bytes; 0: unknown. */
static int open_at(struct stack *self, struct shard *shard, struct link *link, size_t i,
                   struct buf *to, size_t *lacks)
{
    struct stack_layer *layer = &self->layers[i];
    struct buf *in = i ? &layer->in : &link->in;
    for (;;) {
        struct span plain = {0};
        size_t held = buf_len(in);
        int rc = layer->ops->open(layer->state, &shard->env, in, &plain);
        if (rc == STEP_DONE) {
            shard->pump_bytes += STACK_RECORD_COST + (i == 0 ? held - buf_len(in) : 0);
            if (plain.len == 0)
                return STEP_DONE;
            rc = p2p__buf_join(to, &shard->pool, plain.base, plain.len, plain.gap);
            return rc < 0 ? rc : STEP_DONE;
        }
        *lacks = plain.len;
        if (rc < 0 || i == 0)
            return rc;
        /* What comes from below may move what `to` has borrowed from `in`. */
        rc = buf_len(in) || in->cap ? p2p__buf_settle(to, &shard->pool) : 0;
        if (rc == 0)
            rc = open_at(self, shard, link, i - 1, in, lacks);
        if (rc == STEP_WANT_INPUT)
            *lacks = lacking(plain.len, i > 1 ? &self->layers[i - 1].in : &link->in, *lacks);
        if (rc != STEP_DONE)
            return rc;
    }
}

/* All that came from the link is open but for the beginning of the top layer's record, which lies
 * where it came, at the end. */
static bool ends_in_link(const struct stack *self, const struct link *link)
{
    const struct buf *top = &self->layers[self->count - 1].in;
    if (self->count < 2)
        return false;
    for (uint32_t i = 0; i + 1 < self->count; i++)
        if (buf_len(i ? &self->layers[i].in : &link->in))
            return false;
    return buf_len(top) && buf_borrowed(top) && buf_borrowed(&link->in) &&
           top->block + top->head >= link->in.block &&
           top->block + top->tail == link->in.block + link->in.tail;
}

int p2p__stack_rest(struct stack *self, struct shard *shard, struct link *link)
{
    if (ends_in_link(self, link)) {
        struct buf *top = &self->layers[self->count - 1].in;
        self->opened = (uint32_t)buf_len(top);
        link->in.head = link->in.tail - self->opened;
        buf_consume(top, self->opened);
    }
    return p2p__stack_settle(self, shard);
}

/* What the last turn has left with the link goes back to the top layer. 0 or an error. */
static int take_back(struct stack *self, struct shard *shard, struct link *link)
{
    struct buf *top = &self->layers[self->count - 1].in, *in = &link->in;
    uint32_t len = self->opened, max = top->max;
    self->opened = 0;
    if (len == 0 || buf_len(in) < len) /* lost, with the link, to a lack of memory */
        return 0;
    if (in->cap && buf_len(in) == len) { /* another link needed the scratch: one copy is enough */
        *top = *in;
        top->max = max;
        buf_init(in, in->max);
        return 0;
    }
    buf_consume(in, len);
    return p2p__buf_join(top, &shard->pool, in->block + in->head - len, len, 0);
}

int p2p__stack_open(struct stack *self, struct shard *shard, struct link *link, struct buf *to)
{
    size_t lacks = 0;
    int rc = take_back(self, shard, link);
    if (rc == 0)
        rc = open_at(self, shard, link, self->count - 1, to, &lacks);
    link->need = rc == STEP_WANT_INPUT && lacks <= IO_FILL_MAX ? (uint32_t)lacks : 0;
    return rc;
}

bool p2p__stack_reads_on(const struct stack *self, const struct link *link)
{
    return link->need && link->ops->fills_behind && ends_in_link(self, link) &&
           buf_len(&self->layers[self->count - 1].in) > IO_HEADROOM &&
           link->ops->fills_behind(link);
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

/* What goes down: in memory of others, or (ours) in a scratch, each piece with room before it for
 * the heads of the layers below that wrap. */
struct sealed {
    struct iov iov[STACK_IOV_MAX];
    size_t count;
    bool ours;
};

static size_t heads_below(const struct stack *self, size_t i)
{
    size_t bytes = 0;
    for (; i-- > 0 && self->layers[i].ops->wrap;)
        bytes += self->layers[i].ops->overhead;
    return bytes;
}

/* All of `bytes` as records of one layer at out, `gap` before each. 0 or an error. */
static int seal_layer(struct stack_layer *layer, struct shard *shard, struct sealed *bytes,
                      size_t gap, uint8_t *out)
{
    struct iov in[STACK_IOV_MAX];
    const struct iov *iov = in;
    struct p2p__const_iov piece[STACK_IOV_MAX];
    size_t off = 0, left = bytes->count;
    const uint8_t *end = out + SHARD_SEAL_LEN;
    memcpy(in, bytes->iov, left * sizeof(*in));
    bytes->count = 0;
    bytes->ours = true;
    while (left) {
        size_t count = 0;
        take(&iov, &off, &left, layer->ops->plain_max, piece, &count);
        out += gap;
        int64_t n = layer->ops->seal(layer->state, &shard->env, piece, count, out);
        if (n < 0)
            return (int)n;
        struct iov *last = bytes->count ? &bytes->iov[bytes->count - 1] : NULL;
        if (last && gap == 0)
            last->len += (size_t)n;
        else
            bytes->iov[bytes->count++] = (struct iov){out, (size_t)n};
        out += n;
        assert(out <= end && bytes->count < STACK_IOV_MAX);
    }
    return 0;
}

static bool wraps(const struct stack_layer *layer, const struct sealed *bytes)
{
    bool fits = bytes->ours && layer->ops->wrap;
    for (size_t i = 0; fits && i < bytes->count; i++)
        fits = bytes->iov[i].len <= layer->ops->plain_max;
    return fits;
}

static void wrap_layer(struct stack_layer *layer, struct sealed *bytes)
{
    for (size_t i = 0; i < bytes->count; i++) {
        uint8_t *plain = (uint8_t *)(uintptr_t)bytes->iov[i].base;
        size_t head = layer->ops->wrap(layer->state, plain, bytes->iov[i].len);
        bytes->iov[i] = (struct iov){plain - head, bytes->iov[i].len + head};
    }
}

/* Through the layers below `top`, and to the link. */
static int seal_below(struct stack *self, struct shard *shard, struct link *link, size_t top,
                      const struct iov *iov, size_t iov_count)
{
    uint8_t *scratch = shard->seal;
    struct sealed bytes;
    bytes.count = iov_count;
    bytes.ours = false;
    assert(iov_count <= STACK_IOV_MAX);
    memcpy(bytes.iov, iov, iov_count * sizeof(*iov));
    for (size_t i = top; i-- > 0;) {
        struct stack_layer *layer = &self->layers[i];
        if (layer->ops->transparent)
            continue;
        if (wraps(layer, &bytes)) {
            wrap_layer(layer, &bytes);
            continue;
        }
        int rc = seal_layer(layer, shard, &bytes, heads_below(self, i), scratch);
        if (rc < 0)
            return rc;
        scratch = scratch == shard->seal ? shard->seal_below : shard->seal;
    }
    return link_send(link, bytes.iov, bytes.count);
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
