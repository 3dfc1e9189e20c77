/* Streams, as the connection sees them. Bytes that were sent stay where they are until they are
 * acknowledged, for ngtcp2 holds on to them; so a stream that is given up before leaves a ghost. */
#include "transport/quic/quic.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

enum {
    GROW_WITHIN_RTTS = 2,
    BACKLOG_PART = 4, /* of the window, that a reader who keeps up may leave unread */
};

_Static_assert(sizeof(struct quic_stream) <= 200, "ten thousand idle streams must stay cheap");

static struct quic_session *session_of_stream(const struct quic_stream *s)
{
    return quic_of(s->base.muxer);
}

static struct pool *pool_of(const struct quic_stream *s)
{
    return s->base.muxer->config.pool;
}

/* ngtcp2 may be asked about it. */
static bool known(const struct quic_stream *s)
{
    return s->open && session_of_stream(s)->conn &&
           session_of_stream(s)->base.state != SESSION_OVER;
}

/* ---- what is to be sent ---- */

static bool is_due(const struct quic_stream *s)
{
    const struct muxer_stream *base = &s->base;
    if ((base->flags & MUXER_DONE) || !s->open || s->shut)
        return false;
    if (outq_unsent(&base->out))
        return !s->blocked && base->out.unacked < QUIC_UNACKED_MAX;
    return (base->flags & MUXER_FIN_WANTED) && !s->fin_written;
}

void p2p__quic_make_due(struct quic_stream *s)
{
    if (list_empty(&s->base.due) && is_due(s))
        list_append(&s->base.muxer->due, &s->base.due);
}

/* ---- making and ending ---- */

struct quic_stream *p2p__quic_stream_new(struct quic_session *self, int64_t id, uint32_t flags)
{
    struct muxer *muxer = &self->base.muxer;
    size_t head = muxer->config.stream_head;
    char *memory = p2p__alloc(head + sizeof(struct quic_stream));
    if (!memory)
        return NULL;
    struct quic_stream *s = (struct quic_stream *)(void *)(memory + head);
    s->base.muxer = muxer;
    s->base.id = (uint64_t)id;
    s->base.flags = flags;
    s->open = true;
    s->window = muxer->config.stream_window;
    /* How much comes is ngtcp2's to hold the remote to. */
    buf_init(&s->base.in, UINT32_MAX);
    list_init(&s->base.ready);
    list_init(&s->base.due);
    list_append(&muxer->streams, &s->base.all);
    if (flags & MUXER_OUTBOUND)
        muxer->streams_out++;
    else
        muxer->streams_in++;
    return s;
}

struct muxer_stream *p2p__quic_open(struct muxer *muxer, int *code)
{
    struct quic_session *self = quic_of(muxer);
    if (self->base.state != SESSION_OPEN || muxer->goaway_sent) {
        *code = P2P_ECLOSED;
        return NULL;
    }
    if (ngtcp2_conn_get_streams_bidi_left(self->conn) == 0) {
        *code = P2P_ELIMIT;
        return NULL;
    }
    *code = P2P_ENOMEM;
    struct quic_stream *s = p2p__quic_stream_new(self, -1, MUXER_OUTBOUND);
    int64_t id = -1;
    if (!s)
        return NULL;
    s->open = ngtcp2_conn_open_bidi_stream(self->conn, &id, s) == 0;
    s->base.id = (uint64_t)id;
    if (s->open)
        return &s->base;
    p2p__quic_stream_free(&s->base);
    return NULL;
}

/* ---- their ends ---- */

/* The remote may open one more in its place. */
static void release(struct quic_stream *s)
{
    struct quic_session *self = session_of_stream(s);
    if (!(s->base.flags & MUXER_OUTBOUND) && self->conn)
        ngtcp2_conn_extend_max_streams_bidi(self->conn, 1);
    list_remove(&s->base.all);
    p2p__buf_fini(&s->base.in, pool_of(s));
    p2p__outq_fini(&s->base.out, pool_of(s));
    p2p__free((char *)s - s->base.muxer->config.stream_head);
}

/* The stream's own window is of no use any more, the connection's is. */
static void drop_unread(struct quic_stream *s)
{
    struct quic_session *self = session_of_stream(s);
    size_t unread = buf_len(&s->base.in);
    if (unread && self->conn)
        ngtcp2_conn_extend_max_offset(self->conn, unread);
    p2p__buf_fini(&s->base.in, pool_of(s));
}

static void drop_unsent(struct quic_stream *s)
{
    list_remove(&s->base.due);
    p2p__outq_trim(&s->base.out, pool_of(s));
}

void p2p__quic_shut(struct quic_stream *s)
{
    s->shut = true;
    drop_unsent(s);
}

void p2p__quic_acked(struct quic_stream *s, size_t n)
{
    struct quic_session *self = session_of_stream(s);
    struct muxer_stream *base = &s->base;
    p2p__outq_acked(&base->out, pool_of(s), n);
    s->fin_acked |= n == 0; /* only an end of its own acknowledges nothing else */
    if (s->ghost) {
        self->ghost_bytes -= n;
        return;
    }
    if (s->fin_written && outq_len(&base->out) == 0 && (s->fin_acked || !s->fin_alone)) {
        base->flags |= MUXER_FIN_SENT;
        muxer_make_ready(base);
    }
    p2p__quic_make_due(s);
}

/* A remote that resets a stream after its end can say so only by stopping ours. */
void p2p__quic_closed(struct quic_stream *s, bool stopped, uint64_t code)
{
    struct quic_session *self = session_of_stream(s);
    struct muxer_stream *base = &s->base;
    s->open = false;
    list_remove(&base->due);
    if (s->ghost) {
        self->ghost_bytes -= outq_len(&base->out);
        release(s);
        return;
    }
    p2p__outq_fini(&base->out, pool_of(s));
    if (stopped && !(base->flags & (MUXER_DONE | MUXER_FIN_SENT))) {
        base->flags |= MUXER_RESET;
        base->remote_code = code < UINT32_MAX ? (uint32_t)code : UINT32_MAX;
    }
    base->flags |= MUXER_DONE | MUXER_FIN_SENT;
    muxer_make_ready(base);
}

void p2p__quic_reset(struct muxer_stream *base, uint32_t code)
{
    struct quic_stream *s = quic_stream_of(base);
    struct quic_session *self = session_of_stream(s);
    list_remove(&base->ready);
    drop_unread(s);
    drop_unsent(s);
    if (base->flags & MUXER_DONE)
        return;
    base->flags |= MUXER_DONE | MUXER_RESET_SENT;
    int rc = known(s) ? ngtcp2_conn_shutdown_stream(self->conn, (int64_t)base->id, code) : 0;
    if (rc != 0)
        p2p__quic_fail(self, rc);
}

void p2p__quic_stream_free(struct muxer_stream *base)
{
    struct quic_stream *s = quic_stream_of(base);
    struct quic_session *self = session_of_stream(s);
    p2p__quic_reset(base, 0);
    list_remove(&base->ready);
    list_remove(&base->all);
    if (base->flags & MUXER_OUTBOUND)
        base->muxer->streams_out--;
    else
        base->muxer->streams_in--;
    if (!s->open) {
        release(s);
        return;
    }
    s->ghost = true;
    self->ghost_bytes += outq_len(&base->out);
    list_append(&self->ghosts, &base->all);
    if (self->ghost_bytes <= QUIC_GHOST_BYTES_MAX || !known(s))
        return;
    self->failure = P2P_ELIMIT;
    self->failure_text = "the remote does not acknowledge what dead streams have sent";
    p2p__quic_fail(self, NGTCP2_ERR_INTERNAL);
}

static void fini_all(struct list *streams)
{
    while (!list_empty(streams)) {
        struct muxer_stream *base = P2P__CONTAINER(streams->next, struct muxer_stream, all);
        list_remove(&base->ready);
        list_remove(&base->due);
        release(quic_stream_of(base));
    }
}

void p2p__quic_streams_fini(struct quic_session *self)
{
    assert(!self->conn); /* it would still point to their bytes */
    fini_all(&self->base.muxer.streams);
    fini_all(&self->ghosts);
}

/* ---- what the connection asks ---- */

void p2p__quic_written(struct muxer_stream *base)
{
    struct quic_stream *s = quic_stream_of(base);
    if (s->shut || !s->open)
        drop_unsent(s); /* into the void: a remote that reads no more may still send */
    p2p__quic_make_due(s);
}

void p2p__quic_close_write(struct muxer_stream *base)
{
    if (base->flags & (MUXER_DONE | MUXER_FIN_WANTED))
        return;
    base->flags |= MUXER_FIN_WANTED;
    p2p__quic_make_due(quic_stream_of(base));
}

static void extend(struct quic_stream *s, size_t stream_by, size_t conn_by)
{
    struct quic_session *self = session_of_stream(s);
    if (!self->conn)
        return;
    if (known(s) && stream_by)
        (void)ngtcp2_conn_extend_max_stream_offset(self->conn, (int64_t)s->base.id, stream_by);
    ngtcp2_conn_extend_max_offset(self->conn, conn_by);
}

void p2p__quic_credit(struct quic_stream *s, size_t n)
{
    extend(s, n, n);
}

/* Half a window was read: if that took no longer than two round trips, the window is what holds the
 * remote up, unless it is the reader. Not from the second half of the memory that is there for all:
 * as yamux. Returns by how much it has grown. */
static uint32_t autotune(struct quic_stream *s, uint32_t max, uint64_t now_us)
{
    const struct muxer *muxer = s->base.muxer;
    const struct pool *pool = pool_of(s);
    uint64_t since_us = s->eaten_us, within_us = (uint64_t)muxer->rtt_us * GROW_WITHIN_RTTS;
    uint32_t more = s->window < max - s->window ? s->window : max - s->window;
    s->eaten = 0;
    s->eaten_us = now_us;
    if (since_us == 0 || now_us - since_us >= within_us ||
        buf_len(&s->base.in) > s->window / BACKLOG_PART ||
        (pool->max_bytes && pool->used_bytes > pool->max_bytes / 2))
        return 0;
    s->window += more;
    return more;
}

/* The window follows the limit of the stream's memory both ways: what it is over, no credit is
 * given for. Not below three quarters of the first: ngtcp2 speaks of credit when half of that has
 * come together. */
void p2p__quic_consumed(struct muxer_stream *base, size_t n, uint64_t now_us)
{
    struct quic_stream *s = quic_stream_of(base);
    uint32_t least = base->muxer->config.stream_window / 4 * 3;
    uint32_t max = base->window_max > least ? base->window_max : least;
    size_t credit = n;
    s->eaten += (uint32_t)n;
    if (s->window > max) {
        size_t over = s->window - max;
        credit -= over < n ? over : n;
        s->window -= (uint32_t)(n - credit);
    } else if (s->eaten >= s->window / 2 && !(base->flags & MUXER_EOF)) {
        credit += autotune(s, max, now_us);
    }
    extend(s, credit, n);
}

/* A remote that goes on for a while is let: told to stop, some drop what they have not read. */
int p2p__quic_discard(struct quic_stream *s, size_t n)
{
    struct quic_session *self = session_of_stream(s);
    p2p__quic_credit(s, n);
    s->discarded += (uint32_t)n;
    if (s->discarded <= QUIC_STREAM_WINDOW || s->stop_said || !known(s))
        return 0;
    s->stop_said = true;
    return ngtcp2_conn_shutdown_stream_read(self->conn, (int64_t)s->base.id, 0);
}

void p2p__quic_stop(struct muxer_stream *base)
{
    struct quic_stream *s = quic_stream_of(base);
    if (s->stopped)
        return;
    s->stopped = true;
    size_t unread = buf_len(&base->in);
    p2p__buf_fini(&base->in, pool_of(s));
    int rc = p2p__quic_discard(s, unread);
    if (rc != 0)
        p2p__quic_fail(session_of_stream(s), rc);
}
