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
    return p2p__mplex_fail(self, P2P_EPROTO, error);
}

/* --- the ends of a stream, as the remote brings them about */

static void remote_close(struct mplex_stream *s)
{
    if (s->base.flags & MUXER_EOF)
        return;
    s->base.flags |= MUXER_EOF;
    if (s->base.flags & MUXER_FIN_SENT)
        p2p__mplex_stream_over(s);
    muxer_make_ready(&s->base);
}

static int remote_reset(struct mplex *self, struct mplex_stream *s, uint64_t now_us)
{
    /* Work that was thrown away makes a rapid reset; after an answer it is how some hang up. */
    bool rapid = !(s->base.flags & (MUXER_OUTBOUND | MUXER_FIN_SENT)) && !s->answered;
    s->base.flags |= MUXER_RESET;
    p2p__mplex_stream_over(s);
    p2p__outq_fini(&s->base.out, self->base.config.pool);
    /* What a Close completed stays readable. */
    if (!(s->base.flags & MUXER_EOF))
        p2p__buf_fini(&s->base.in, self->base.config.pool);
    muxer_make_ready(&s->base);
    if (rapid && !muxer_reset_take(&self->base, now_us))
        return p2p__mplex_fail(self, P2P_ELIMIT, "the remote opens and resets streams too fast");
    return 0;
}

/* That stream ends for a fault of its own, both sides learn of it. */
static int break_stream(struct mplex *self, struct mplex_stream *s, uint32_t why)
{
    s->base.flags |= MUXER_RESET | MUXER_RESET_SENT | why;
    p2p__mplex_stream_over(s);
    p2p__outq_fini(&s->base.out, self->base.config.pool);
    if (!(s->base.flags & MUXER_EOF))
        p2p__buf_fini(&s->base.in, self->base.config.pool);
    muxer_make_ready(&s->base);
    return p2p__mplex_send_reset(self, s->base.id, (s->base.flags & MUXER_OUTBOUND) != 0);
}

/* --- frames */

/* The name in the body is for debugging only (spec, "Opening a new stream"): nobody keeps it. */
static int on_new_stream(struct mplex *self, const struct frame *f)
{
    if (p2p__mplex_find(self, f->id, false))
        return forbidden(self, "a stream id that is in use");
    struct mplex_stream *s = NULL;
    bool full = self->base.streams_in >= self->base.config.streams_in_max;
    /* The remote cannot know which of the streams that are over we have freed. */
    if (full && self->dead_in && !self->base.goaway_sent && !self->told) {
        self->told = true;
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
    struct mplex_stream *s = p2p__mplex_find(self, f->id, outbound);
    /* A remote that has not heard of our reset goes on, without limit, as the protocol has no
     * credit: what it says is discarded, and costs nobody else. */
    if (!s || s->announce)
        return 0;
    switch (f->flag - !outbound) {
    case MPLEX_MESSAGE:
        if (f->length == 0)
            return 0;
        if (s->base.flags & MUXER_EOF)
            return break_stream(self, s, 0);
        self->body_stream = s;
        return 0;
    case MPLEX_CLOSE:
        remote_close(s);
        return 0;
    default:
        return remote_reset(self, s, now_us);
    }
}

/* 0, MUXER_TELL with nothing done, or the error that ends the connection. */
static int on_frame(struct mplex *self, const struct frame *f, uint64_t now_us)
{
    self->body_stream = NULL;
    int code =
        f->flag == MPLEX_NEW_STREAM ? on_new_stream(self, f) : on_stream_frame(self, f, now_us);
    /* Only messages have a use for it; the spec wants the others' bodies empty. */
    if (code == 0)
        self->body_left = f->length;
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

/* What `in` holds of the body. 0, MUXER_TELL, or the error that ends the connection. */
static int take_body(struct mplex *self, struct buf *in)
{
    struct mplex_stream *s = self->body_stream;
    size_t n = buf_len(in) < self->body_left ? buf_len(in) : self->body_left;
    if (s && !s->stopped) {
        size_t held = buf_borrowed(&s->base.in) ? buf_len(&s->base.in) : 0;
        bool over = n > buf_room(&s->base.in);
        /* Joining the two would copy both; and nobody is too slow who was not told. */
        if ((over || (held && held + n >= MPLEX_COPY_BELOW)) && !self->told) {
            self->told = true;
            return MUXER_TELL;
        }
        if (over) {
            self->told = false;
            return break_stream(self, s, MUXER_OVERRUN);
        }
        if (p2p__buf_join(&s->base.in, self->base.config.pool, buf_data_mut(in), n, 0) < 0)
            return p2p__mplex_fail(self, P2P_ENOMEM, "out of memory");
        s->base.flags |= MUXER_READABLE;
        muxer_make_ready(&s->base);
    }
    buf_consume(in, n);
    self->told = false;
    self->body_left -= (uint32_t)n;
    if (self->body_left == 0)
        self->body_stream = NULL;
    return 0;
}

static int parse(struct mplex *self, struct buf *in, uint64_t now_us)
{
    for (;;) {
        struct frame f = {0};
        int code;
        if (self->body_left) {
            if (buf_len(in) == 0)
                return STEP_WANT_INPUT;
            code = take_body(self, in);
        } else {
            code = frame_decode(self, in, &f);
            /* So many resets: they should leave before more of them are caused. */
            if (code == 0 && outq_len(&self->control) >= MPLEX_CONTROL_MAX / 2 &&
                !self->control_told) {
                self->control_told = true;
                return MUXER_TELL;
            }
            if (code == 0)
                code = on_frame(self, &f, now_us);
            if (code == 0) {
                buf_consume(in, f.header_len);
                self->told = false;
            }
        }
        if (code != 0)
            return code;
    }
}

int p2p__mplex_pump_in(struct muxer *base, struct buf *in, uint64_t now_us)
{
    struct mplex *self = (struct mplex *)base;
    if (self->failed)
        return self->failed;
    int code = parse(self, in, now_us);
    return self->failed ? self->failed : code;
}
