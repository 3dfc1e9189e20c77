/* The loop's side of a stream. */
#include "sync/stream.h"

#include <string.h>

#include "base/mem.h"

/* ---- out ---- */

/* What the p2p_stream takes now; true when nothing is left. */
static bool hand_over(struct stream *self)
{
    struct ring *tx = &self->tx;
    size_t len;
    const uint8_t *bytes;
    while ((bytes = p2p__ring_peek(tx, &len))) {
        int64_t taken = p2p_stream_write(self->stream, bytes, len);
        if (taken < 0)
            p2p__ring_drop(tx); /* it has ended: on_close comes */
        else
            p2p__ring_consume(tx, (size_t)taken);
        if (taken < (int64_t)len)
            break;
    }
    if (tx->starved && ring_has_room(tx)) {
        tx->starved = false;
        gate_wake(&tx->gate);
    }
    return tx->len == 0;
}

static void move_out(struct stream *self)
{
    gate_lock(&self->tx.gate);
    bool reset = self->reset, closed = self->closed, shut = self->shut;
    bool empty = reset || self->bridged || hand_over(self);
    gate_unlock(&self->tx.gate);
    if (reset) {
        p2p_stream_reset(self->stream, self->reset_code);
    } else if (self->bridge) {
        p2p__bridge_mark(self->bridge);
    } else if (closed && !self->close_told) {
        self->close_told = empty;
        if (empty)
            p2p_stream_close(self->stream);
        else
            p2p_stream_set_timeout(self->stream, STREAM_LINGER_MS);
    } else if (shut && empty && !self->shut_told) {
        self->shut_told = true;
        p2p_stream_close_write(self->stream);
    }
}

/* ---- in ---- */

/* Whether nothing is left in the p2p_stream. */
static bool take_in(struct stream *self)
{
    struct ring *rx = &self->rx;
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(self->stream, &len);
    if (rx->end) {
        p2p_stream_consume(self->stream, len); /* nobody will read it */
        return true;
    }
    /* What came before the end may be gone with the connection soon. It is no more than the window
     * that it waits in now. */
    if (self->at_eof && len > ring_room(rx))
        (void)p2p__ring_reserve(rx, len);
    size_t taken = p2p__ring_push(rx, bytes, len);
    if (len && !rx->cap) { /* no memory for a ring: nobody would ask again */
        rx->end = P2P_ENOMEM;
        p2p_stream_reset(self->stream, 0);
    }
    p2p_stream_consume(self->stream, taken);
    rx->starved = taken < len;
    if (self->at_eof && !rx->starved)
        rx->end = P2P_EEOF;
    if (taken || rx->end)
        gate_wake(&rx->gate);
    return !rx->starved;
}

static void move_in(struct stream *self)
{
    if (self->accepted)
        self->service = NULL;
    if (self->bridge || self->service) /* read elsewhere, or not before it is accepted */
        return;
    gate_lock(&self->rx.gate);
    (void)take_in(self);
    gate_unlock(&self->rx.gate);
}

void p2p__sync_stream_move(struct stream *self)
{
    if (!self->stream)
        return;
    move_in(self);
    move_out(self);
}

bool p2p__sync_stream_settled(struct stream *self)
{
    return !self->stream || self->close_told;
}

/* ---- callbacks ---- */

bool p2p__sync_stream_learn(struct stream *self, p2p_stream *stream)
{
    const char *protocol = p2p_stream_protocol(stream);
    (void)p2p_peer_id_format(p2p_conn_peer(p2p_stream_conn(stream)), self->peer,
                             sizeof(self->peer));
    self->protocol = p2p__strndup(protocol, strlen(protocol));
    return self->protocol != NULL;
}

void p2p__sync_stream_bind(struct stream *self, p2p_stream *stream)
{
    self->stream = stream;
    list_append(&self->object.node->streams, &self->of_node);
    p2p__object_ref(&self->object);
}

static void on_open(p2p_stream *stream, void *user)
{
    struct stream *self = user;
    if (!p2p__sync_stream_learn(self, stream)) {
        p2p_stream_reset(stream, 0);
        return;
    }
    gate_lock(&self->rx.gate);
    self->opened = true;
    gate_wake(&self->rx.gate);
    gate_unlock(&self->rx.gate);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct stream *self = user;
    (void)stream;
    if (self->bridge)
        p2p__bridge_mark(self->bridge);
    else
        move_in(self);
}

static void on_eof(p2p_stream *stream, void *user)
{
    struct stream *self = user;
    self->at_eof = true;
    on_read(stream, user);
}

static void on_drain(p2p_stream *stream, void *user)
{
    struct stream *self = user;
    (void)stream;
    move_out(self);
    p2p__node_settled(self->object.node);
}

static void end(struct ring *ring, int code)
{
    gate_lock(&ring->gate);
    if (!ring->end)
        ring->end = code;
    gate_wake(&ring->gate);
    gate_unlock(&ring->gate);
}

static void keep_why(struct stream *self, const p2p_error *why)
{
    char text[STREAM_WHY_MAX];
    p2p__sync_sentence(why, text, sizeof(text));
    gate_lock(&self->rx.gate);
    if (!self->why) {
        self->why = p2p__strndup(text, strlen(text));
        self->why_code = why->code;
    }
    gate_unlock(&self->rx.gate);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct stream *self = user;
    struct node *node = self->object.node;
    (void)stream;
    if (why)
        keep_why(self, why);
    /* In this order: who has read the end can rely on it when it writes. */
    end(&self->tx, why ? why->code : P2P_ECLOSED);
    end(&self->rx, why ? why->code : P2P_EEOF);
    if (self->bridge)
        p2p__bridge_detach(self->bridge);
    if (self->service)
        p2p__service_forget(self->service, self);
    self->bridge = NULL;
    self->service = NULL;
    self->stream = NULL;
    list_remove(&self->of_node);
    p2p__node_settled(node);
    p2p__object_unref(&self->object);
}

const p2p_stream_events p2p__sync_stream_events = {
    .size = sizeof(p2p__sync_stream_events),
    .on_open = on_open,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};
