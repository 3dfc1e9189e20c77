#include "base/outq.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"

struct p2p_blob {
    atomic_uint count;
    size_t len;
    uint8_t bytes[];
};

struct p2p_blob *p2p__blob_new(const void *in, size_t in_len)
{
    if (in_len > SIZE_MAX - sizeof(struct p2p_blob))
        return NULL;
    struct p2p_blob *self = p2p__realloc(NULL, sizeof(*self) + in_len);
    if (!self)
        return NULL;
    atomic_init(&self->count, 1);
    self->len = in_len;
    if (in_len)
        memcpy(self->bytes, in, in_len);
    return self;
}

void p2p__blob_ref(struct p2p_blob *self)
{
    atomic_fetch_add_explicit(&self->count, 1, memory_order_relaxed);
}

void p2p__blob_unref(struct p2p_blob *self)
{
    if (self && atomic_fetch_sub_explicit(&self->count, 1, memory_order_acq_rel) == 1)
        p2p__free(self);
}

const uint8_t *p2p__blob_data(const struct p2p_blob *self, size_t *len)
{
    *len = self->len;
    return self->bytes;
}

/* A slab starts with its segment; a blob's segment is a small block of its own. */
struct outq_seg {
    struct outq_seg *next;
    struct p2p_blob *blob;
    uint8_t *bytes;
    uint32_t len, cap;  /* of bytes */
    uint32_t block_len; /* of the pool's block */
};

enum {
    /* Blobs longer than this are refused: offsets are 32 bits. */
    SEG_MAX = 1 << 30,
};

static size_t seg_free_room(const struct outq_seg *seg)
{
    return seg && !seg->blob ? seg->cap - seg->len : 0;
}

static void link_seg(struct outq *self, struct outq_seg *seg)
{
    if (self->last)
        self->last->next = seg;
    else
        self->first = seg;
    self->last = seg;
    if (!self->sent_seg) {
        self->sent_seg = seg;
        self->sent_off = 0;
    }
}

static struct outq_seg *slab_new(struct outq *self, struct pool *pool, size_t want)
{
    /* A short message on an idle queue takes a small block; a stream of bytes takes slabs. */
    size_t size =
        !self->last && want <= POOL_SMALL - sizeof(struct outq_seg) ? POOL_SMALL : POOL_MEDIUM;
    struct outq_seg *seg = p2p__pool_get(pool, &size);
    if (!seg)
        return NULL;
    *seg = (struct outq_seg){.bytes = (uint8_t *)(seg + 1),
                             .cap = (uint32_t)(size - sizeof(*seg)),
                             .block_len = (uint32_t)size};
    return seg;
}

static void seg_free(struct outq_seg *seg, struct pool *pool)
{
    if (seg->blob) {
        p2p__blob_unref(seg->blob);
        p2p__free(seg);
    } else {
        p2p__pool_put(pool, seg, seg->block_len);
    }
}

/* Slabs for all of need, chained but not yet linked, so that failing leaves no trace. */
static int slabs_reserve(struct outq *self, struct pool *pool, size_t need, struct outq_seg **out)
{
    struct outq_seg *first = NULL, **tail = &first;
    while (need > 0) {
        struct outq_seg *seg = slab_new(self, pool, need);
        if (!seg) {
            while (first) {
                struct outq_seg *next = first->next;
                seg_free(first, pool);
                first = next;
            }
            return P2P_ENOMEM;
        }
        *tail = seg;
        tail = &seg->next;
        need -= need < seg->cap ? need : seg->cap;
    }
    *out = first;
    return 0;
}

int p2p__outq_append(struct outq *self, struct pool *pool, const void *in, size_t in_len)
{
    const uint8_t *from = in;
    size_t room = seg_free_room(self->last);
    size_t first = in_len < room ? in_len : room;
    struct outq_seg *more = NULL;
    if (in_len > first && slabs_reserve(self, pool, in_len - first, &more) < 0)
        return P2P_ENOMEM;
    if (first) {
        memcpy(self->last->bytes + self->last->len, from, first);
        if (!self->sent_seg) {
            self->sent_seg = self->last;
            self->sent_off = self->last->len;
        }
        self->last->len += (uint32_t)first;
    }
    size_t done = first;
    while (more) {
        struct outq_seg *next = more->next;
        size_t n = in_len - done < more->cap ? in_len - done : more->cap;
        memcpy(more->bytes, from + done, n);
        more->len = (uint32_t)n;
        more->next = NULL;
        link_seg(self, more);
        done += n;
        more = next;
    }
    self->unsent += in_len;
    pool->copied_bytes += in_len;
    return 0;
}

int p2p__outq_append_blob(struct outq *self, struct p2p_blob *blob)
{
    if (blob->len == 0)
        return 0;
    if (blob->len > SEG_MAX)
        return P2P_ETOOBIG;
    struct outq_seg *seg = p2p__alloc(sizeof(*seg));
    if (!seg)
        return P2P_ENOMEM;
    p2p__blob_ref(blob);
    seg->blob = blob;
    seg->bytes = blob->bytes;
    seg->len = seg->cap = (uint32_t)blob->len;
    link_seg(self, seg);
    self->unsent += blob->len;
    return 0;
}

void p2p__outq_move(struct outq *self, struct outq *to)
{
    assert(self->unacked == 0 && self->acked_off == 0);
    if (!self->first)
        return;
    if (to->last)
        to->last->next = self->first;
    else
        to->first = self->first;
    if (!to->sent_seg) {
        to->sent_seg = self->first;
        to->sent_off = 0;
    }
    to->last = self->last;
    to->unsent += self->unsent;
    *self = (struct outq){0};
}

size_t p2p__outq_iov(const struct outq *self, struct iov *iov, size_t iov_cap, size_t max,
                     size_t *total)
{
    size_t count = 0, bytes = 0, off = self->sent_off;
    for (struct outq_seg *seg = self->sent_seg; seg && count < iov_cap && bytes < max;
         seg = seg->next, off = 0) {
        size_t n = seg->len - off;
        if (n > max - bytes)
            n = max - bytes;
        if (n == 0)
            continue;
        iov[count++] = (struct iov){seg->bytes + off, n};
        bytes += n;
    }
    *total = bytes;
    return count;
}

void p2p__outq_sent(struct outq *self, size_t n)
{
    assert(n <= self->unsent);
    self->unsent -= n;
    self->unacked += n;
    while (n > 0) {
        struct outq_seg *seg = self->sent_seg;
        size_t here = seg->len - self->sent_off;
        if (n < here) {
            self->sent_off += (uint32_t)n;
            return;
        }
        n -= here;
        self->sent_seg = seg->next;
        self->sent_off = 0;
    }
}

void p2p__outq_acked(struct outq *self, struct pool *pool, size_t n)
{
    assert(n <= self->unacked);
    self->unacked -= n;
    while (n > 0 || (self->first && outq_len(self) == 0)) {
        struct outq_seg *seg = self->first;
        assert(seg);
        size_t here = seg->len - self->acked_off;
        if (n < here) {
            self->acked_off += (uint32_t)n;
            return;
        }
        n -= here;
        self->first = seg->next;
        self->acked_off = 0;
        if (!self->first)
            self->last = NULL;
        if (self->sent_seg == seg)
            self->sent_seg = NULL;
        seg_free(seg, pool);
    }
}

void p2p__outq_trim(struct outq *self, struct pool *pool)
{
    struct outq_seg *cut = self->sent_seg, *before = NULL;
    if (!cut)
        return;
    for (struct outq_seg *seg = self->first; seg != cut; seg = seg->next)
        before = seg;
    if (self->sent_off) { /* its beginning was sent */
        cut->len = self->sent_off;
        before = cut;
        cut = cut->next;
    }
    while (cut) {
        struct outq_seg *next = cut->next;
        seg_free(cut, pool);
        cut = next;
    }
    if (before)
        before->next = NULL;
    else
        self->first = NULL;
    self->last = before;
    self->sent_seg = NULL;
    self->sent_off = 0;
    self->unsent = 0;
    if (self->unacked == 0)
        p2p__outq_fini(self, pool);
}

void p2p__outq_fini(struct outq *self, struct pool *pool)
{
    while (self->first) {
        struct outq_seg *seg = self->first;
        self->first = seg->next;
        seg_free(seg, pool);
    }
    *self = (struct outq){0};
}
