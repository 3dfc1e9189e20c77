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
    return p2p__framed_fail(&self->framed, P2P_EPROTO, error);
}

/* --- the ends of a stream, as the remote brings them about */

static void remote_fin(struct yamux_stream *s)
{
    s->base.flags &= ~(uint32_t)YAMUX_CREDIT_DUE;
    p2p__framed_remote_end(&s->framed);
}

static int remote_reset(struct yamux_stream *s, uint32_t code, uint64_t now_us)
{
    s->base.remote_code = code;
    return p2p__framed_remote_reset(&s->framed, now_us);
}

/* --- opening */

static int refuse(struct yamux *self, const struct frame *f)
{
    /* Until it hears of the reset the remote may fill the window that it believes to have. */
    p2p__yamux_drain_allow(self, YAMUX_INITIAL_WINDOW);
    return p2p__yamux_send_reset(self, f->id, 0);
}

/* The role tells whose a stream is. */
static struct yamux_stream *find(const struct yamux *self, uint32_t id)
{
    bool outbound = (id % 2 == 1) == self->base.config.initiator;
    return (struct yamux_stream *)p2p__framed_find(&self->framed, id, outbound);
}

/* *out stays NULL for a stream that is not to be. */
static int remote_syn(struct yamux *self, const struct frame *f, uint64_t now_us,
                      struct yamux_stream **out)
{
    if ((f->id % 2 == 1) == self->base.config.initiator)
        return forbidden(self, "a stream id that is ours to give");
    if (find(self, f->id))
        return forbidden(self, "a stream id that is in use");
    if (f->type == YAMUX_DATA && f->length > YAMUX_INITIAL_WINDOW)
        return forbidden(self, "a first body larger than the window");
    if (f->flags & YAMUX_RST)
        return p2p__framed_reset_take(&self->framed, now_us);
    if (self->base.goaway_sent || self->base.goaway_received)
        return refuse(self, f);
    if (self->base.streams_in >= self->base.config.streams_in_max) {
        /* The remote cannot know which of the streams that are over we have freed. */
        if (self->framed.dead_in && !self->framed.told) {
            self->framed.told = true;
            return MUXER_TELL;
        }
        self->base.refused++;
        return refuse(self, f);
    }
    struct yamux_stream *s = p2p__yamux_stream_new(self, f->id, MUXER_NEW, now_us);
    if (!s)
        return refuse(self, f);
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
    self->framed.unacked--;
}

/* --- frames */

static int on_data(struct yamux *self, struct yamux_stream *s, const struct frame *f,
                   uint64_t now_us)
{
    self->framed.body_left = f->length;
    self->framed.body_stream = NULL;
    self->body_fin = false;
    if (s && f->length > s->recv_left)
        return forbidden(self, "a body larger than the window");
    int code = 0;
    if (s && (f->flags & YAMUX_RST)) {
        code = remote_reset(s, 0, now_us);
        s = NULL;
    } else if (s && f->length && (s->base.flags & MUXER_EOF)) {
        code = p2p__framed_break(&s->framed, 0);
        s = NULL;
    }
    if (code < 0)
        return code;
    if (!s) {
        if (!p2p__yamux_drain_take(self, f->length))
            return p2p__framed_fail(&self->framed, P2P_ELIMIT,
                                    "too many bytes for streams that do not exist");
        return 0;
    }
    s->recv_left -= f->length;
    if (f->length == 0) {
        if (f->flags & YAMUX_FIN)
            remote_fin(s);
        return 0;
    }
    self->framed.body_stream = &s->framed;
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
        return remote_reset(s, f->length, now_us);
    if (f->length > UINT32_MAX - s->send_window)
        return forbidden(self, "a window beyond 32 bits");
    s->send_window += f->length;
    if (f->flags & YAMUX_FIN)
        remote_fin(s);
    p2p__framed_make_due(&s->framed);
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
        s = find(self, f->id);
        if (s)
            remote_ack(self, s);
    }
    return f->type == YAMUX_DATA ? on_data(self, s, f, now_us) : on_window(self, s, f, now_us);
}

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

static int take_frame(struct framed *framed, struct buf *in, uint64_t now_us)
{
    if (buf_len(in) < YAMUX_HEADER)
        return STEP_WANT_INPUT;
    if (p2p__framed_backlog(framed))
        return MUXER_TELL;
    struct frame f = frame_decode(buf_data(in));
    int code = on_frame((struct yamux *)framed, &f, now_us);
    if (code != 0)
        return code;
    buf_consume(in, YAMUX_HEADER);
    framed->told = false;
    return 0;
}

static int take_body(struct framed *framed, struct buf *in, uint64_t now_us)
{
    struct yamux_stream *s = (struct yamux_stream *)framed->body_stream;
    size_t n = framed_body_len(framed, in);
    if (s && (s->base.flags & FRAMED_STOPPED)) {
        p2p__yamux_credit(s, n, now_us);
        p2p__framed_make_due(&s->framed);
    } else if (s) {
        int code = p2p__framed_lend(&s->framed, in, n);
        if (code != 0)
            return code;
    }
    framed_body_done(framed, in, n);
    if (s && framed->body_left == 0 && ((struct yamux *)framed)->body_fin)
        remote_fin(s);
    return 0;
}

int p2p__yamux_pump_in(struct muxer *base, struct buf *in, uint64_t now_us)
{
    size_t before = buf_len(in);
    int code = framed_pump_in((struct framed *)base, in, now_us, take_frame, take_body);
    if (buf_len(in) < before)
        p2p__yamux_heard((struct yamux *)base, now_us);
    return code;
}
