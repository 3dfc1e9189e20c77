/* The writer: what is due, as a gather list. Replies first, then the streams in turn; headers and
 * small bodies stand in a stage that lives from pump_out to sent. */
#include "muxer/yamux.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

enum {
    /* A body is not cut shorter than this only to fill up what is left of the pump. */
    FRAGMENT_MIN = 1024,
    /* Pieces of which a small body is put together at most. */
    SMALL_PIECES = 8,
};

struct writer {
    struct iov *iov;
    size_t iov_cap, count;
    size_t room, bytes; /* of the pump */
    uint8_t *stage;
    size_t stage_cap, stage_len;
};

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

void p2p__yamux_header(uint8_t out[YAMUX_HEADER], enum yamux_type type, uint32_t flags, uint32_t id,
                       uint32_t length)
{
    out[0] = 0;
    out[1] = (uint8_t)type;
    out[2] = (uint8_t)(flags >> 8);
    out[3] = (uint8_t)flags;
    put_u32(out + 4, id);
    put_u32(out + 8, length);
}

int p2p__yamux_control(struct yamux *self, enum yamux_type type, uint32_t flags, uint32_t id,
                       uint32_t length)
{
    uint8_t header[YAMUX_HEADER];
    if (outq_len(&self->control) + YAMUX_HEADER > YAMUX_CONTROL_MAX)
        return p2p__yamux_fail(self, P2P_ELIMIT, YAMUX_PROTOCOL_ERROR,
                               "the remote causes more replies than it reads");
    p2p__yamux_header(header, type, flags, id, length);
    if (p2p__outq_append(&self->control, self->base.config.pool, header, sizeof(header)) < 0)
        return p2p__yamux_fail(self, P2P_ENOMEM, YAMUX_INTERNAL_ERROR, "out of memory");
    return 0;
}

/* --- what a stream can send now */

static bool announce_due(const struct yamux_stream *s)
{
    return s->announce && ((s->base.flags & MUXER_OUTBOUND) || s->ack_due);
}

static size_t body_due(const struct yamux_stream *s)
{
    size_t n = outq_unsent(&s->base.out);
    return n < s->send_window ? n : s->send_window;
}

static bool fin_due(const struct yamux_stream *s)
{
    return (s->base.flags & (MUXER_FIN_WANTED | MUXER_FIN_SENT)) == MUXER_FIN_WANTED &&
           outq_unsent(&s->base.out) == 0;
}

static bool is_due(const struct yamux_stream *s)
{
    return !(s->base.flags & MUXER_DONE) &&
           (announce_due(s) || s->credit_due || body_due(s) || fin_due(s));
}

void p2p__yamux_make_due(struct yamux_stream *s)
{
    if (!list_empty(&s->base.due) || !is_due(s))
        return;
    /* Credit goes first: a remote that waits for it is idle. */
    if (s->credit_due)
        list_prepend(&s->base.muxer->due, &s->base.due);
    else
        list_append(&s->base.muxer->due, &s->base.due);
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
        if (w->count == w->iov_cap)
            return NULL;
        w->iov[w->count++] = (struct iov){at, len};
    }
    w->stage_len += len;
    w->bytes += len;
    return at;
}

static bool write_header(struct writer *w, enum yamux_type type, uint32_t flags, uint32_t id,
                         uint32_t length)
{
    uint8_t *at = stage_take(w, YAMUX_HEADER);
    if (at)
        p2p__yamux_header(at, type, flags, id, length);
    return at != NULL;
}

static void write_control(struct yamux *self, struct writer *w)
{
    size_t bytes;
    w->count = p2p__outq_iov(&self->control, w->iov, w->iov_cap, w->room, &bytes);
    /* Whole frames only: another frame may follow. */
    size_t excess = bytes % YAMUX_HEADER;
    bytes -= excess;
    while (excess) {
        struct iov *last = &w->iov[w->count - 1];
        size_t cut = excess < last->len ? excess : last->len;
        last->len -= cut;
        excess -= cut;
        if (last->len == 0)
            w->count--;
    }
    p2p__outq_sent(&self->control, bytes);
    w->bytes = bytes;
}

static void write_ping(struct yamux *self, struct writer *w, uint64_t now_us)
{
    if (!self->ping_due || !write_header(w, YAMUX_PING, YAMUX_SYN, 0, self->ping_nonce))
        return;
    self->ping_due = false;
    self->ping_waiting = true;
    self->ping_us = now_us;
}

static void write_goaway(struct yamux *self, struct writer *w)
{
    if (w->room - w->bytes < YAMUX_HEADER || w->count == w->iov_cap)
        return;
    p2p__yamux_header(self->farewell, YAMUX_GOAWAY, 0, 0, self->goaway_code);
    w->iov[w->count++] = (struct iov){self->farewell, YAMUX_HEADER};
    w->bytes += YAMUX_HEADER;
    self->goaway_due = false;
}

/* --- streams */

static void bytes_left(struct yamux_stream *s)
{
    s->base.flags |= MUXER_WRITABLE;
    muxer_make_ready(&s->base);
}

/* SYN, ACK and credit share one frame. false: no room. */
static bool write_window(struct yamux_stream *s, struct writer *w, uint64_t now_us)
{
    bool outbound = (s->base.flags & MUXER_OUTBOUND) != 0;
    /* Any frame of the stream is an occasion for its ACK. */
    if (!s->announce && !s->credit_due)
        return true;
    uint32_t flags = !s->announce ? 0 : outbound ? YAMUX_SYN : YAMUX_ACK;
    uint32_t credit = s->credit_due ? s->owed : 0;
    if (!write_header(w, YAMUX_WINDOW, flags, (uint32_t)s->base.id, credit))
        return false;
    s->recv_left += credit;
    s->owed -= credit;
    if (s->announce && outbound)
        s->credit_us = now_us;
    s->announce = s->ack_due = s->credit_due = false;
    return true;
}

static bool write_small_body(struct yamux_stream *s, struct writer *w, size_t n)
{
    struct iov piece[SMALL_PIECES];
    size_t pieces = p2p__outq_iov(&s->base.out, piece, SMALL_PIECES, n, &n);
    uint8_t *at = stage_take(w, YAMUX_HEADER + n);
    if (!at)
        return false;
    p2p__yamux_header(at, YAMUX_DATA, 0, (uint32_t)s->base.id, (uint32_t)n);
    at += YAMUX_HEADER;
    for (size_t i = 0; i < pieces; i++) {
        memcpy(at, piece[i].base, piece[i].len);
        at += piece[i].len;
    }
    s->base.muxer->config.pool->copied_bytes += n;
    s->send_window -= (uint32_t)n;
    s->answered |= muxer_answers(&s->base, n);
    p2p__outq_sent(&s->base.out, n);
    /* Bytes lent earlier in this pump are still needed; sent() frees these with them. */
    if (!s->in_flight)
        p2p__outq_acked(&s->base.out, s->base.muxer->config.pool, n);
    bytes_left(s);
    return true;
}

static bool write_large_body(struct yamux_stream *s, struct writer *w, size_t n)
{
    struct yamux *self = yamux_of(&s->base);
    if (w->iov_cap - w->count < 2)
        return false;
    uint8_t *at = stage_take(w, YAMUX_HEADER);
    if (!at)
        return false;
    w->count += p2p__outq_iov(&s->base.out, w->iov + w->count, w->iov_cap - w->count, n, &n);
    p2p__yamux_header(at, YAMUX_DATA, 0, (uint32_t)s->base.id, (uint32_t)n);
    w->bytes += n;
    s->send_window -= (uint32_t)n;
    s->answered |= muxer_answers(&s->base, n);
    p2p__outq_sent(&s->base.out, n);
    if (!s->in_flight) {
        s->in_flight = true;
        s->flight = self->flight;
        self->flight = s;
    }
    return true;
}

static bool write_body(struct yamux_stream *s, struct writer *w, bool alone)
{
    size_t want = body_due(s);
    size_t most = alone ? YAMUX_BODY_ALONE : YAMUX_BODY_SHARED;
    if (want == 0)
        return true;
    size_t n = want < most ? want : most;
    size_t room = w->room - w->bytes;
    if (room < YAMUX_HEADER + n) {
        if (room <= YAMUX_HEADER || (w->count && room < FRAGMENT_MIN))
            return false;
        n = room - YAMUX_HEADER;
    }
    return n < YAMUX_COPY_BELOW ? write_small_body(s, w, n) : write_large_body(s, w, n);
}

/* FIN has a frame of its own: js-libp2p looks at the flags first and may drop a body with it. */
static bool write_fin(struct yamux_stream *s, struct writer *w)
{
    if (!fin_due(s))
        return true;
    if (!write_header(w, YAMUX_WINDOW, YAMUX_FIN, (uint32_t)s->base.id, 0))
        return false;
    s->base.flags |= MUXER_FIN_SENT;
    if (s->base.flags & MUXER_EOF) {
        p2p__yamux_stream_over(s);
        muxer_make_ready(&s->base);
    }
    return true;
}

static void write_streams(struct yamux *self, struct writer *w, uint64_t now_us)
{
    struct list *due = &self->base.due;
    while (!list_empty(due)) {
        struct yamux_stream *s = P2P__CONTAINER(due->next, struct yamux_stream, base.due);
        bool alone = due->next->next == due;
        if (is_due(s) &&
            !(write_window(s, w, now_us) && write_body(s, w, alone) && write_fin(s, w)))
            return;
        list_remove(&s->base.due);
        if (is_due(s))
            list_append(due, &s->base.due);
    }
}

/* --- one pump */

static size_t finish(struct yamux *self, struct writer *w, size_t *bytes)
{
    *bytes = w->bytes;
    if (w->count == 0)
        p2p__yamux_sent(&self->base);
    return w->count;
}

size_t p2p__yamux_pump_out(struct muxer *base, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes)
{
    struct yamux *self = (struct yamux *)base;
    assert(iov && !self->stage && iov_cap >= MUXER_OUT_IOV_MIN && max_bytes >= MUXER_OUT_BYTES_MIN);
    struct writer w = {.iov = iov, .iov_cap = iov_cap, .room = max_bytes};
    *bytes = 0;
    bool idle = outq_len(&self->control) == 0 && !self->ping_due && list_empty(&base->due);
    if (!self->failed && !idle) {
        size_t cap = POOL_MEDIUM;
        self->stage = p2p__pool_get(base->config.pool, &cap);
        self->stage_cap = cap;
        if (!self->stage)
            p2p__yamux_fail(self, P2P_ENOMEM, YAMUX_INTERNAL_ERROR, "out of memory");
    }
    if (self->failed) {
        if (self->goaway_due)
            write_goaway(self, &w);
        return finish(self, &w, bytes);
    }
    w.stage = self->stage;
    w.stage_cap = self->stage ? self->stage_cap : 0;
    write_control(self, &w);
    if (outq_unsent(&self->control))
        return finish(self, &w, bytes);
    write_ping(self, &w, now_us);
    /* Deployed ones drop everything at a go-away: a normal one must come after what is due, one
     * with an error must not wait. */
    if (self->goaway_due && self->goaway_code != YAMUX_NORMAL)
        write_goaway(self, &w);
    write_streams(self, &w, now_us);
    if (self->goaway_due && list_empty(&base->due))
        write_goaway(self, &w);
    return finish(self, &w, bytes);
}

void p2p__yamux_sent(struct muxer *base)
{
    struct yamux *self = (struct yamux *)base;
    struct pool *pool = base->config.pool;
    p2p__outq_acked(&self->control, pool, self->control.unacked);
    if (outq_len(&self->control) == 0)
        self->pongs = 0;
    if (outq_len(&self->control) < YAMUX_CONTROL_MAX / 2)
        self->control_told = false;
    while (self->flight) {
        struct yamux_stream *s = self->flight;
        self->flight = s->flight;
        s->in_flight = false;
        p2p__outq_acked(&s->base.out, pool, s->base.out.unacked);
        bytes_left(s);
    }
    p2p__pool_put(pool, self->stage, self->stage_cap);
    self->stage = NULL;
    self->stage_cap = 0;
}
