/* The parser: whole headers, each judged before its body; bodies stream through. */
#include "muxer/mplex.h"

#include <p2p/error.h>

#include "codec/varint.h"

enum {
    FLAG_BITS = 3,
};

struct frame {
    uint64_t id;
    uint32_t flag, length;
    size_t header_len;
};

static int forbidden(struct mplex *self, const char *error)
{
    return p2p__framed_fail(&self->framed, P2P_EPROTO, error);
}

/* The name in the body is for debugging only (spec, "Opening a new stream"): nobody keeps it. */
static int on_new_stream(struct mplex *self, const struct frame *f)
{
    if (p2p__framed_find(&self->framed, f->id, false))
        return forbidden(self, "a stream id that is in use");
    struct framed_stream *s = NULL;
    bool full = self->base.streams_in >= self->base.config.streams_in_max;
    /* The remote cannot know which of the streams that are over we have freed. */
    if (full && self->framed.dead_in && !self->base.goaway_sent && !self->framed.told) {
        self->framed.told = true;
        return MUXER_TELL;
    }
    self->base.refused += full;
    if (!full && !self->base.goaway_sent)
        s = p2p__mplex_stream_new(self, f->id, MUXER_NEW);
    if (!s)
        return p2p__mplex_send_reset(self, f->id, false);
    muxer_make_ready(&s->base);
    return 0;
}

static int on_stream_frame(struct mplex *self, const struct frame *f, uint64_t now_us)
{
    bool outbound = f->flag % 2 == 1;
    struct framed_stream *s = p2p__framed_find(&self->framed, f->id, outbound);
    /* A remote that has not heard of our reset goes on, without limit, as the protocol has no
     * credit: what it says is discarded, and costs nobody else. */
    if (!s || framed_announces(s))
        return 0;
    switch (f->flag - !outbound) {
    case MPLEX_MESSAGE:
        if (f->length == 0)
            return 0;
        if (s->base.flags & MUXER_EOF)
            return p2p__framed_break(s, 0);
        self->framed.body_stream = s;
        return 0;
    case MPLEX_CLOSE:
        p2p__framed_remote_end(s);
        return 0;
    default:
        return p2p__framed_remote_reset(s, now_us);
    }
}

static int on_frame(struct mplex *self, const struct frame *f, uint64_t now_us)
{
    self->framed.body_stream = NULL;
    int code =
        f->flag == MPLEX_NEW_STREAM ? on_new_stream(self, f) : on_stream_frame(self, f, now_us);
    /* Only messages have a use for it; the spec wants the others' bodies empty. */
    if (code == 0)
        self->framed.body_left = f->length;
    return code;
}

/* 0, STEP_WANT_INPUT, or the error that ends the connection. */
static int frame_decode(struct mplex *self, const struct buf *in, struct frame *f)
{
    const uint8_t *at = buf_data(in);
    size_t len = buf_len(in);
    uint64_t header = 0, length = 0;
    int id_len = len ? p2p__varint_decode(at, len, &header) : 0;
    if (id_len < 0)
        return forbidden(self, "a malformed header");
    if (id_len == 0)
        return STEP_WANT_INPUT;
    f->flag = header & ((1u << FLAG_BITS) - 1);
    f->id = header >> FLAG_BITS;
    if (f->flag > MPLEX_FLAG_MAX)
        return forbidden(self, "an unknown flag");
    int length_len = p2p__varint_decode(at + id_len, len - (size_t)id_len, &length);
    if (length_len < 0 || length > MPLEX_LENGTH_MAX)
        return forbidden(self, "a message larger than the spec allows");
    if (length_len == 0)
        return STEP_WANT_INPUT;
    f->length = (uint32_t)length;
    f->header_len = (size_t)id_len + (size_t)length_len;
    return 0;
}

static int take_frame(struct framed *framed, struct buf *in, uint64_t now_us)
{
    struct mplex *self = (struct mplex *)framed;
    struct frame f = {0};
    int code = frame_decode(self, in, &f);
    if (code == 0 && p2p__framed_backlog(framed))
        return MUXER_TELL;
    if (code == 0)
        code = on_frame(self, &f, now_us);
    if (code != 0)
        return code;
    buf_consume(in, f.header_len);
    framed->told = false;
    return 0;
}

static int take_body(struct framed *framed, struct buf *in, uint64_t now_us)
{
    struct framed_stream *s = framed->body_stream;
    size_t n = framed_body_len(framed, in);
    (void)now_us;
    if (s && !(s->base.flags & FRAMED_STOPPED)) {
        int code = MUXER_TELL;
        bool over = n > buf_room(&s->base.in);
        if (!over) {
            code = p2p__framed_lend(s, in, n);
        } else if (framed->told) {
            framed->told = false;
            code = p2p__framed_break(s, MUXER_OVERRUN);
        } else {
            /* Nobody is too slow who was not told. */
            framed->told = true;
        }
        if (code != 0 || over)
            return code;
    }
    framed_body_done(framed, in, n);
    return 0;
}

int p2p__mplex_pump_in(struct muxer *base, struct buf *in, uint64_t now_us)
{
    return framed_pump_in((struct framed *)base, in, now_us, take_frame, take_body);
}
