/* The threads' side of a stream. */
#include "sync/stream.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/varint.h"

enum {
    MSG_WRITE_MAX = 16 * 1024 * 1024, /* what one call may make a stream hold */
};

/* ---- life ---- */

static void run(struct job *job)
{
    struct stream *self = P2P__CONTAINER(job, struct stream, job);
    p2p__sync_stream_move(self);
    p2p__node_settled(self->object.node);
    p2p__object_unref(&self->object);
}

void p2p__sync_stream_kick(struct stream *self)
{
    p2p__object_ref(&self->object);
    if (p2p__loop_put(&self->object.node->loop, &self->job) != 1)
        p2p__object_unref(&self->object);
}

static void stream_close(struct object *object)
{
    struct stream *self = (struct stream *)object;
    gate_lock(&self->tx.gate);
    bool bridged = self->bridged;
    self->closed = true;
    self->tx.end = P2P_ECLOSED;
    gate_wake(&self->tx.gate);
    gate_unlock(&self->tx.gate);
    gate_lock(&self->rx.gate);
    self->rx.end = P2P_ECLOSED;
    if (!bridged)
        p2p__ring_drop(&self->rx);
    gate_wake(&self->rx.gate);
    gate_unlock(&self->rx.gate);
    if (!bridged)
        p2p__sync_stream_kick(self);
}

static void stream_free(struct object *object)
{
    struct stream *self = (struct stream *)object;
    p2p__ring_fini(&self->rx);
    p2p__ring_fini(&self->tx);
    p2p__free(self->why);
    p2p__free(self->protocol);
    p2p__free(self);
}

static const struct object_ops stream_ops = {KIND_STREAM, stream_close, stream_free};

struct stream *p2p__sync_stream_new(struct node *node)
{
    struct stream *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    if (!p2p__ring_init(&self->rx)) {
        p2p__free(self);
        return NULL;
    }
    if (!p2p__ring_init(&self->tx)) {
        p2p__ring_fini(&self->rx);
        p2p__free(self);
        return NULL;
    }
    p2p__object_init(&self->object, &stream_ops, node);
    job_init(&self->job, run);
    list_init(&self->of_node);
    return self;
}

static struct stream *get(p2p_h handle)
{
    struct stream *self = (struct stream *)p2p__handle_get(handle, KIND_STREAM);
    if (!self)
        p2p__sync_result(P2P_EBADH, NULL);
    return self;
}

/* ---- the end of a call ---- */

/* Remembers how it went, with the stream's own sentence, and gives the stream back. */
static int64_t leave(struct stream *self, int64_t result, int code)
{
    char why[STREAM_WHY_MAX] = "";
    if (code < 0) {
        gate_lock(&self->rx.gate);
        if (self->why && self->why_code == code)
            snprintf(why, sizeof(why), "%s", self->why);
        gate_unlock(&self->rx.gate);
    }
    p2p__sync_result(code, why[0] ? why : NULL);
    p2p__object_unref(&self->object);
    return result;
}

static int may_block(const struct stream *self, int timeout_ms)
{
    bool here = timeout_ms != P2P_NO_WAIT && p2p__loop_here(&self->object.node->loop);
    return here ? P2P_EDEADLK : self->bridged ? P2P_ENOTSUP : 0;
}

/* ---- dialing ---- */

struct dial_call {
    struct call call;
    struct stream *stream;
    const char *target, *protocol;
    int timeout_ms, rc;
};

static void begin_dial(struct call *call)
{
    struct dial_call *self = P2P__CONTAINER(call, struct dial_call, call);
    struct node *node = call->node;
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = self->timeout_ms;
    self->rc = P2P_ECLOSED;
    if (!node->host || node->closing)
        return;
    p2p_stream *stream = p2p_host_open(node->host, self->target, &self->protocol, 1, &opts,
                                       &p2p__sync_stream_events, self->stream);
    self->rc = stream ? 0 : P2P_ENOMEM;
    if (stream)
        p2p__sync_stream_bind(self->stream, stream);
}

static int wait_open(struct stream *self)
{
    gate_lock(&self->rx.gate);
    while (!self->opened && !self->rx.end)
        (void)p2p__gate_wait(&self->rx.gate, GATE_NEVER); /* the loop knows the deadline */
    /* A stream that has opened is the caller's, whatever came of it since; unless it is closed. */
    int rc = self->opened && self->rx.end != P2P_ECLOSED ? 0 : self->rx.end;
    gate_unlock(&self->rx.gate);
    return rc;
}

static int dial(struct node *node, struct stream *self, struct dial_call *ask)
{
    if (p2p__loop_here(&node->loop))
        return P2P_EDEADLK;
    int rc = p2p__handle_add(&self->object, &self->handle);
    if (rc == 0)
        rc = p2p__node_call(node, &ask->call, begin_dial);
    if (rc == 0)
        rc = ask->rc;
    return rc == 0 ? wait_open(self) : rc;
}

p2p_h p2p_dial(p2p_h host, const char *target, const char *protocol, int timeout_ms)
{
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    struct stream *self = node ? p2p__sync_stream_new(node) : NULL;
    int rc = !node ? P2P_EBADH : !self ? P2P_ENOMEM : 0;
    p2p_h handle = 0;
    if (rc == 0) {
        struct dial_call ask = {
            .stream = self, .target = target, .protocol = protocol, .timeout_ms = timeout_ms};
        rc = timeout_ms == P2P_NO_WAIT ? P2P_EAGAIN : dial(node, self, &ask);
        handle = rc == 0 ? self->handle : 0;
    }
    if (self && rc < 0) {
        struct object *removed = p2p__handle_remove(self->handle, KIND_STREAM);
        if (removed)
            p2p__object_unref(removed);
    }
    if (self)
        (void)leave(self, 0, rc);
    else
        p2p__sync_result(rc, NULL);
    if (node)
        p2p__object_unref(&node->object);
    return handle;
}

/* ---- reading ---- */

/* Below the lock: the loop hears of the room once there is enough of it. */
static bool made_room(struct ring *rx)
{
    bool tell = rx->starved && ring_has_room(rx);
    if (tell)
        rx->starved = false;
    return tell;
}

int64_t p2p_read(p2p_h handle, void *bytes, size_t cap, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    int rc = cap ? may_block(self, timeout_ms) : P2P_EINVAL;
    struct ring *rx = &self->rx;
    gate_lock(&rx->gate);
    while (rc == 0 && rx->len == 0) {
        if (rx->end)
            rc = rx->end;
        else if (!p2p__gate_wait(&rx->gate, deadline))
            rc = sync_late(timeout_ms);
    }
    size_t n = rc == 0 ? p2p__ring_copy(rx, 0, bytes, cap) : 0;
    p2p__ring_consume(rx, n);
    bool tell = made_room(rx);
    gate_unlock(&rx->gate);
    if (tell)
        p2p__sync_stream_kick(self);
    if (rc == P2P_EEOF)
        return leave(self, 0, 0);
    return leave(self, rc < 0 ? rc : (int64_t)n, rc);
}

/* Below the lock: 1 with the lengths of a message that is there whole, 0 when it is not yet, or a
 * negative code. */
static int find_msg(struct ring *rx, size_t cap, size_t *header_len, size_t *msg_len)
{
    uint8_t header[P2P__VARINT_MAX];
    uint64_t len = 0;
    size_t held = p2p__ring_copy(rx, 0, header, sizeof(header));
    int used = held ? p2p__varint_decode(header, held, &len) : 0;
    if (used < 0)
        return used;
    if (used > 0 && len > cap)
        return P2P_ETOOBIG;
    if (used > 0 && rx->len - (size_t)used >= len) {
        *header_len = (size_t)used;
        *msg_len = (size_t)len;
        return 1;
    }
    if (rx->end)
        return rx->end == P2P_EEOF && rx->len ? P2P_ETRUNCATED : rx->end;
    /* Longer than the ring: it grows as the message comes, never for what is only announced. */
    if (rx->cap && ring_room(rx) == 0 && !p2p__ring_reserve(rx, 1))
        return P2P_ENOMEM;
    return 0;
}

int64_t p2p_read_msg(p2p_h handle, void *msg, size_t cap, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    size_t header_len = 0, msg_len = 0;
    int rc = may_block(self, timeout_ms);
    struct ring *rx = &self->rx;
    gate_lock(&rx->gate);
    while (rc == 0 && (rc = find_msg(rx, cap, &header_len, &msg_len)) == 0) {
        if (made_room(rx))
            p2p__sync_stream_kick(self);
        if (!p2p__gate_wait(&rx->gate, deadline))
            rc = sync_late(timeout_ms);
    }
    if (rc == 1) {
        (void)p2p__ring_copy(rx, header_len, msg, msg_len);
        p2p__ring_consume(rx, header_len + msg_len);
        if (made_room(rx))
            p2p__sync_stream_kick(self);
    }
    gate_unlock(&rx->gate);
    return leave(self, rc < 0 ? rc : (int64_t)msg_len, rc < 0 ? rc : 0);
}

/* ---- writing ---- */

/* Below the lock: this thread's turn to write, and room for `least` bytes. */
static int wait_writable(struct ring *tx, size_t least, bool mine, uint64_t deadline, int late)
{
    while (!tx->end && ((tx->busy && !mine) || ring_room(tx) < least)) {
        tx->starved = true;
        if (!p2p__gate_wait(&tx->gate, deadline) && !tx->end)
            return late;
    }
    return tx->end;
}

/* Below the lock. The loop knows of a ring with something in it already. */
static bool push(struct ring *tx, const uint8_t *bytes, size_t len, size_t *done)
{
    bool was_empty = tx->len == 0;
    size_t n = p2p__ring_push(tx, bytes, len);
    *done += n;
    return was_empty && n > 0;
}

int64_t p2p_write(p2p_h handle, const void *bytes, size_t len, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    size_t done = 0;
    bool mine = false;
    int rc = may_block(self, timeout_ms);
    struct ring *tx = &self->tx;
    gate_lock(&tx->gate);
    while (rc == 0) {
        rc = wait_writable(tx, len ? 1 : 0, mine, deadline, sync_late(timeout_ms));
        if (rc < 0)
            break;
        mine = tx->busy = true;
        size_t before = done;
        if (push(tx, (const uint8_t *)bytes + done, len - done, &done))
            p2p__sync_stream_kick(self);
        if (done == len)
            break;
        if (done == before)
            rc = P2P_ENOMEM;
    }
    if (mine) {
        tx->busy = false;
        gate_wake(&tx->gate);
    }
    gate_unlock(&tx->gate);
    return leave(self, done || rc == 0 ? (int64_t)done : rc, rc);
}

int64_t p2p_write_msg(p2p_h handle, const void *msg, size_t len, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    uint8_t header[P2P__PB_VARINT_MAX];
    size_t header_len = p2p__varint_encode(len, header), done = 0;
    struct ring *tx = &self->tx;
    int rc = len <= MSG_WRITE_MAX ? may_block(self, timeout_ms) : P2P_ETOOBIG;
    gate_lock(&tx->gate);
    /* One that is longer than the ring waits for an empty one, and makes it larger. */
    size_t whole = header_len + len, least = whole < RING_LEN ? whole : RING_LEN;
    if (rc == 0)
        rc = wait_writable(tx, least, false, deadline, sync_late(timeout_ms));
    if (rc == 0 && !p2p__ring_reserve(tx, whole))
        rc = P2P_ENOMEM;
    if (rc == 0) {
        bool tell = push(tx, header, header_len, &done);
        (void)push(tx, msg, len, &done);
        if (tell)
            p2p__sync_stream_kick(self);
    }
    gate_unlock(&tx->gate);
    return leave(self, rc < 0 ? rc : (int64_t)len, rc);
}

/* ---- ending ---- */

int p2p_shutdown(p2p_h handle)
{
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    struct ring *tx = &self->tx;
    gate_lock(&tx->gate);
    int rc = self->bridged ? P2P_ENOTSUP : 0;
    if (rc == 0 && !tx->end) {
        tx->end = P2P_ECLOSED;
        self->shut = true;
        gate_wake(&tx->gate);
    }
    gate_unlock(&tx->gate);
    if (rc == 0)
        p2p__sync_stream_kick(self);
    return (int)leave(self, rc, rc);
}

static void cancel(struct ring *ring)
{
    ring->end = P2P_ECANCELED;
    p2p__ring_drop(ring);
    gate_wake(&ring->gate);
}

int p2p_reset(p2p_h handle, uint32_t code)
{
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    gate_lock(&self->tx.gate);
    self->reset = true;
    self->reset_code = code;
    cancel(&self->tx);
    gate_unlock(&self->tx.gate);
    gate_lock(&self->rx.gate);
    cancel(&self->rx);
    gate_unlock(&self->rx.gate);
    p2p__sync_stream_kick(self);
    return (int)leave(self, 0, 0);
}

/* ---- as a socket ---- */

struct fd_call {
    struct call call;
    struct stream *stream;
    int fd, rc;
};

static void run_bridge(struct call *call)
{
    struct fd_call *self = P2P__CONTAINER(call, struct fd_call, call);
    self->rc = p2p__bridge_open(self->stream, &self->fd);
}

int p2p_stream_fd(p2p_h handle)
{
    struct stream *self = get(handle);
    if (!self)
        return P2P_EBADH;
    struct fd_call ask = {.stream = self, .fd = -1};
    int rc = p2p__node_call(self->object.node, &ask.call, run_bridge);
    if (rc == 0)
        rc = ask.rc;
    return (int)leave(self, rc < 0 ? rc : ask.fd, rc);
}
