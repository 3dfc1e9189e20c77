/* One message out, one message in, one deadline: what most protocols need and everyone would write.
 */
#include "host/host.h"

#include <string.h>

#include "base/mem.h"

enum {
    REQUEST_TIMEOUT_MS = 10 * 1000,
    REQUEST_REPLY_MAX = 64 * 1024,
};

struct request {
    p2p_op op;
    p2p_reply_cb reply;
    void *user;
    p2p_stream *stream;
    size_t reply_max;
    uint8_t *msg; /* the reply, kept until it is told */
    size_t msg_len;
};

static void told(void *user, const p2p_error *why)
{
    struct request *self = user;
    if (self->stream)
        p2p_stream_set_user(self->stream, NULL);
    self->reply(self->user, why ? NULL : self->msg, why ? 0 : self->msg_len, why);
    p2p__free(self->msg);
}

static void fail(struct request *self, int code, const char *message)
{
    const p2p_error why = {.size = sizeof(why), .code = code, .message = message};
    p2p__op_finish(&self->op, &why);
    p2p_stream_reset(self->stream, 0);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct request *self = user;
    const uint8_t *msg = NULL;
    size_t len = 0;
    if (!self || self->op.finished)
        return;
    int rc = p2p_msg_peek(stream, self->reply_max, &msg, &len);
    if (rc == 0)
        return;
    if (rc < 0) {
        fail(self, rc == P2P_EEOF ? P2P_ETRUNCATED : rc,
             rc == P2P_ETOOBIG ? "the reply is longer than the limit"
             : rc == P2P_EEOF  ? "the stream ended before the reply did"
                               : "the reply is malformed");
        return;
    }
    self->msg = p2p__realloc(NULL, len ? len : 1);
    if (!self->msg) {
        fail(self, P2P_ENOMEM, NULL);
        return;
    }
    if (len)
        memcpy(self->msg, msg, len);
    self->msg_len = len;
    p2p_stream_close(stream);
    p2p__op_finish(&self->op, NULL);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct request *self = user;
    (void)stream;
    if (!self)
        return;
    self->stream = NULL;
    if (self->op.finished)
        return;
    const p2p_error ended = {.size = sizeof(ended),
                             .code = P2P_ETRUNCATED,
                             .message = "the stream ended before a reply"};
    p2p__op_finish(&self->op, why ? why : &ended);
}

static const p2p_stream_events events = {
    .size = sizeof(events),
    .on_read = on_read,
    .on_eof = on_read,
    .on_close = on_close,
};

static void cancel(p2p_op *op)
{
    struct request *self = P2P__CONTAINER(op, struct request, op);
    if (self->stream)
        p2p_stream_reset(self->stream, 0);
}

static void deadline(struct timer *timer)
{
    p2p_op *op = P2P__CONTAINER(timer, p2p_op, timer);
    const p2p_error why = {
        .size = sizeof(why), .code = P2P_ETIMEDOUT, .message = "no reply in time"};
    cancel(op);
    p2p__op_finish(op, &why);
}

p2p_op *p2p_host_request(p2p_host *host, const char *target, const char *protocol, const void *msg,
                         size_t len, const p2p_request_opts *opts, p2p_reply_cb reply, void *user)
{
    p2p_request_opts o = opts ? *opts : (p2p_request_opts)P2P_REQUEST_OPTS_INIT;
    struct request *self = (struct request *)p2p__op_new(host, sizeof(*self), told, NULL);
    if (!self)
        return NULL;
    self->op.user = self;
    self->op.on_cancel = cancel;
    self->op.timer.fire = deadline;
    self->reply = reply;
    self->user = user;
    self->reply_max = o.reply_max ? o.reply_max : REQUEST_REPLY_MAX;
    int timeout_ms = o.timeout_ms ? o.timeout_ms : REQUEST_TIMEOUT_MS;
    p2p_dial_opts dial = {sizeof(dial), timeout_ms, o.flags};
    self->stream = p2p_host_open(host, target, &protocol, 1, &dial, &events, self);
    int rc = self->stream ? p2p_msg_write(self->stream, msg, len) : P2P_ENOMEM;
    if (rc < 0 && rc != P2P_ECLOSED) {
        const p2p_error why = {.size = sizeof(why), .code = rc, .message = p2p_code_text(rc)};
        if (self->stream)
            p2p_stream_reset(self->stream, 0);
        p2p__op_finish(&self->op, &why);
    } else if (rc == 0) {
        p2p_stream_close_write(self->stream);
    }
    if (!self->op.finished && timeout_ms > 0)
        timer_set(&host->shard, &self->op.timer,
                  io_now_us(host->shard.io) + (uint64_t)timeout_ms * 1000);
    return &self->op;
}
