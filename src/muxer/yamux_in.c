/* The parser: whole headers, each judged before its body; bodies stream through. */
#include "muxer/yamux.h"

#include <p2p/error.h>

struct frame {
    uint8_t version, type;
    uint32_t flags, id, length;
};

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct frame frame_decode(const uint8_t *at)
{
    return (struct frame){
        .version = at[0],
        .type = at[1],
        .flags = (uint32_t)at[2] << 8 | at[3],
        .id = get_u32(at + 4),
        .length = get_u32(at + 8),
    };
}

static int forbidden(struct yamux *self, const char *error)
{
    return p2p__yamux_fail(self, P2P_EPROTO, YAMUX_PROTOCOL_ERROR, error);
}

/* --- the ends of a stream, as the remote brings them about */

static void remote_fin(struct yamux_stream *s)
{
    if (s->base.flags & MUXER_EOF)
        return;
    s->base.flags |= MUXER_EOF;
    s->credit_due = false;
    if (s->base.flags & MUXER_FIN_SENT)
        p2p__yamux_stream_over(s);
    muxer_make_ready(&s->base);
}

static int remote_reset(struct yamux *self, struct yamux_stream *s, uint32_t code, uint64_t now_us)
{
    /* Work that was thrown away makes a rapid reset; go ends every ping with one, after the answer.
     */
    bool rapid = !(s->base.flags & (MUXER_OUTBOUND | MUXER_FIN_SENT)) && !s->answered;
    s->base.flags |= MUXER_RESET;
    s->base.remote_code = code;
    p2p__yamux_stream_over(s);
    p2p__outq_fini(&s->base.out, self->base.config.pool);
    /* What a FIN completed stays readable. */
    if (!(s->base.flags & MUXER_EOF))
        p2p__buf_fini(&s->base.in, self->base.config.pool);
    muxer_make_ready(&s->base);
    if (rapid && !muxer_reset_take(&self->base, now_us))
        return p2p__yamux_fail(self, P2P_ELIMIT, YAMUX_PROTOCOL_ERROR,
                               "the remote opens and resets streams too fast");
    return 0;
}

/* The remote broke one stream's rules: that stream ends, both sides learn of it. */
static int break_stream(struct yamux *self, struct yamux_stream *s)
{
    s->base.flags |= MUXER_RESET | MUXER_RESET_SENT;
    p2p__yamux_stream_over(s);
    p2p__outq_fini(&s->base.out, self->base.config.pool);
    muxer_make_ready(&s->base);
    return p2p__yamux_send_reset(self, (uint32_t)s->base.id, 0);
}

/* --- opening */

static int refuse(struct yamux *self, const struct frame *f)
{
    /* Until it hears of the reset the remote may fill the window that it believes to have. */
    p2p__yamux_drain_allow(self, YAMUX_INITIAL_WINDOW);
    return p2p__yamux_send_reset(self, f->id, 0);
}

/* *out stays NULL for a stream that is not to be. */
static int remote_syn(struct yamux *self, const struct frame *f, uint64_t now_us,
                      struct yamux_stream **out)
{
    if ((f->id % 2 == 1) == self->base.config.initiator)
        return forbidden(self, "a stream id that is ours to give");
    if (p2p__yamux_find(self, f->id))
        return forbidden(self, "a stream id that is in use");
    if (f->type == YAMUX_DATA && f->length > YAMUX_INITIAL_WINDOW)
        return forbidden(self, "a first body larger than the window");
    if (f->flags & YAMUX_RST) {
        if (!muxer_reset_take(&self->base, now_us))
            return p2p__yamux_fail(self, P2P_ELIMIT, YAMUX_PROTOCOL_ERROR,
                                   "the remote opens and resets streams too fast");
        return 0;
    }
    if (self->base.goaway_sent || self->base.goaway_received)
        return refuse(self, f);
    if (self->base.streams_in >= self->base.config.streams_in_max) {
        /* The remote cannot know which of the streams that are over we have freed. */
        if (self->dead_in && !self->told) {
            self->told = true;
            return MUXER_TELL;
        }
        self->base.refused++;
        return refuse(self, f);
    }
    struct yamux_stream *s = p2p__yamux_stream_new(self, f->id, MUXER_NEW);
    if (!s)
        return refuse(self, f);
    p2p__yamux_window_init(s, now_us);
    muxer_make_ready(&s->base);
    *out = s;
    return 0;
}

static void remote_ack(struct yamux *self, struct yamux_stream *s)
{
    /* Whatever the remote says about a stream proves that it knows of it. */
    if (!(s->base.flags & MUXER_OUTBOUND) || (s->base.flags & MUXER_ACKED))
        return;
    s->base.flags |= MUXER_ACKED;
    self->unacked--;
}

/* --- frames */

static int on_data(struct yamux *self, struct yamux_stream *s, const struct frame *f,
                   uint64_t now_us)
{
    self->body_left = f->length;
    self->body_stream = NULL;
    self->body_fin = false;
    if (s && f->length > s->recv_left)
        return forbidden(self, "a body larger than the window");
    int code = 0;
    if (s && (f->flags & YAMUX_RST)) {
        code = remote_reset(self, s, 0, now_us);
        s = NULL;
    } else if (s && f->length && (s->base.flags & MUXER_EOF)) {
        code = break_stream(self, s);
        s = NULL;
    }
    if (code < 0)
        return code;
    if (!s) {
        if (!p2p__yamux_drain_take(self, f->length))
            return p2p__yamux_fail(self, P2P_ELIMIT, YAMUX_PROTOCOL_ERROR,
                                   "too many bytes for streams that do not exist");
        return 0;
    }
    s->recv_left -= f->length;
    if (f->length == 0) {
        if (f->flags & YAMUX_FIN)
            remote_fin(s);
        return 0;
    }
    self->body_stream = s;
    self->body_fin = (f->flags & YAMUX_FIN) != 0;
    return 0;
}

static int on_window(struct yamux *self, struct yamux_stream *s, const struct frame *f,
                     uint64_t now_us)
{
    if (!s)
        return 0;
    /* With RST the length is an error code, not credit. */
    if (f->flags & YAMUX_RST)
        return remote_reset(self, s, f->length, now_us);
    if (f->length > UINT32_MAX - s->send_window)
        return forbidden(self, "a window beyond 32 bits");
    s->send_window += f->length;
    if (f->flags & YAMUX_FIN)
        remote_fin(s);
    p2p__yamux_make_due(s);
    return 0;
}

static int on_ping(struct yamux *self, const struct frame *f, uint64_t now_us)
{
    if (f->id != 0)
        return forbidden(self, "a ping on a stream");
    if (f->flags & YAMUX_ACK) {
        p2p__yamux_pong(self, f->length, now_us);
        return 0;
    }
    if (!(f->flags & YAMUX_SYN) || self->pongs >= YAMUX_PONGS_MAX)
        return 0;
    self->pongs++;
    return p2p__yamux_control(self, YAMUX_PING, YAMUX_ACK, 0, f->length);
}

static int on_goaway(struct yamux *self, const struct frame *f)
{
    if (!self->base.goaway_received)
        self->base.remote_code = f->length;
    self->base.goaway_received = true;
    return 0;
}

static int on_stream_frame(struct yamux *self, const struct frame *f, uint64_t now_us)
{
    if (f->id == 0)
        return forbidden(self, "a stream without an id");
    struct yamux_stream *s = NULL;
    if (f->flags & YAMUX_SYN) {
        int code = remote_syn(self, f, now_us, &s);
        if (code != 0)
            return code;
    } else {
        s = p2p__yamux_find(self, f->id);
        if (s)
            remote_ack(self, s);
    }
    return f->type == YAMUX_DATA ? on_data(self, s, f, now_us) : on_window(self, s, f, now_us);
}

/* 0, MUXER_TELL with nothing done, or the error that ends the connection. */
static int on_frame(struct yamux *self, const struct frame *f, uint64_t now_us)
{
    if (f->version != 0)
        return forbidden(self, "an unknown version of yamux");
    switch (f->type) {
    case YAMUX_DATA:
    case YAMUX_WINDOW:
        return on_stream_frame(self, f, now_us);
    case YAMUX_PING:
        return on_ping(self, f, now_us);
    case YAMUX_GOAWAY:
        return on_goaway(self, f);
    default:
        return forbidden(self, "an unknown type of frame");
    }
}

/* What `in` holds of the body. 0, MUXER_TELL, or the error that ends the connection. */
static int take_body(struct yamux *self, struct buf *in, uint64_t now_us)
{
    struct yamux_stream *s = self->body_stream;
    size_t n = buf_len(in) < self->body_left ? buf_len(in) : self->body_left;
    if (s && s->stopped) {
        p2p__yamux_credit(s, n, now_us);
        p2p__yamux_make_due(s);
    } else if (s) {
        size_t held = buf_borrowed(&s->base.in) ? buf_len(&s->base.in) : 0;
        /* Joining the two would copy both. */
        if (held && held + n >= YAMUX_COPY_BELOW && !self->told) {
            self->told = true;
            return MUXER_TELL;
        }
        if (p2p__buf_join(&s->base.in, self->base.config.pool, buf_data_mut(in), n, 0) < 0)
            return p2p__yamux_fail(self, P2P_ENOMEM, YAMUX_INTERNAL_ERROR, "out of memory");
        s->base.flags |= MUXER_READABLE;
        muxer_make_ready(&s->base);
    }
    buf_consume(in, n);
    self->told = false;
    self->body_left -= (uint32_t)n;
    if (self->body_left == 0 && self->body_stream) {
        self->body_stream = NULL;
        if (self->body_fin)
            remote_fin(s);
    }
    return 0;
}

static int parse(struct yamux *self, struct buf *in, uint64_t now_us)
{
    for (;;) {
        int code;
        if (self->body_left) {
            if (buf_len(in) == 0)
                return STEP_WANT_INPUT;
            code = take_body(self, in, now_us);
        } else {
            if (buf_len(in) < YAMUX_HEADER)
                return STEP_WANT_INPUT;
            /* So many replies: they should leave before more of them are caused. */
            if (outq_len(&self->control) >= YAMUX_CONTROL_MAX / 2 && !self->control_told) {
                self->control_told = true;
                return MUXER_TELL;
            }
            struct frame f = frame_decode(buf_data(in));
            code = on_frame(self, &f, now_us);
            if (code == 0) {
                buf_consume(in, YAMUX_HEADER);
                self->told = false;
            }
        }
        if (code != 0)
            return code;
    }
}

int p2p__yamux_pump_in(struct muxer *base, struct buf *in, uint64_t now_us)
{
    struct yamux *self = (struct yamux *)base;
    if (self->failed)
        return self->failed;
    size_t before = buf_len(in);
    int code = parse(self, in, now_us);
    if (buf_len(in) < before)
        p2p__yamux_heard(self, now_us);
    return self->failed ? self->failed : code;
}
