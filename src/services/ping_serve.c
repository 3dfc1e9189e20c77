/* The side that returns pings. */
#include <p2p/ping.h>

#include "base/list.h"
#include "base/mem.h"
#include "host/host.h"
#include "services/ping.h"
#include "services/services.h"

enum {
    /* The ping spec: more than two streams of a peer have nothing to measure. The newest two are
     * served: go opens a stream for each series of pings, and its reset of an older one may come
     * after the next has begun. */
    STREAMS_PER_PEER = 2,
    /* Those that are being dropped for a newer one included. */
    STREAMS_LIMIT = 8,
};

struct served {
    struct list node; /* of the host's server, oldest first */
    p2p_stream *stream;
    size_t
        split; /* bytes at the head of what is unread: the rest of a ping that a full queue split */
};

struct server {
    struct list streams;
};

/* Returns whole payloads, as far as the remote takes them. False: the stream is over. */
static bool echo(struct served *self)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(self->stream, &len);
    size_t whole = self->split + (len - self->split) / PING_LEN * PING_LEN;
    int64_t taken = whole ? p2p_stream_write(self->stream, bytes, whole) : 0;
    if (taken < 0) {
        p2p_stream_reset(self->stream, SERVICE_RESET);
        return false;
    }
    p2p_stream_consume(self->stream, (size_t)taken);
    if (taken == (int64_t)whole)
        p2p_stream_want(self->stream, PING_LEN);
    self->split = (whole - (size_t)taken) % PING_LEN;
    p2p_stream_set_timeout(self->stream, SERVICE_IDLE_MS);
    return true;
}

static void drop_oldest(struct server *server, const p2p_peer_id *peer)
{
    struct served *oldest = NULL;
    int count = 0;
    for (struct list *node = server->streams.next; node != &server->streams; node = node->next) {
        struct served *other = P2P__CONTAINER(node, struct served, node);
        if (!p2p_peer_id_equal(p2p_conn_peer(p2p_stream_conn(other->stream)), peer))
            continue;
        oldest = oldest ? oldest : other;
        count++;
    }
    if (count < STREAMS_PER_PEER)
        return;
    list_remove(&oldest->node);
    p2p_stream_reset(oldest->stream, SERVICE_RESET);
}

static const p2p_stream_events serving;

static void on_open(p2p_stream *stream, void *user)
{
    struct server *server = user;
    struct served *self = p2p__alloc(sizeof(*self));
    p2p_stream_set_user(stream, self);
    if (!self) {
        p2p_stream_reset(stream, SERVICE_RESET);
        return;
    }
    drop_oldest(server, p2p_conn_peer(p2p_stream_conn(stream)));
    self->stream = stream;
    list_append(&server->streams, &self->node);
    p2p_stream_set_events(stream, &serving);
    p2p_stream_want(stream, PING_LEN);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

static void on_bytes(p2p_stream *stream, void *user)
{
    (void)stream;
    (void)echo(user);
}

/* No more pings come: what is whole is returned, a piece of one is dropped. */
static void on_last_bytes(p2p_stream *stream, void *user)
{
    struct served *self = user;
    size_t left;
    if (!echo(self))
        return;
    p2p_stream_peek(stream, &left);
    if (self->split == 0 && left < PING_LEN)
        p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct served *self = user;
    (void)stream;
    (void)why;
    if (!self)
        return;
    list_remove(&self->node);
    p2p__free(self);
}

static const p2p_stream_events ending = {
    .size = sizeof(ending),
    .on_read = on_last_bytes,
    .on_drain = on_last_bytes,
    .on_close = on_close,
};

static void on_eof(p2p_stream *stream, void *user)
{
    p2p_stream_set_events(stream, &ending);
    on_last_bytes(stream, user);
}

static const p2p_stream_events serving = {
    .size = sizeof(serving),
    .on_read = on_bytes,
    .on_eof = on_eof,
    .on_drain = on_bytes,
    .on_close = on_close,
};

/* Until on_open has run, user is the server; it runs first, or else nothing does. */
static void on_close_unopened(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    (void)user;
}

static const p2p_stream_events opening = {
    .size = sizeof(opening),
    .on_open = on_open,
    .on_close = on_close_unopened,
};

int p2p_ping_serve(p2p_host *host)
{
    struct server *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    list_init(&self->streams);
    int rc = p2p__host_attach(host, "ping", self, p2p__free);
    if (rc < 0) {
        p2p__free(self);
        return rc;
    }
    rc = p2p_host_handle(host, P2P_PING_PROTOCOL, &opening, self);
    return rc < 0 ? rc : p2p_host_handle_limit(host, P2P_PING_PROTOCOL, STREAMS_LIMIT);
}
