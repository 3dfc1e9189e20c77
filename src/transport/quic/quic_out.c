/* Packets out: what is due, streams in turn, in trains that the system sends in one piece. */
#include "transport/quic/quic.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum {
    PIECES = 8, /* of a stream's bytes in one packet */
};

/* Packets that are written and not sent: alike in length, but for the last. */
struct writer {
    struct quic_session *session;
    uint8_t *bytes;
    size_t len, segment, cars;
    ngtcp2_path_storage path; /* of all of them */
    uint8_t ecn;
};

/* ---- one packet ---- */

static struct quic_stream *next_due(struct quic_session *self)
{
    struct list *due = &self->base.muxer.due;
    if (list_empty(due))
        return NULL;
    bool room = ngtcp2_conn_get_max_data_left(self->conn) > 0;
    for (struct list *node = due->next; node != due; node = node->next) {
        struct muxer_stream *base = P2P__CONTAINER(node, struct muxer_stream, due);
        if (room || outq_unsent(&base->out) == 0) /* an end needs no credit */
            return quic_stream_of(base);
    }
    return NULL;
}

static void wrote(struct quic_stream *s, size_t n, bool end)
{
    struct muxer_stream *base = &s->base;
    p2p__outq_sent(&base->out, n);
    s->answered |= muxer_answers(base, n);
    if (end && outq_unsent(&base->out) == 0) {
        s->fin_written = true;
        s->fin_alone = n == 0;
    }
    list_remove(&base->due);
    p2p__quic_make_due(s); /* behind the others */
    base->flags |= MUXER_WRITABLE;
    muxer_make_ready(base);
}

/* As ngtcp2_conn_writev_stream; s may be NULL. */
static ngtcp2_ssize write_stream(struct quic_session *self, struct quic_stream *s, uint8_t *to,
                                 size_t cap, ngtcp2_path *path, ngtcp2_pkt_info *info)
{
    ngtcp2_vec vec[PIECES];
    struct iov iov[PIECES];
    size_t total = 0, count = 0;
    ngtcp2_ssize taken = -1;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
    bool end = false;
    if (s) {
        struct muxer_stream *base = &s->base;
        count = p2p__outq_iov(&base->out, iov, PIECES, cap, &total);
        for (size_t i = 0; i < count; i++)
            vec[i] = (ngtcp2_vec){iov[i].base, iov[i].len};
        end = (base->flags & MUXER_FIN_WANTED) && total == outq_unsent(&base->out);
        flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0u);
    }
    ngtcp2_ssize n = ngtcp2_conn_writev_stream(self->conn, path, info, to, cap, &taken, flags,
                                               s ? (int64_t)s->base.id : -1, vec, count,
                                               quic_ts(self->shard->now_us));
    if (s && taken >= 0)
        wrote(s, (size_t)taken, end && (size_t)taken == total);
    return n;
}

/* One waiting datagram; *tried: call no more for this packet. */
static ngtcp2_ssize write_datagram(struct quic_session *self, uint8_t *to, size_t cap,
                                   ngtcp2_path *path, ngtcp2_pkt_info *info, bool *tried)
{
    struct quic_datagram *first = self->out.first;
    ngtcp2_vec vec = {first->bytes, first->len};
    int taken = 0;
    ngtcp2_ssize n = ngtcp2_conn_writev_datagram(self->conn, path, info, to, cap, &taken,
                                                 NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &vec,
                                                 vec.len > 0, /* no empty pieces, says ngtcp2 */
                                                 quic_ts(self->shard->now_us));
    *tried = !taken;
    /* The path may have become shorter than it was when this one was accepted. */
    if (taken || first->len > p2p__quic_datagram_max(&self->base))
        p2p__quic_datagrams_drop(&self->out);
    return n;
}

/* The next packet's length; 0: nothing may be sent now; negative: over. */
static ngtcp2_ssize write_packet(struct quic_session *self, uint8_t *to, size_t cap,
                                 ngtcp2_path *path, ngtcp2_pkt_info *info)
{
    bool streams = self->base.state == SESSION_OPEN, datagrams = streams;
    for (;;) {
        struct quic_stream *s = NULL;
        ngtcp2_ssize n;
        if (datagrams && self->out.first) {
            bool tried = false;
            n = write_datagram(self, to, cap, path, info, &tried);
            datagrams = !tried;
        } else {
            s = streams ? next_due(self) : NULL;
            n = write_stream(self, s, to, cap, path, info);
        }
        switch (n) {
        case NGTCP2_ERR_WRITE_MORE:
            continue;
        case NGTCP2_ERR_STREAM_DATA_BLOCKED:
            assert(s); /* said of a stream only */
            s->blocked = true;
            list_remove(&s->base.due);
            continue;
        case NGTCP2_ERR_STREAM_SHUT_WR:
        case NGTCP2_ERR_STREAM_NOT_FOUND:
            p2p__quic_shut(s);
            continue;
        default:
            return n;
        }
    }
}

/* ---- trains ---- */

static void flush(struct writer *self)
{
    if (self->len == 0)
        return;
    struct io_train train = {.base = self->bytes,
                             .len = (uint32_t)self->len,
                             .segment = (uint16_t)self->segment,
                             .ecn = self->ecn};
    p2p__quic_path_addrs(&self->path.path, &train.local, &train.remote);
    self->session->local = train.local;
    self->session->remote = train.remote;
    (void)p2p__quic_endpoint_send(self->session->endpoint, &train);
    self->len = self->segment = self->cars = 0;
}

/* A packet of n bytes was written behind the others. */
static void couple(struct writer *self, size_t n, const ngtcp2_path_storage *path, uint8_t ecn)
{
    uint8_t *packet = self->bytes + self->len;
    if (self->len && (ecn != self->ecn || !ngtcp2_path_eq(&path->path, &self->path.path))) {
        flush(self);
        if (!quic_endpoint_blocked(self->session->endpoint))
            memmove(self->bytes, packet, n);
        else
            n = 0; /* lost, as on the way */
    }
    if (n == 0)
        return;
    if (self->len == 0) {
        self->segment = n;
        self->ecn = ecn;
        ngtcp2_path_storage_zero(&self->path);
        ngtcp2_path_copy(&self->path.path, &path->path);
    }
    self->len += n;
    self->cars++;
    if (n < self->segment || self->cars == IO_TRAIN_CARS ||
        self->len + self->segment > IO_TRAIN_BYTES)
        flush(self);
}

static uint8_t *train_bytes(struct quic *quic)
{
    if (!quic->train)
        quic->train = p2p__realloc(NULL, IO_TRAIN_BYTES);
    return quic->train;
}

static size_t at_most(size_t value, size_t max)
{
    return value < max ? value : max;
}

/* Pacing begins with the proof: in a handshake it would only make the second flight wait, for the
 * round trip is not known yet. */
size_t p2p__quic_pump(struct session *base, size_t max_bytes, uint64_t now_us, bool *more)
{
    struct quic_session *self = quic_of(&base->muxer);
    struct quic_endpoint *endpoint = self->endpoint;
    struct writer writer = {.session = self, .bytes = train_bytes(endpoint->quic)};
    size_t sent = 0;
    if (!writer.bytes) {
        p2p__quic_fail(self, NGTCP2_ERR_NOMEM);
        return 0;
    }
    size_t limit = max_bytes;
    if (self->confirmed)
        limit = at_most(limit, ngtcp2_conn_get_send_quantum(self->conn));
    while (sent < limit && !quic_endpoint_blocked(endpoint)) {
        ngtcp2_path_storage path;
        ngtcp2_pkt_info info = {.ecn = 0};
        ngtcp2_path_storage_zero(&path);
        ngtcp2_ssize n =
            write_packet(self, writer.bytes + writer.len,
                         writer.segment ? writer.segment : QUIC_PACKET_MAX, &path.path, &info);
        if (n < 0) {
            flush(&writer);
            p2p__quic_fail(self, (int)n);
            return sent;
        }
        if (n == 0)
            break;
        couple(&writer, (size_t)n, &path, (uint8_t)info.ecn);
        sent += (size_t)n;
    }
    flush(&writer);
    if (self->confirmed)
        ngtcp2_conn_update_pkt_tx_time(self->conn, quic_ts(now_us));
    if (quic_endpoint_blocked(endpoint) && list_empty(&self->queued))
        list_append(&endpoint->blocked, &self->queued);
    *more = !self->confirmed && sent >= limit;
    return sent;
}
