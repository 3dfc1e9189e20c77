/* The side that answers, and what both sides send. */
#include "services/perf.h"

#include <p2p/perf.h>

#include "base/mem.h"
#include "base/outq.h"
#include "host/host.h"
#include "services/services.h"

p2p_blob *p2p__perf_blob(void)
{
    /* Zeros: the spec allows any bytes, and no layer below compresses. */
    void *zeros = p2p__alloc(PERF_BLOB_LEN);
    p2p_blob *blob = zeros ? p2p_blob_new(zeros, PERF_BLOB_LEN) : NULL;
    p2p__free(zeros);
    return blob;
}

int p2p__perf_send(p2p_stream *stream, p2p_blob *blob, uint64_t *left)
{
    size_t blob_len;
    const uint8_t *bytes = p2p__blob_data(blob, &blob_len);
    while (*left > 0) {
        int64_t taken = *left >= blob_len ? p2p_stream_write_blob(stream, blob)
                                          : p2p_stream_write(stream, bytes, (size_t)*left);
        if (taken <= 0)
            return (int)taken;
        *left -= (uint64_t)taken;
    }
    return 1;
}

struct perf_serve {
    p2p_blob *blob; /* the host's */
    bool asked;     /* the amount is known */
    uint64_t left;  /* of it */
};

static void on_open(p2p_stream *stream, void *user)
{
    struct perf_serve *self = p2p__alloc(sizeof(*self));
    p2p_stream_set_memory(stream, PERF_MEMORY);
    if (self)
        self->blob = user;
    p2p_stream_set_user(stream, self);
    if (!self) {
        p2p_stream_reset(stream, SERVICE_RESET);
        return;
    }
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct perf_serve *self = user;
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    if (!self->asked && len < PERF_SIZE_LEN)
        return; /* more comes, or the end */
    if (!self->asked) {
        for (size_t i = 0; i < PERF_SIZE_LEN; i++)
            self->left = self->left << 8 | bytes[i];
        self->asked = true;
    }
    p2p_stream_consume(stream, len);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

static void on_drain(p2p_stream *stream, void *user)
{
    struct perf_serve *self = user;
    int rc = p2p__perf_send(stream, self->blob, &self->left);
    if (rc < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
    else if (rc == 1)
        p2p_stream_close_write(stream);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

/* The spec: nothing is sent before everything was received. */
static void on_eof(p2p_stream *stream, void *user)
{
    const struct perf_serve *self = user;
    if (self->asked)
        on_drain(stream, user);
    else
        p2p_stream_reset(stream, SERVICE_RESET);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    p2p__free(user);
}

static const p2p_stream_events events = {
    .size = sizeof(events),
    .on_open = on_open,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void blob_free(void *state)
{
    p2p_blob_free(state);
}

int p2p_perf_serve(p2p_host *host)
{
    p2p_blob *blob = p2p__host_attached(host, P2P_PERF_PROTOCOL);
    if (!blob) {
        blob = p2p__perf_blob();
        if (!blob)
            return P2P_ENOMEM;
        int rc = p2p__host_attach(host, P2P_PERF_PROTOCOL, blob, blob_free);
        if (rc < 0) {
            p2p_blob_free(blob);
            return rc;
        }
    }
    return p2p_host_handle(host, P2P_PERF_PROTOCOL, &events, blob);
}
