/* What a stream counts for: the streams and the bytes of its connection, its peer, its protocol and
 * the host. */
#include "conn/conn.h"

#include <string.h>

#include "base/mem.h"

/* ---- streams ---- */

static const char *refused_by(const struct p2p_stream *self)
{
    const struct shard *shard = self->shard;
    const struct shard_limits *limits = &shard->limits;
    const struct peer_load *load = self->conn->load;
    if (shard->streams_in + shard->streams_out >= limits->streams_total_max)
        return "streams_total";
    if (!load)
        return NULL;
    if (self->flags & STREAM_OUTBOUND)
        return load->streams_out >= limits->streams_out_max ? "streams_out" : NULL;
    return load->streams_in >= limits->streams_in_max ? "streams_in" : NULL;
}

static void refuse(const struct p2p_stream *self, const char *limit, const char *message)
{
    self->shard->owner->limited(self->shard->host, limit, message);
}

const char *p2p__stream_enter(struct p2p_stream *self)
{
    struct shard *shard = self->shard;
    struct peer_load *load = self->conn->load;
    bool outbound = self->flags & STREAM_OUTBOUND;
    const char *limit = refused_by(self);
    if (limit) {
        refuse(self, limit, "too many streams are open");
        return limit;
    }
    *(outbound ? &shard->streams_out : &shard->streams_in) += 1;
    if (load)
        *(outbound ? &load->streams_out : &load->streams_in) += 1;
    self->flags |= STREAM_COUNTED;
    return NULL;
}

/* What the peer has open on that handler. NULL: no memory. */
static uint16_t *load_slot(struct peer_load *load, size_t slot)
{
    if (slot >= load->slot_count) {
        uint16_t *grown = p2p__realloc(load->by_slot, (slot + 1) * sizeof(*grown));
        if (!grown)
            return NULL;
        memset(grown + load->slot_count, 0, (slot + 1 - load->slot_count) * sizeof(*grown));
        load->by_slot = grown;
        load->slot_count = slot + 1;
    }
    return &load->by_slot[slot];
}

static void load_free(struct peer_load *load)
{
    p2p__free(load->by_slot);
    load->by_slot = NULL;
    load->slot_count = 0;
}

int p2p__stream_serve(struct p2p_stream *self, struct handler *handler, const char **limit)
{
    struct peer_load *load = self->conn->load;
    uint16_t *open = load ? load_slot(load, handler->slot) : NULL;
    *limit = NULL;
    if (load && !open)
        return P2P_ENOMEM;
    if (open && *open >= handler->max_per_peer)
        *limit = "streams_per_protocol";
    else if (handler->streams >= self->shard->limits.protocol_streams_max)
        *limit = "protocol_streams";
    if (*limit) {
        refuse(self, *limit, "too many streams are open on a protocol");
        return P2P_ELIMIT;
    }
    if (open)
        (*open)++;
    handler->streams++;
    self->handler = handler;
    self->flags |= STREAM_SERVED;
    return 0;
}

void p2p__stream_leave(struct p2p_stream *self)
{
    struct shard *shard = self->shard;
    bool outbound = self->flags & STREAM_OUTBOUND;
    struct peer_load *load = self->conn ? self->conn->load : NULL;
    if (self->flags & STREAM_SERVED) {
        self->handler->streams--;
        if (load)
            load->by_slot[self->handler->slot]--;
    }
    if (self->flags & STREAM_COUNTED) {
        *(outbound ? &shard->streams_out : &shard->streams_in) -= 1;
        if (load)
            *(outbound ? &load->streams_out : &load->streams_in) -= 1;
    }
    if (load && load->streams_in == 0)
        load_free(load);
    self->flags &= ~(uint32_t)(STREAM_SERVED | STREAM_COUNTED);
}

/* ---- bytes ---- */

void p2p__stream_account(struct p2p_stream *self)
{
    struct p2p_conn *conn = self->conn;
    size_t held = self->mux ? self->mux->in.cap + outq_len(&self->mux->out) : 0;
    if (!conn)
        return;
    conn->held_bytes += held - self->held;
    if (conn->load)
        conn->load->held_bytes += held - self->held;
    self->held = (uint32_t)held;
}

/* The last: what a peer may hold shrinks with what is left for everybody, so that something is left
 * always. With n peers that take all they can, each has an (n + 1)th part of the memory. */
const char *p2p__stream_memory_limit(const struct p2p_stream *self)
{
    const struct shard *shard = self->shard;
    const struct p2p_conn *conn = self->conn;
    const struct peer_load *load = conn ? conn->load : NULL;
    if (!load)
        return NULL;
    if (load->held_bytes >= shard->limits.peer_bytes_max)
        return "memory_per_peer";
    if (conn->held_bytes >= shard->limits.conn_bytes_max)
        return "memory_per_conn";
    const struct pool *pool = &shard->pool;
    return pool->max_bytes && load->held_bytes >= pool->max_bytes - pool->used_bytes ? "memory"
                                                                                     : NULL;
}

/* What it may have waiting to be sent is set aside, so that both together are bounded. */
void p2p__stream_window(struct p2p_stream *self)
{
    const struct shard_limits *limits = &self->shard->limits;
    uint32_t max = self->memory_max ? self->memory_max : limits->stream_bytes_max;
    if (max > limits->conn_bytes_max)
        max = limits->conn_bytes_max;
    max = max > limits->stream_send_max ? max - limits->stream_send_max : 0;
    self->mux->window_max = max < limits->stream_window_max ? max : limits->stream_window_max;
}
