/* What ngtcp2 tells of streams. It is on the stack here: packets are not written, and nothing is
 * told to anybody above; streams are marked. */
#include "transport/quic/quic.h"

#include <p2p/error.h>

enum {
    /* So that a stream of bytes does not climb through the pool's sizes in each turn. */
    BULK = 16 * 1024,
    BULK_ROOM = POOL_LARGE,
};

static int fail(struct quic_session *self, int code, const char *text)
{
    self->failure = code;
    self->failure_text = text;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

static int stream_open(ngtcp2_conn *conn, int64_t id, void *user)
{
    struct quic_session *self = user;
    struct quic_stream *s = p2p__quic_stream_new(self, id, MUXER_NEW);
    if (!s)
        return fail(self, P2P_ENOMEM, NULL);
    muxer_make_ready(&s->base);
    return ngtcp2_conn_set_stream_user_data(conn, id, s);
}

static int append(struct quic_stream *s, const uint8_t *data, size_t len)
{
    struct buf *in = &s->base.in;
    struct pool *pool = s->base.muxer->config.pool;
    if (buf_len(in) == 0) {
        s->bulk = s->gathered > BULK;
        s->gathered = 0;
        if (s->bulk && !p2p__buf_reserve(in, pool, BULK_ROOM))
            return P2P_ENOMEM;
    }
    if (s->gathered <= BULK)
        s->gathered += (uint32_t)len;
    return p2p__buf_append(in, pool, data, len);
}

static int recv_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                     const uint8_t *data, size_t len, void *user, void *stream)
{
    struct quic_session *self = user;
    struct quic_stream *s = stream;
    struct muxer_stream *base = &s->base;
    int rc = 0;
    (void)conn;
    (void)id;
    (void)offset;
    if (s->ghost || s->stopped || (base->flags & MUXER_DONE))
        rc = p2p__quic_discard(s, len);
    else if (append(s, data, len) < 0)
        return fail(self, P2P_ENOMEM, NULL);
    if (s->ghost)
        return rc;
    if (len && !s->stopped)
        base->flags |= MUXER_READABLE;
    if (flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        base->flags |= MUXER_EOF;
    muxer_make_ready(base);
    return rc;
}

static int acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len, void *user,
                 void *stream)
{
    (void)conn;
    (void)id;
    (void)offset;
    (void)user;
    if (stream)
        p2p__quic_acked(stream, (size_t)len);
    return 0;
}

static int stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user,
                        void *stream)
{
    (void)conn;
    (void)id;
    (void)user;
    if (stream)
        p2p__quic_closed(stream, flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET, code);
    return 0;
}

/* A stream that is opened and reset before its handler was done is work for nothing. */
static bool for_nothing(ngtcp2_conn *conn, int64_t id, const struct quic_stream *s)
{
    return !ngtcp2_conn_is_local_stream(conn, id) && (!s || !(s->answered || s->fin_written));
}

static int stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t code,
                        void *user, void *stream)
{
    struct quic_session *self = user;
    struct quic_stream *s = stream;
    (void)final_size;
    if (for_nothing(conn, id, s) && !muxer_reset_take(&self->base.muxer, self->shard->now_us))
        return fail(self, P2P_ELIMIT, "the remote opens streams and resets them, again and again");
    if (!s || s->ghost)
        return 0;
    struct muxer_stream *base = &s->base;
    base->remote_code = code < UINT32_MAX ? (uint32_t)code : UINT32_MAX;
    base->flags |= MUXER_RESET | MUXER_DONE;
    muxer_make_ready(base);
    p2p__quic_shut(s);
    return ngtcp2_conn_shutdown_stream_write(conn, id, code);
}

static int more_credit(ngtcp2_conn *conn, int64_t id, uint64_t max, void *user, void *stream)
{
    struct quic_stream *s = stream;
    (void)conn;
    (void)id;
    (void)max;
    (void)user;
    if (s && !s->ghost) {
        s->blocked = false;
        p2p__quic_make_due(s);
    }
    return 0;
}

void p2p__quic_stream_callbacks(ngtcp2_callbacks *out)
{
    out->stream_open = stream_open;
    out->recv_stream_data = recv_data;
    out->acked_stream_data_offset = acked;
    out->stream_close = stream_close;
    out->stream_reset = stream_reset;
    out->extend_max_stream_data = more_credit;
}
