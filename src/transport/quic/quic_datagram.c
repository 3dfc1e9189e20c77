/* Unreliable datagrams (RFC 9221): a queue each way, which drops rather than grows. */
#include "transport/quic/quic.h"

#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"

enum {
    /* A short header with its name of the remote's, a frame's type and length, and the tag. */
    OVERHEAD = 1 + NGTCP2_MAX_CIDLEN + 4 + 3 + 16,
    FRAME_OVERHEAD = 3,
};

static int put(struct quic_datagrams *self, const uint8_t *bytes, size_t len)
{
    struct quic_datagram *it = p2p__realloc(NULL, sizeof(*it) + len);
    if (!it)
        return P2P_ENOMEM;
    *it = (struct quic_datagram){.len = len};
    if (len)
        memcpy(it->bytes, bytes, len);
    if (!self->first)
        self->last = &self->first;
    *self->last = it;
    self->last = &it->next;
    self->bytes += sizeof(*it) + len;
    return 0;
}

void p2p__quic_datagrams_drop(struct quic_datagrams *self)
{
    struct quic_datagram *it = self->first;
    self->first = it->next;
    self->bytes -= sizeof(*it) + it->len;
    p2p__free(it);
}

void p2p__quic_datagrams_fini(struct quic_datagrams *self)
{
    while (self->first)
        p2p__quic_datagrams_drop(self);
}

static bool full(const struct quic_datagrams *self, size_t len)
{
    return self->bytes + len > QUIC_DATAGRAM_QUEUE;
}

int p2p__quic_datagram_recv(ngtcp2_conn *conn, uint32_t flags, const uint8_t *bytes, size_t len,
                            void *user)
{
    struct quic_session *self = user;
    (void)conn;
    (void)flags;
    if (!full(&self->in, len))
        (void)put(&self->in, bytes, len); /* out of memory: lost like any other */
    return 0;
}

size_t p2p__quic_datagram_max(const struct session *base)
{
    const struct quic_session *self = (const struct quic_session *)(const void *)base;
    const ngtcp2_transport_params *theirs = NULL;
    if (base->state == SESSION_OPEN)
        theirs = ngtcp2_conn_get_remote_transport_params(self->conn);
    if (!theirs || theirs->max_datagram_frame_size <= FRAME_OVERHEAD)
        return 0;
    size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size(self->conn) - OVERHEAD;
    uint64_t frame = theirs->max_datagram_frame_size - FRAME_OVERHEAD;
    return frame < path ? (size_t)frame : path;
}

int p2p__quic_datagram_send(struct session *base, const void *bytes, size_t len)
{
    struct quic_session *self = quic_of(&base->muxer);
    size_t max = p2p__quic_datagram_max(base);
    if (max == 0)
        return P2P_ENOTSUP;
    if (len > max)
        return P2P_ETOOBIG;
    if (full(&self->out, len))
        return P2P_EAGAIN;
    return put(&self->out, bytes, len);
}

const uint8_t *p2p__quic_datagram_peek(const struct session *base, size_t *len)
{
    const struct quic_session *self = (const struct quic_session *)(const void *)base;
    const struct quic_datagram *first = self->in.first;
    *len = first ? first->len : 0;
    return first ? first->bytes : NULL;
}

void p2p__quic_datagram_pop(struct session *base)
{
    p2p__quic_datagrams_drop(&quic_of(&base->muxer)->in);
}
