#include <p2p/echo.h>

#include "services/services.h"

enum {
    /* Streams of one peer; each holds at most one window of bytes. */
    STREAMS_PER_PEER = 256,
};

/* Takes from the remote only what can be written back to it: a remote that does not read stops
 * itself. */
static void echo(p2p_stream *stream)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    int64_t taken = len ? p2p_stream_write(stream, bytes, len) : 0;
    if (taken < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
    else
        p2p_stream_consume(stream, (size_t)taken);
}

static void on_bytes(p2p_stream *stream, void *user)
{
    (void)user;
    echo(stream);
}

static void on_last_bytes(p2p_stream *stream, void *user)
{
    size_t left;
    (void)user;
    echo(stream);
    p2p_stream_peek(stream, &left);
    if (left == 0)
        p2p_stream_close_write(stream);
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
    .on_read = on_bytes,
    .on_eof = on_eof,
    .on_drain = on_bytes,
    .on_close = on_close,
};

int p2p_echo_serve(p2p_host *host)
{
    int rc = p2p_host_handle(host, P2P_ECHO_PROTOCOL, &serving, NULL);
    return rc < 0 ? rc : p2p_host_handle_limit(host, P2P_ECHO_PROTOCOL, STREAMS_PER_PEER);
}
