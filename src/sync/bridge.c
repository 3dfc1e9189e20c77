/* A stream as a socket: bytes go between the p2p_stream and a link to a socket pair, on the loop,
 * with each side's backpressure. What the rings held when the socket was asked for goes first. */
#include <string.h>

#include "base/mem.h"
#include "host/host.h"
#include "io/uv_pair.h"
#include "sync/stream.h"

enum {
    PASS_MAX = 256 * 1024, /* then others get their go */
};

/* Bytes that were taken from one side before the other had room. */
struct rest {
    uint8_t *bytes;
    size_t at, len;
};

struct bridge {
    struct work work;
    struct list of_node;
    struct node *node;
    struct stream *stream; /* NULL: it has ended */
    struct link *link;
    struct rest to_socket, to_stream;
    bool at_eof, shut, ended, last_call, dead;
};

/* ---- rests ---- */

static void rest_consume(struct rest *self, size_t n)
{
    self->at += n;
    if (self->at == self->len) {
        p2p__free(self->bytes);
        *self = (struct rest){NULL, 0, 0};
    }
}

static bool rest_empty(const struct rest *self)
{
    return self->at == self->len;
}

/* Empties the ring; whoever waits on it hears that it is not theirs any more. */
static bool rest_of_ring(struct rest *self, struct ring *ring)
{
    self->bytes = ring->len ? p2p__realloc(NULL, ring->len) : NULL;
    if (ring->len && !self->bytes)
        return false;
    self->len = p2p__ring_copy(ring, 0, self->bytes, ring->len);
    return true;
}

/* ---- to the socket ---- */

static size_t link_put(struct bridge *self, const uint8_t *bytes, size_t len)
{
    struct iov iov = {(uint8_t *)(uintptr_t)bytes, len};
    return self->link->writable && !self->link->err ? self->link->ops->write(self->link, &iov, 1)
                                                    : 0;
}

static void move_to_socket(struct bridge *self)
{
    struct rest *rest = &self->to_socket;
    size_t len = 0;
    if (!rest_empty(rest))
        rest_consume(rest, link_put(self, rest->bytes + rest->at, rest->len - rest->at));
    if (!rest_empty(rest))
        return;
    if (self->stream) {
        const uint8_t *bytes = p2p_stream_peek(self->stream->stream, &len);
        size_t taken = len ? link_put(self, bytes, len) : 0;
        p2p_stream_consume(self->stream->stream, taken);
        len -= taken;
    }
    if (self->at_eof && len == 0 && rest_empty(rest) && !self->shut) {
        self->shut = true;
        self->link->ops->shutdown(self->link);
    }
}

/* ---- from the socket ---- */

/* How many bytes the stream took; *full: it takes no more. */
static size_t stream_put(struct bridge *self, const uint8_t *bytes, size_t len, bool *full)
{
    int64_t taken = p2p_stream_write(self->stream->stream, bytes, len);
    *full = taken < (int64_t)len;
    return taken < 0 ? 0 : (size_t)taken;
}

/* True: the stream is full. */
static bool move_from_socket(struct bridge *self)
{
    struct link *link = self->link;
    struct rest *rest = &self->to_stream;
    bool full = false;
    size_t moved = 0;
    if (!rest_empty(rest))
        rest_consume(rest, stream_put(self, rest->bytes + rest->at, rest->len - rest->at, &full));
    while (!full && moved < PASS_MAX) {
        if (buf_len(&link->in) == 0)
            link->ops->fill(link);
        size_t len = buf_len(&link->in);
        if (len == 0)
            break;
        size_t taken = stream_put(self, buf_data(&link->in), len, &full);
        buf_consume(&link->in, taken);
        moved += taken;
    }
    if (moved >= PASS_MAX)
        p2p__bridge_mark(self);
    if (p2p__buf_settle(&link->in, link->pool) < 0)
        p2p_stream_reset(self->stream->stream, 0);
    return full || moved >= PASS_MAX;
}

static void from_socket(struct bridge *self)
{
    struct link *link = self->link;
    p2p_stream *stream = self->stream->stream;
    if (self->ended)
        return;
    bool full = (link->readable || self->last_call || !rest_empty(&self->to_stream) ||
                 buf_len(&link->in)) &&
                move_from_socket(self);
    if (full || buf_len(&link->in))
        return;
    bool gone = link->err || (link->eof && p2p__uv_pair_gone(link));
    self->ended = gone || link->eof || self->last_call;
    if (gone || self->last_call) {
        self->stream->close_told = true;
        p2p_stream_close(stream);
        p2p__node_settled(self->node);
    } else if (link->eof) {
        p2p_stream_close_write(stream);
    }
}

/* ---- life ---- */

static struct shard *shard_of(const struct bridge *self)
{
    return &self->node->host->shard;
}

static void bury(struct work *work)
{
    p2p__free(P2P__CONTAINER(work, struct bridge, work));
}

static void end(struct bridge *self)
{
    struct link *link = self->link;
    if (self->dead)
        return;
    self->dead = true;
    list_remove(&self->of_node);
    p2p__free(self->to_socket.bytes);
    p2p__free(self->to_stream.bytes);
    p2p__buf_fini(&link->in, link->pool);
    p2p__outq_fini(&link->out, link->pool);
    link->ops->close(link, false);
    p2p__work_bury(shard_of(self), &self->work, bury);
}

static void run(struct work *work)
{
    struct bridge *self = P2P__CONTAINER(work, struct bridge, work);
    if (self->dead)
        return;
    if (self->stream)
        self->at_eof = self->stream->at_eof;
    move_to_socket(self);
    if (self->stream)
        from_socket(self);
    if (!self->stream && (rest_empty(&self->to_socket) || self->link->err))
        end(self);
}

void p2p__bridge_mark(struct bridge *self)
{
    p2p__work_mark(shard_of(self), &self->work);
}

void p2p__bridge_last_call(struct bridge *self)
{
    self->last_call = true;
    p2p__bridge_mark(self);
}

void p2p__bridge_detach(struct bridge *self)
{
    self->stream = NULL;
    if (self->node->close_begun)
        end(self);
    else
        p2p__bridge_mark(self);
}

void p2p__bridges_drop(struct node *node)
{
    struct list *next;
    for (struct list *at = node->bridges.next; at != &node->bridges; at = next) {
        struct bridge *self = P2P__CONTAINER(at, struct bridge, of_node);
        next = at->next;
        if (!self->stream)
            end(self);
    }
}

static void wake(struct link *link)
{
    p2p__bridge_mark(link->owner);
}

/* The rings' contents become the rests. */
static bool take_rings(struct bridge *self, struct stream *stream)
{
    struct ring *rx = &stream->rx, *tx = &stream->tx;
    gate_lock(&tx->gate);
    gate_lock(&rx->gate);
    bool ok = rest_of_ring(&self->to_socket, rx) && rest_of_ring(&self->to_stream, tx);
    for (struct ring *ring = ok ? rx : NULL; ring; ring = ring == rx ? tx : NULL) {
        ring->end = P2P_ENOTSUP;
        p2p__ring_drop(ring);
        gate_wake(&ring->gate);
    }
    if (ok)
        stream->bridged = true;
    gate_unlock(&rx->gate);
    gate_unlock(&tx->gate);
    return ok;
}

static int begin(struct bridge *self, struct stream *stream, int *fd)
{
    struct node *node = stream->object.node;
    struct shard *shard = &node->host->shard;
    int sys_errno = 0;
    int rc = p2p__uv_pair(shard->io, &shard->pool, &self->link, fd, &sys_errno);
    if (rc < 0)
        return rc;
    if (!take_rings(self, stream)) {
        p2p__uv_pair_cancel(self->link, fd);
        return P2P_ENOMEM;
    }
    work_init(&self->work, run);
    self->node = node;
    self->link->owner = self;
    self->link->wake = wake;
    self->link->in.max = IO_FILL_MAX;
    self->at_eof = stream->at_eof;
    list_append(&node->bridges, &self->of_node);
    if (stream->stream) {
        self->stream = stream;
        stream->bridge = self;
        p2p_stream_set_timeout(stream->stream, -1); /* the socket's reader takes its time */
    }
    p2p__bridge_mark(self);
    return 0;
}

int p2p__bridge_open(struct stream *stream, int *fd)
{
    struct node *node = stream->object.node;
    if (stream->bridged)
        return P2P_ENOTSUP;
    if (!node->host || node->closing)
        return P2P_ECLOSED;
    struct bridge *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    int rc = begin(self, stream, fd);
    if (rc < 0) {
        p2p__free(self->to_socket.bytes);
        p2p__free(self->to_stream.bytes);
        p2p__free(self);
    }
    return rc;
}
