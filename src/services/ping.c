/* The side that pings. One stream and one payload under way at a time; a stream that failed is
 * replaced with the next ping, never kept beside another. */
#include "services/ping.h"

#include <string.h>

#include <p2p/ping.h>

#include "base/mem.h"
#include "services/services.h"

enum {
    COUNT = 3,
    INTERVAL_MS = 1000,
    TIMEOUT_MS = 10 * 1000,
};

struct p2p_ping {
    p2p_host *host;
    p2p_stream *stream; /* NULL between a failure and the next ping */
    p2p_op *timer;      /* until the next ping is due */
    p2p_ping_cb on_ping;
    p2p_done_cb done;
    void *user;
    p2p_ping_opts opts;
    uint64_t seq, begun_us, sent_us;
    struct {
        int code;
        const char *message; /* static */
    } failure;               /* why we reset the stream */
    bool reached;            /* there was a stream: failures are results from now on */
    bool due;                /* a ping's turn has begun and its result is not told */
    bool sent;               /* its payload is under way */
    bool stopped, finished;
    uint8_t payload[PING_LEN];
    char target[]; /* NUL-terminated */
};

/* Freed by the last of its callbacks: the stream's or the timer's. */
static void release(p2p_ping *self)
{
    if (self->finished && !self->stream && !self->timer)
        p2p__free(self);
}

static void finish(p2p_ping *self, const p2p_error *why)
{
    if (self->finished)
        return;
    self->finished = true;
    if (self->stream)
        p2p_stream_close(self->stream);
    if (self->timer)
        p2p_op_cancel(self->timer);
    if (self->done)
        self->done(self->user, why);
}

static void finish_stopped(p2p_ping *self)
{
    const p2p_error why = service_error(P2P_ECANCELED, NULL);
    finish(self, &why);
}

/* ---- one ping ---- */

static void open_stream(p2p_ping *self, int timeout_ms);

static void send_payload(p2p_ping *self)
{
    p2p_host_random(self->host, self->payload, PING_LEN);
    self->sent_us = p2p_host_now_us(self->host);
    self->sent = true;
    /* The queue is empty: the last payload came back. */
    int64_t taken = p2p_stream_write(self->stream, self->payload, PING_LEN);
    if (taken != PING_LEN) {
        self->failure.code = taken < 0 ? (int)taken : P2P_ESEND;
        p2p_stream_reset(self->stream, SERVICE_RESET);
        return;
    }
    p2p_stream_want(self->stream, PING_LEN);
    p2p_stream_set_timeout(self->stream, self->opts.timeout_ms);
}

static void begin(p2p_ping *self)
{
    self->due = true;
    self->begun_us = p2p_host_now_us(self->host);
    if (self->stream)
        send_payload(self);
    else
        open_stream(self, self->opts.timeout_ms);
}

static void on_timer(void *user, const p2p_error *why)
{
    p2p_ping *self = user;
    self->timer = NULL;
    if (why)
        finish(self, why);
    else if (!self->finished)
        begin(self);
    release(self);
}

/* The result of the ping under way is known; on to the next one, or to the end. */
static void next(p2p_ping *self, const p2p_ping_result *result)
{
    self->due = self->sent = false;
    self->seq++;
    if (self->on_ping)
        self->on_ping(self->user, result);
    if (self->stopped || self->finished)
        return;
    if (self->opts.count > 0 && self->seq == (uint64_t)self->opts.count) {
        finish(self, NULL);
        return;
    }
    uint64_t passed_ms = (p2p_host_now_us(self->host) - self->begun_us) / 1000;
    bool at_once = passed_ms >= (uint64_t)self->opts.interval_ms;
    if (at_once && self->stream) {
        begin(self);
        return;
    }
    int delay_ms = at_once ? 0 : self->opts.interval_ms - (int)passed_ms;
    self->timer = p2p_host_after(self->host, delay_ms, on_timer, self);
    if (!self->timer) {
        const p2p_error no_memory = service_error(P2P_ENOMEM, NULL);
        finish(self, &no_memory);
    }
}

static void next_failed(p2p_ping *self, const p2p_error *why)
{
    const p2p_ping_result result = {.size = sizeof(result), .seq = self->seq, .why = why};
    next(self, &result);
}

/* ---- the stream ---- */

static void on_open(p2p_stream *stream, void *user)
{
    p2p_ping *self = user;
    (void)stream;
    if (!self->reached)
        self->begun_us = p2p_host_now_us(self->host);
    self->reached = true;
    /* Not earlier: the time that a round trip takes is neither the dial's nor the negotiation's. */
    send_payload(self);
}

static void fail(p2p_ping *self, int code, const char *message)
{
    self->failure.code = code;
    self->failure.message = message;
    p2p_stream_reset(self->stream, SERVICE_RESET);
}

static void on_read(p2p_stream *stream, void *user)
{
    p2p_ping *self = user;
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    if (self->finished)
        return;
    if (self->sent && len < PING_LEN) {
        p2p_stream_want(stream, PING_LEN);
        return;
    }
    if (!self->sent || len > PING_LEN || memcmp(bytes, self->payload, PING_LEN) != 0) {
        fail(self, P2P_EPROTO, "the remote sent other bytes than it was pinged with");
        return;
    }
    p2p_stream_consume(stream, len);
    p2p_stream_set_timeout(stream, -1);
    const p2p_ping_result result = {.size = sizeof(result),
                                    .seq = self->seq,
                                    .rtt_us = p2p_host_now_us(self->host) - self->sent_us};
    next(self, &result);
}

static void on_eof(p2p_stream *stream, void *user)
{
    p2p_ping *self = user;
    if (self->finished)
        return;
    if (self->due) {
        fail(self, P2P_ETRUNCATED, "the remote ended the stream before it replied");
        return;
    }
    /* It got tired of waiting for the next ping, which opens a new stream. */
    self->stream = NULL;
    p2p_stream_set_user(stream, NULL);
    p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    p2p_ping *self = user;
    (void)stream;
    if (!self)
        return;
    const p2p_error failed = service_error(self->failure.code, self->failure.message);
    const p2p_error ended = service_error(P2P_ECLOSED, "the stream was closed");
    self->stream = NULL;
    if (self->failure.code)
        why = &failed;
    else if (!why)
        why = &ended;
    self->failure.code = 0;
    self->failure.message = NULL;
    bool goes_on = !self->finished && !self->stopped;
    if (goes_on && (!self->reached || why->code == P2P_ECANCELED))
        finish(self, why);
    else if (goes_on && self->due)
        next_failed(self, why);
    if (self->stopped)
        finish_stopped(self);
    release(self);
}

static const p2p_stream_events events = {
    .size = sizeof(events),
    .on_open = on_open,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_close = on_close,
};

static void open_stream(p2p_ping *self, int timeout_ms)
{
    static const char *const protocol = P2P_PING_PROTOCOL;
    const p2p_dial_opts dial = {sizeof(dial), timeout_ms, self->opts.flags};
    self->stream = p2p_host_open(self->host, self->target, &protocol, 1, &dial, &events, self);
    if (!self->stream && self->reached) {
        const p2p_error why = service_error(P2P_ENOMEM, NULL);
        next_failed(self, &why);
    }
}

/* ---- what applications call ---- */

p2p_ping *p2p_ping_start(p2p_host *host, const char *target, const p2p_ping_opts *opts,
                         p2p_ping_cb on_ping, p2p_done_cb done, void *user)
{
    size_t target_size = strlen(target) + 1;
    p2p_ping *self = p2p__alloc(sizeof(*self) + target_size);
    if (!self)
        return NULL;
    self->host = host;
    self->on_ping = on_ping;
    self->done = done;
    self->user = user;
    self->opts = opts ? *opts : (p2p_ping_opts)P2P_PING_OPTS_INIT;
    if (self->opts.count == 0)
        self->opts.count = COUNT;
    if (self->opts.interval_ms == 0)
        self->opts.interval_ms = INTERVAL_MS;
    else if (self->opts.interval_ms < 0)
        self->opts.interval_ms = 0;
    if (self->opts.timeout_ms <= 0)
        self->opts.timeout_ms = TIMEOUT_MS;
    memcpy(self->target, target, target_size);
    self->due = true;
    open_stream(self, self->opts.dial_timeout_ms);
    if (!self->stream) {
        p2p__free(self);
        return NULL;
    }
    return self;
}

void p2p_ping_stop(p2p_ping *self)
{
    if (self->stopped || self->finished)
        return;
    self->stopped = true;
    if (self->timer)
        p2p_op_cancel(self->timer);
    else if (self->stream)
        p2p_stream_reset(self->stream, SERVICE_RESET);
    /* else: in the callback of a stream that just closed, which looks at `stopped` next. */
}
