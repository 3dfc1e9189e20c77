/* What an application calls on a stream. Calls copy and mark; bytes move in the next pump. */
#include "conn/conn.h"

#include <assert.h>
#include <string.h>

#include "codec/varint.h"

enum {
    SEND_SHARE_MIN = 16 * 1024, /* what a stream may queue though its peer's memory is used up */
};

static bool readable(const p2p_stream *self)
{
    return self->mux && !self->opening && !(self->flags & (STREAM_ENDED | STREAM_CLOSED));
}

const uint8_t *p2p_stream_peek(p2p_stream *self, size_t *len)
{
    *len = readable(self) ? buf_len(&self->mux->in) : 0;
    return *len ? buf_data(&self->mux->in) : NULL;
}

void p2p_stream_consume(p2p_stream *self, size_t n)
{
    if (n == 0)
        return;
    assert(readable(self) && n <= buf_len(&self->mux->in));
    buf_consume(&self->mux->in, n);
    self->conn->spoke_last = false;
    self->mux->muxer->ops->consumed(self->mux, n, shard_now_us(self->shard));
    /* Credit may have to go out, and the last byte may have been all that the end waited for. */
    p2p__stream_mark(self);
}

int p2p_stream_want(p2p_stream *self, size_t n)
{
    if (n > self->shard->limits.stream_window)
        return P2P_ELIMIT;
    self->want = (uint32_t)n;
    return 0;
}

void p2p_stream_resume(p2p_stream *self)
{
    self->flags |= STREAM_RESUME;
    p2p__stream_mark(self);
}

static bool write_closed(const p2p_stream *self)
{
    return self->flags & (STREAM_ENDED | STREAM_DEAD | STREAM_CLOSED | STREAM_CLOSE_WRITE) ||
           (self->mux && (self->mux->flags & MUXER_RESET || self->conn->stage > CONN_OPEN));
}

/* Where written bytes go: behind the proposal where that is safe, else kept until agreement. */
static struct outq *sink(p2p_stream *self)
{
    bool early = self->opening && !self->opening->optimistic;
    return early ? &self->opening->early : &self->mux->out;
}

size_t p2p_stream_room(const p2p_stream *self)
{
    if (write_closed(self))
        return 0;
    /* What a session has sent and not been acknowledged is the path's to hold, not the writer's. */
    size_t used = (self->mux ? outq_unsent(&self->mux->out) : 0) +
                  (self->opening ? outq_len(&self->opening->early) : 0);
    size_t max = self->shard->limits.stream_send_max;
    /* A peer that reads nothing fills its share with few streams; the others get a little still. */
    if (p2p__stream_memory_limit(self))
        max = max < SEND_SHARE_MIN ? max : SEND_SHARE_MIN;
    return used < max ? max - used : 0;
}

static void wrote(p2p_stream *self)
{
    if (self->mux && sink(self) == &self->mux->out) {
        self->conn->spoke_last = true;
        self->mux->muxer->ops->written(self->mux);
        p2p__stream_account(self);
        conn_mark(self->conn);
    }
}

int64_t p2p_stream_write(p2p_stream *self, const void *bytes, size_t len)
{
    if (write_closed(self))
        return P2P_ECLOSED;
    size_t room = p2p_stream_room(self);
    size_t n = len < room ? len : room;
    if (n < len)
        self->flags |= STREAM_WANT_DRAIN;
    if (n == 0)
        return 0;
    if (p2p__outq_append(sink(self), &self->shard->pool, bytes, n) < 0)
        return P2P_ENOMEM;
    wrote(self);
    return (int64_t)n;
}

int64_t p2p_stream_write_blob(p2p_stream *self, p2p_blob *blob)
{
    if (write_closed(self))
        return P2P_ECLOSED;
    size_t len = 0;
    p2p__blob_data(blob, &len);
    size_t room = p2p_stream_room(self);
    /* A blob larger than the whole queue still goes, alone: it is not copied. */
    if (len > room && room < self->shard->limits.stream_send_max) {
        self->flags |= STREAM_WANT_DRAIN;
        return 0;
    }
    int rc = p2p__outq_append_blob(sink(self), blob);
    if (rc < 0)
        return rc;
    wrote(self);
    return (int64_t)len;
}

p2p_blob *p2p_blob_new(const void *bytes, size_t len)
{
    return p2p__blob_new(bytes, len);
}

void p2p_blob_free(p2p_blob *blob)
{
    p2p__blob_unref(blob);
}

static void close_write(p2p_stream *self)
{
    if (self->flags & (STREAM_ENDED | STREAM_CLOSE_WRITE))
        return;
    self->flags |= STREAM_CLOSE_WRITE;
    if (self->mux && !self->opening) { /* or else once the protocol is agreed */
        self->mux->muxer->ops->close_write(self->mux);
        conn_mark(self->conn);
    }
}

void p2p_stream_close_write(p2p_stream *self)
{
    close_write(self);
    p2p__stream_mark(self);
}

void p2p_stream_close(p2p_stream *self)
{
    if (self->flags & (STREAM_ENDED | STREAM_CLOSED))
        return;
    close_write(self);
    self->flags |= STREAM_CLOSED;
    /* An opening stream keeps its dial's deadline: that one is due to end it as well. */
    if (!self->opening) {
        uint64_t linger_us = shard_after_ms(self->shard, self->shard->limits.linger_timeout_ms);
        if (linger_us < self->deadline_us)
            self->deadline_us = linger_us;
        p2p__stream_arm(self);
    }
    if (self->mux && !self->opening)
        p2p__stream_stop(self);
    p2p__stream_mark(self);
}

void p2p_stream_reset(p2p_stream *self, uint32_t code)
{
    if (self->flags & STREAM_ENDED)
        return;
    if (self->mux) {
        self->mux->muxer->ops->reset(self->mux, code);
        conn_mark(self->conn);
    }
    p2p__stream_end(self, (struct ending){.code = P2P_ECANCELED});
}

void p2p_stream_set_timeout(p2p_stream *self, int timeout_ms)
{
    if (self->flags & (STREAM_ENDED | STREAM_CLOSED))
        return;
    self->flags &= ~(uint32_t)STREAM_PATIENT;
    if (timeout_ms < 0)
        self->flags |= STREAM_PATIENT;
    self->deadline_us =
        timeout_ms < 0 ? HEAP_NEVER : shard_now_us(self->shard) + (uint64_t)timeout_ms * 1000;
    p2p__stream_arm(self);
}

void p2p_stream_set_memory(p2p_stream *self, size_t bytes)
{
    self->memory_max = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    if (self->mux)
        p2p__stream_window(self);
}

const char *p2p_stream_protocol(const p2p_stream *self)
{
    return self->protocol;
}

p2p_conn *p2p_stream_conn(const p2p_stream *self)
{
    return self->conn;
}

p2p_host *p2p_stream_host(const p2p_stream *self)
{
    return self->shard->host;
}

int p2p_stream_outbound(const p2p_stream *self)
{
    return (self->flags & STREAM_OUTBOUND) != 0;
}

void p2p_stream_set_user(p2p_stream *self, void *user)
{
    self->user = user;
}

void p2p_stream_set_events(p2p_stream *self, const p2p_stream_events *events)
{
    assert(events);
    self->events = events;
}

/* ---- varint-length-prefixed messages ---- */

/* The message at the head of what is unread: 1 and where it lies, or as p2p_msg_peek. */
static int msg_find(p2p_stream *self, size_t max, size_t *header_len, size_t *msg_len)
{
    if (!readable(self))
        return P2P_ECLOSED;
    size_t held = buf_len(&self->mux->in);
    bool ended = self->mux->flags & MUXER_EOF;
    uint64_t len = 0;
    int used = held ? p2p__varint_decode(buf_data(&self->mux->in), held, &len) : 0;
    if (used < 0)
        return P2P_EPROTO;
    if (used == 0)
        return ended ? P2P_EEOF : 0;
    if (len > max)
        return P2P_ETOOBIG;
    *header_len = (size_t)used;
    *msg_len = (size_t)len;
    if (held - (size_t)used >= len)
        return 1;
    if (!ended)
        self->want = (uint32_t)(len + (size_t)used);
    return ended ? P2P_EEOF : 0;
}

int p2p_msg_peek(p2p_stream *self, size_t max, const uint8_t **msg, size_t *len)
{
    size_t header_len = 0, msg_len = 0;
    size_t window = self->shard->limits.stream_window - P2P__VARINT_MAX;
    int rc = msg_find(self, max < window ? max : window, &header_len, &msg_len);
    if (rc != 1)
        return rc;
    *msg = buf_data(&self->mux->in) + header_len;
    *len = msg_len;
    return 1;
}

void p2p_msg_consume(p2p_stream *self)
{
    size_t header_len = 0, msg_len = 0;
    int rc = msg_find(self, SIZE_MAX, &header_len, &msg_len);
    assert(rc == 1);
    p2p_stream_consume(self, header_len + msg_len);
}

int p2p_msg_write(p2p_stream *self, const void *msg, size_t len)
{
    if (write_closed(self))
        return P2P_ECLOSED;
    uint8_t header[P2P__VARINT_MAX];
    size_t header_len = p2p__varint_encode(len, header);
    if (header_len + len > self->shard->limits.stream_send_max)
        return P2P_ETOOBIG;
    if (header_len + len > p2p_stream_room(self)) {
        self->flags |= STREAM_WANT_DRAIN;
        return P2P_EAGAIN;
    }
    struct outq *out = sink(self);
    if (p2p__outq_append(out, &self->shard->pool, header, header_len) < 0)
        return P2P_ENOMEM;
    if (len && p2p__outq_append(out, &self->shard->pool, msg, len) < 0) {
        /* Half a message must never leave. */
        p2p_stream_reset(self, 0);
        return P2P_ENOMEM;
    }
    wrote(self);
    return 0;
}
