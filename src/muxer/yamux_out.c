/* The frames that leave, and their order. */
#include "muxer/yamux.h"

#include <p2p/error.h>

#include "muxer/framed_write.h"

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

void p2p__yamux_header(uint8_t out[YAMUX_HEADER], enum yamux_type type, uint32_t flags, uint32_t id,
                       uint32_t length)
{
    out[0] = 0;
    out[1] = (uint8_t)type;
    out[2] = (uint8_t)(flags >> 8);
    out[3] = (uint8_t)flags;
    put_u32(out + 4, id);
    put_u32(out + 8, length);
}

int p2p__yamux_control(struct yamux *self, enum yamux_type type, uint32_t flags, uint32_t id,
                       uint32_t length)
{
    uint8_t header[YAMUX_HEADER];
    p2p__yamux_header(header, type, flags, id, length);
    return p2p__framed_control(&self->framed, header, sizeof(header));
}

/* --- what a stream can send now */

static size_t body_due(const struct yamux_stream *s)
{
    size_t n = outq_unsent(&s->base.out);
    return n < s->send_window ? n : s->send_window;
}

static enum framed_due due(const struct framed_stream *framed)
{
    const struct yamux_stream *s = (const struct yamux_stream *)framed;
    uint32_t flags = s->base.flags;
    if (flags & MUXER_DONE)
        return FRAMED_NOT_DUE;
    /* Credit goes first: a remote that waits for it is idle. */
    if (flags & YAMUX_CREDIT_DUE)
        return FRAMED_DUE_FIRST;
    bool announce = (flags & FRAMED_ANNOUNCE) && (flags & (MUXER_OUTBOUND | YAMUX_ACK_DUE));
    return announce || body_due(s) || framed_end_due(framed) ? FRAMED_DUE : FRAMED_NOT_DUE;
}

/* --- pieces */

static bool write_header(struct framed_writer *w, enum yamux_type type, uint32_t flags, uint32_t id,
                         uint32_t length)
{
    uint8_t *at = framed_room(w, YAMUX_HEADER);
    if (at)
        p2p__yamux_header(at, type, flags, id, length);
    return at != NULL;
}

static void write_ping(struct yamux *self, struct framed_writer *w)
{
    if (!self->ping_due || !write_header(w, YAMUX_PING, YAMUX_SYN, 0, self->ping_nonce))
        return;
    self->ping_due = false;
    self->ping_waiting = true;
    self->ping_us = w->now_us;
}

static uint32_t goaway_code(const struct yamux *self)
{
    switch (self->framed.failed) {
    case 0:
        return self->goaway_code;
    case P2P_EPROTO:
    case P2P_ELIMIT:
        return YAMUX_PROTOCOL_ERROR;
    default:
        return YAMUX_INTERNAL_ERROR;
    }
}

static void write_goaway(struct yamux *self, struct framed_writer *w)
{
    if (w->room - w->bytes < YAMUX_HEADER || w->count == w->iov_cap)
        return;
    p2p__yamux_header(self->farewell, YAMUX_GOAWAY, 0, 0, goaway_code(self));
    w->iov[w->count++] = (struct iov){self->farewell, YAMUX_HEADER};
    w->bytes += YAMUX_HEADER;
    self->framed.goaway_due = false;
}

/* --- streams */

/* SYN, ACK and credit share one frame. false: no room. */
static bool write_window(struct yamux_stream *s, struct framed_writer *w)
{
    bool announce = framed_announces(&s->framed), credit_due = s->base.flags & YAMUX_CREDIT_DUE;
    bool outbound = framed_outbound(&s->framed);
    /* Any frame of the stream is an occasion for its ACK. */
    if (!announce && !credit_due)
        return true;
    uint32_t flags = !announce ? 0 : outbound ? YAMUX_SYN : YAMUX_ACK;
    uint32_t credit = credit_due ? s->owed : 0;
    if (!write_header(w, YAMUX_WINDOW, flags, (uint32_t)s->base.id, credit))
        return false;
    s->recv_left += credit;
    s->owed -= credit;
    if (announce && outbound)
        s->credit_us = w->now_us;
    s->base.flags &= ~(uint32_t)(FRAMED_ANNOUNCE | YAMUX_ACK_DUE | YAMUX_CREDIT_DUE);
    return true;
}

static size_t body_header(const struct framed_stream *s, uint8_t *out, size_t len)
{
    p2p__yamux_header(out, YAMUX_DATA, 0, (uint32_t)s->base.id, (uint32_t)len);
    return YAMUX_HEADER;
}

static bool write_body(struct yamux_stream *s, struct framed_writer *w, bool alone)
{
    size_t before = outq_unsent(&s->base.out);
    bool written = framed_write_body(&p2p__yamux_frames, &s->framed, w, body_due(s), alone);
    s->send_window -= (uint32_t)(before - outq_unsent(&s->base.out));
    return written;
}

/* FIN has a frame of its own: js-libp2p looks at the flags first and may drop a body with it. */
static bool write_fin(struct yamux_stream *s, struct framed_writer *w)
{
    if (!framed_end_due(&s->framed))
        return true;
    if (!write_header(w, YAMUX_WINDOW, YAMUX_FIN, (uint32_t)s->base.id, 0))
        return false;
    p2p__framed_ended(&s->framed);
    return true;
}

static bool write_stream(struct framed_stream *framed, struct framed_writer *w, bool alone)
{
    struct yamux_stream *s = (struct yamux_stream *)framed;
    return write_window(s, w) && write_body(s, w, alone) && write_fin(s, w);
}

static int send_reset(struct framed_stream *framed, uint32_t code)
{
    struct yamux_stream *s = (struct yamux_stream *)framed;
    struct yamux *self = yamux_of(s);
    if (!(s->base.flags & MUXER_EOF))
        p2p__yamux_drain_allow(self, s->recv_left);
    return p2p__yamux_send_reset(self, (uint32_t)s->base.id, code);
}

const struct framed_ops p2p__yamux_frames = {
    .due = due,
    .write = write_stream,
    .body_header = body_header,
    .send_reset = send_reset,
};

/* --- one pump */

static void write_due(struct yamux *self, struct framed_writer *w)
{
    /* Whole frames only: a farewell may follow. */
    if (!p2p__framed_write_control(w, YAMUX_HEADER))
        return;
    write_ping(self, w);
    /* Deployed ones drop everything at a go-away: a normal one must come after what is due, one
     * with an error must not wait. */
    if (self->framed.goaway_due && self->goaway_code != YAMUX_NORMAL)
        write_goaway(self, w);
    framed_write_streams(&p2p__yamux_frames, w);
    if (self->framed.goaway_due && list_empty(&self->base.due))
        write_goaway(self, w);
}

size_t p2p__yamux_pump_out(struct muxer *base, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes)
{
    struct yamux *self = (struct yamux *)base;
    struct framed_writer w;
    bool idle = outq_len(&self->framed.control) == 0 && !self->ping_due && list_empty(&base->due);
    p2p__framed_begin(&self->framed, &w, iov, iov_cap, max_bytes, now_us);
    if (!self->framed.failed && !idle)
        p2p__framed_stage(&self->framed);
    if (!self->framed.failed)
        write_due(self, &w);
    else if (self->framed.goaway_due)
        write_goaway(self, &w);
    return p2p__framed_end(&w, bytes);
}

void p2p__yamux_sent(struct muxer *base)
{
    struct yamux *self = (struct yamux *)base;
    p2p__framed_sent(base);
    if (outq_len(&self->framed.control) == 0)
        self->pongs = 0;
}
