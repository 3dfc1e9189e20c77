/* The side that returns pings. */
#include <p2p/ping.h>

#include "services/ping.h"
#include "services/services.h"

enum {
    /* The ping spec: more than two streams of a peer have nothing to measure. */
    STREAMS_PER_PEER = 2,
};

/* Returns whole payloads, as far as the remote takes them; `split` bytes at the head are the rest
 * of one that a full queue split. Returns that rest for the next time, or a negative code. */
static int64_t echo(p2p_stream *stream, size_t split)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    size_t whole = split + (len - split) / PING_LEN * PING_LEN;
    int64_t taken = whole ? p2p_stream_write(stream, bytes, whole) : 0;
    if (taken < 0)
        return taken;
    p2p_stream_consume(stream, (size_t)taken);
    if (taken == (int64_t)whole)
        p2p_stream_want(stream, PING_LEN);
    return (int64_t)(whole - (size_t)taken) % PING_LEN;
}

/* The split is kept where other protocols keep a pointer: a stream needs no memory of its own. */
static int64_t serve(p2p_stream *stream, void *user)
{
    int64_t split = echo(stream, (size_t)(uintptr_t)user);
    if (split < 0) {
        p2p_stream_reset(stream, SERVICE_RESET);
        return split;
    }
    p2p_stream_set_user(stream, (void *)(uintptr_t)split);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
    return split;
}

static void on_open(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_want(stream, PING_LEN);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

static void on_bytes(p2p_stream *stream, void *user)
{
    serve(stream, user);
}

/* No more pings come: what is whole is returned, a piece of one is dropped. */
static void on_last_bytes(p2p_stream *stream, void *user)
{
    size_t left;
    int64_t split = serve(stream, user);
    p2p_stream_peek(stream, &left);
    if (split == 0 && left < PING_LEN)
        p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    (void)user;
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
    .on_open = on_open,
    .on_read = on_bytes,
    .on_eof = on_eof,
    .on_drain = on_bytes,
    .on_close = on_close,
};

int p2p_ping_serve(p2p_host *host)
{
    int rc = p2p_host_handle(host, P2P_PING_PROTOCOL, &serving, NULL);
    return rc < 0 ? rc : p2p_host_handle_limit(host, P2P_PING_PROTOCOL, STREAMS_PER_PEER);
}
