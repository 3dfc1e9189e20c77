/* The side that measures. */
#include "services/perf.h"

#include <string.h>

#include <p2p/perf.h>

#include "base/mem.h"
#include "services/services.h"

struct p2p_perf {
    p2p_host *host;
    p2p_stream *stream;
    p2p_blob *blob;
    p2p_perf_cb done;
    void *user;
    uint64_t upload_bytes, download_bytes;
    uint64_t left; /* of the upload */
    uint64_t received;
    uint64_t start_us, turned_us, end_us; /* 0: not yet; turned: from upload to download */
    p2p_error failure;                    /* why we reset the stream */
    bool finished;
};

static void turned(p2p_perf *self)
{
    if (!self->turned_us)
        self->turned_us = p2p_host_now_us(self->host);
}

void p2p_perf_progress(const p2p_perf *self, p2p_perf_result *out)
{
    uint64_t now_us = p2p_host_now_us(self->host);
    uint64_t end_us = self->end_us ? self->end_us : now_us;
    uint64_t start_us = self->start_us ? self->start_us : end_us;
    uint64_t turned_us = self->turned_us ? self->turned_us : end_us;
    *out = (p2p_perf_result){.size = sizeof(*out),
                             .upload_bytes = self->upload_bytes - self->left,
                             .download_bytes = self->received,
                             .total_us = end_us - start_us,
                             .upload_us = turned_us - start_us,
                             .download_us = end_us - turned_us};
}

static void finish(p2p_perf *self, const p2p_error *why)
{
    p2p_perf_result result;
    if (self->finished)
        return;
    self->finished = true;
    p2p_perf_progress(self, &result);
    self->done(self->user, &result, why);
}

static void fail(p2p_perf *self, int code, const char *message)
{
    self->failure = service_error(code, message);
    p2p_stream_reset(self->stream, SERVICE_RESET);
}

/* ---- the stream ---- */

static void on_drain(p2p_stream *stream, void *user)
{
    p2p_perf *self = user;
    int rc = p2p__perf_send(stream, self->blob, &self->left);
    if (rc < 0) {
        fail(self, rc, NULL);
        return;
    }
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
    if (rc == 1)
        p2p_stream_close_write(stream);
}

static void on_open(p2p_stream *stream, void *user)
{
    p2p_perf *self = user;
    uint8_t size[PERF_SIZE_LEN];
    p2p_stream_set_memory(stream, PERF_MEMORY);
    for (size_t i = 0; i < PERF_SIZE_LEN; i++)
        size[i] = (uint8_t)(self->download_bytes >> (8 * (PERF_SIZE_LEN - 1 - i)));
    self->start_us = p2p_host_now_us(self->host);
    if (self->upload_bytes == 0)
        turned(self);
    int64_t taken = p2p_stream_write(stream, size, sizeof(size));
    if (taken == PERF_SIZE_LEN)
        on_drain(stream, user);
    else
        fail(self, taken < 0 ? (int)taken : P2P_ESEND, NULL);
}

static void on_read(p2p_stream *stream, void *user)
{
    p2p_perf *self = user;
    size_t len;
    p2p_stream_peek(stream, &len);
    if (self->left > 0 || len > self->download_bytes - self->received) {
        fail(self, P2P_EPROTO, "the remote sent more than it was asked for, or too early");
        return;
    }
    turned(self);
    self->received += len;
    p2p_stream_consume(stream, len);
    p2p_stream_set_timeout(stream, SERVICE_IDLE_MS);
}

static void on_eof(p2p_stream *stream, void *user)
{
    p2p_perf *self = user;
    if (self->left > 0 || self->received < self->download_bytes) {
        fail(self, P2P_ETRUNCATED, "the remote ended the stream before it had sent everything");
        return;
    }
    turned(self);
    self->end_us = p2p_host_now_us(self->host);
    p2p_stream_close(stream);
    finish(self, NULL);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    p2p_perf *self = user;
    (void)stream;
    self->stream = NULL;
    finish(self, self->failure.code ? &self->failure : why);
    p2p_blob_free(self->blob);
    p2p__free(self);
}

static const p2p_stream_events events = {
    .size = sizeof(events),
    .on_open = on_open,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* ---- what applications call ---- */

p2p_perf *p2p_perf_run(p2p_host *host, const char *target, uint64_t upload_bytes,
                       uint64_t download_bytes, const p2p_dial_opts *opts, p2p_perf_cb done,
                       void *user)
{
    static const char *const protocol = P2P_PERF_PROTOCOL;
    p2p_perf *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->host = host;
    self->done = done;
    self->user = user;
    self->upload_bytes = self->left = upload_bytes;
    self->download_bytes = download_bytes;
    self->blob = p2p__perf_blob();
    if (self->blob)
        self->stream = p2p_host_open(host, target, &protocol, 1, opts, &events, self);
    if (!self->stream) {
        p2p_blob_free(self->blob);
        p2p__free(self);
        return NULL;
    }
    return self;
}

void p2p_perf_stop(p2p_perf *self)
{
    if (self->stream && !self->finished)
        p2p_stream_reset(self->stream, SERVICE_RESET);
}
