/* The writer: what is due, as a gather list. Resets first, then the streams in turn; headers and
 * small bodies stand in a stage that lives from pump_out to sent. */
#include "muxer/mplex.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/varint.h"

enum {
    /* A body is not cut shorter than this only to fill up what is left of the pump. */
    FRAGMENT_MIN = 1024,
    /* Pieces of which a small body is put together at most. */
    SMALL_PIECES = 8,
    FLAG_BITS = 3,
};

struct writer {
    struct iov *iov;
    size_t iov_cap, count;
    size_t room, bytes; /* of the pump */
    uint8_t *stage;
    size_t stage_cap, stage_len;
};

size_t p2p__mplex_header(uint8_t *out, uint64_t id, uint32_t flag, size_t length)
{
    size_t n = p2p__varint_encode(id << FLAG_BITS | flag, out);
    return n + p2p__varint_encode(length, out + n);
}

int p2p__mplex_send_reset(struct mplex *self, uint64_t id, bool outbound)
{
    uint8_t header[MPLEX_HEADER_MAX];
    size_t n =
        p2p__mplex_header(header, id, outbound ? MPLEX_RESET + MPLEX_BY_INITIATOR : MPLEX_RESET, 0);
    if (outq_len(&self->control) + n > MPLEX_CONTROL_MAX)
        return p2p__mplex_fail(self, P2P_ELIMIT, "the remote causes more replies than it reads");
    if (p2p__outq_append(&self->control, self->base.config.pool, header, n) < 0)
        return p2p__mplex_fail(self, P2P_ENOMEM, "out of memory");
    return 0;
}

/* --- what a stream can send now */

static bool fin_due(const struct mplex_stream *s)
{
    return (s->base.flags & (MUXER_FIN_WANTED | MUXER_FIN_SENT)) == MUXER_FIN_WANTED &&
           outq_unsent(&s->base.out) == 0;
}

static bool is_due(const struct mplex_stream *s)
{
    return !(s->base.flags & MUXER_DONE) &&
           (s->announce || outq_unsent(&s->base.out) || fin_due(s));
}

void p2p__mplex_make_due(struct mplex_stream *s)
{
    if (list_empty(&s->base.due) && is_due(s))
        list_append(&s->base.muxer->due, &s->base.due);
}

static uint32_t flag_of(const struct mplex_stream *s, enum mplex_flag flag)
{
    return (uint32_t)flag + (s->base.flags & MUXER_OUTBOUND ? MPLEX_BY_INITIATOR : 0);
}

/* --- pieces */

/* Room for len bytes of stage, as part of the gather list. NULL: no room. */
static uint8_t *stage_take(struct writer *w, size_t len)
{
    if (len > w->room - w->bytes || len > w->stage_cap - w->stage_len)
        return NULL;
    uint8_t *at = w->stage + w->stage_len;
    struct iov *last = w->count ? &w->iov[w->count - 1] : NULL;
    if (last && last->base + last->len == at) {
        last->len += len;
    } else {
        assert(w->iov);
        if (w->count == w->iov_cap)
            return NULL;
        w->iov[w->count++] = (struct iov){at, len};
    }
    w->stage_len += len;
    w->bytes += len;
    return at;
}

static bool write_header(struct writer *w, uint64_t id, uint32_t flag, size_t length)
{
    uint8_t header[MPLEX_HEADER_MAX];
    size_t n = p2p__mplex_header(header, id, flag, length);
    uint8_t *at = stage_take(w, n);
    if (at)
        memcpy(at, header, n);
    return at != NULL;
}

/* Cut anywhere: nothing else leaves before the rest has. */
static void write_control(struct mplex *self, struct writer *w)
{
    w->count = p2p__outq_iov(&self->control, w->iov, w->iov_cap, w->room, &w->bytes);
    p2p__outq_sent(&self->control, w->bytes);
}

/* --- streams */

static void bytes_left(struct mplex_stream *s)
{
    s->base.flags |= MUXER_WRITABLE;
    muxer_make_ready(&s->base);
}

/* The name stays empty, as the spec allows. false: no room. */
static bool write_new_stream(struct mplex_stream *s, struct writer *w)
{
    if (s->announce && !write_header(w, s->base.id, MPLEX_NEW_STREAM, 0))
        return false;
    s->announce = false;
    return true;
}

static bool write_small_body(struct mplex_stream *s, struct writer *w, size_t n)
{
    struct iov piece[SMALL_PIECES];
    uint8_t header[MPLEX_HEADER_MAX];
    size_t pieces = p2p__outq_iov(&s->base.out, piece, SMALL_PIECES, n, &n);
    size_t header_len = p2p__mplex_header(header, s->base.id, flag_of(s, MPLEX_MESSAGE), n);
    uint8_t *at = stage_take(w, header_len + n);
    if (!at)
        return false;
    memcpy(at, header, header_len);
    at += header_len;
    for (size_t i = 0; i < pieces; i++) {
        memcpy(at, piece[i].base, piece[i].len);
        at += piece[i].len;
    }
    s->base.muxer->config.pool->copied_bytes += n;
    p2p__outq_sent(&s->base.out, n);
    /* Bytes lent earlier in this pump are still needed; sent() frees these with them. */
    if (!s->in_flight)
        p2p__outq_acked(&s->base.out, s->base.muxer->config.pool, n);
    bytes_left(s);
    return true;
}

/* How long the header is depends on how much the gather list takes: the pieces come first, one
 * entry behind, and move up if the header joined the stage's entry before it. */
static bool write_large_body(struct mplex_stream *s, struct writer *w, size_t n)
{
    struct mplex *self = mplex_of(&s->base);
    if (w->iov_cap - w->count < 2)
        return false;
    struct iov *pieces = w->iov + w->count + 1;
    size_t count = p2p__outq_iov(&s->base.out, pieces, w->iov_cap - w->count - 1, n, &n);
    if (!write_header(w, s->base.id, flag_of(s, MPLEX_MESSAGE), n))
        return false;
    memmove(w->iov + w->count, pieces, count * sizeof(*pieces));
    w->count += count;
    w->bytes += n;
    p2p__outq_sent(&s->base.out, n);
    if (!s->in_flight) {
        s->in_flight = true;
        s->flight = self->flight;
        self->flight = s;
    }
    return true;
}

static bool write_body(struct mplex_stream *s, struct writer *w, bool alone)
{
    size_t want = outq_unsent(&s->base.out);
    size_t most = alone ? MPLEX_BODY_ALONE : MPLEX_BODY_SHARED;
    if (want == 0)
        return true;
    size_t n = want < most ? want : most;
    size_t room = w->room - w->bytes;
    if (room < MPLEX_HEADER_MAX + n) {
        if (room <= MPLEX_HEADER_MAX || (w->count && room < FRAGMENT_MIN))
            return false;
        n = room - MPLEX_HEADER_MAX;
    }
    if (!(n < MPLEX_COPY_BELOW ? write_small_body(s, w, n) : write_large_body(s, w, n)))
        return false;
    s->answered |= muxer_answers(&s->base, n);
    return true;
}

static bool write_close(struct mplex_stream *s, struct writer *w)
{
    if (!fin_due(s))
        return true;
    if (!write_header(w, s->base.id, flag_of(s, MPLEX_CLOSE), 0))
        return false;
    s->base.flags |= MUXER_FIN_SENT;
    if (s->base.flags & MUXER_EOF) {
        p2p__mplex_stream_over(s);
        muxer_make_ready(&s->base);
    }
    return true;
}

static void write_streams(struct mplex *self, struct writer *w)
{
    struct list *due = &self->base.due;
    while (!list_empty(due)) {
        struct mplex_stream *s = P2P__CONTAINER(due->next, struct mplex_stream, base.due);
        bool alone = due->next->next == due;
        if (!(write_new_stream(s, w) && write_body(s, w, alone) && write_close(s, w)))
            return;
        list_remove(&s->base.due);
        p2p__mplex_make_due(s);
    }
}

/* --- one pump */

size_t p2p__mplex_pump_out(struct muxer *base, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes)
{
    struct mplex *self = (struct mplex *)base;
    assert(iov && !self->stage && iov_cap >= MUXER_OUT_IOV_MIN && max_bytes >= MUXER_OUT_BYTES_MIN);
    (void)now_us;
    *bytes = 0;
    if (self->failed || (outq_len(&self->control) == 0 && list_empty(&base->due)))
        return 0;
    size_t cap = POOL_MEDIUM;
    self->stage = p2p__pool_get(base->config.pool, &cap);
    if (!self->stage) {
        p2p__mplex_fail(self, P2P_ENOMEM, "out of memory");
        return 0;
    }
    self->stage_cap = cap;
    struct writer w = {
        .iov = iov, .iov_cap = iov_cap, .room = max_bytes, .stage = self->stage, .stage_cap = cap};
    write_control(self, &w);
    if (outq_unsent(&self->control) == 0)
        write_streams(self, &w);
    *bytes = w.bytes;
    if (w.count == 0)
        p2p__mplex_sent(base);
    return w.count;
}

void p2p__mplex_sent(struct muxer *base)
{
    struct mplex *self = (struct mplex *)base;
    struct pool *pool = base->config.pool;
    p2p__outq_acked(&self->control, pool, self->control.unacked);
    if (outq_len(&self->control) < MPLEX_CONTROL_MAX / 2)
        self->control_told = false;
    while (self->flight) {
        struct mplex_stream *s = self->flight;
        self->flight = s->flight;
        s->in_flight = false;
        p2p__outq_acked(&s->base.out, pool, s->base.out.unacked);
        bytes_left(s);
    }
    p2p__pool_put(pool, self->stage, self->stage_cap);
    self->stage = NULL;
    self->stage_cap = 0;
}
