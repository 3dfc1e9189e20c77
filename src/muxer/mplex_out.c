/* The frames that leave. */
#include "muxer/mplex.h"

#include <string.h>

#include "codec/varint.h"
#include "muxer/framed_write.h"

enum {
    FLAG_BITS = 3,
};

size_t p2p__mplex_header(uint8_t *out, uint64_t id, uint32_t flag, size_t length)
{
    size_t n = p2p__varint_encode(id << FLAG_BITS | flag, out);
    return n + p2p__varint_encode(length, out + n);
}

int p2p__mplex_send_reset(struct mplex *self, uint64_t id, bool outbound)
{
    uint8_t header[FRAMED_HEADER_MAX];
    size_t n =
        p2p__mplex_header(header, id, outbound ? MPLEX_RESET + MPLEX_BY_INITIATOR : MPLEX_RESET, 0);
    return p2p__framed_control(&self->framed, header, n);
}

static enum framed_due due(const struct framed_stream *s)
{
    bool any = !(s->base.flags & MUXER_DONE) &&
               (framed_announces(s) || outq_unsent(&s->base.out) || framed_end_due(s));
    return any ? FRAMED_DUE : FRAMED_NOT_DUE;
}

static uint32_t flag_of(const struct framed_stream *s, enum mplex_flag flag)
{
    return (uint32_t)flag + (framed_outbound(s) ? MPLEX_BY_INITIATOR : 0);
}

static size_t body_header(const struct framed_stream *s, uint8_t *out, size_t len)
{
    return p2p__mplex_header(out, s->base.id, flag_of(s, MPLEX_MESSAGE), len);
}

static bool write_header(struct framed_writer *w, uint64_t id, uint32_t flag)
{
    uint8_t header[FRAMED_HEADER_MAX];
    size_t n = p2p__mplex_header(header, id, flag, 0);
    uint8_t *at = framed_room(w, n);
    if (at)
        memcpy(at, header, n);
    return at != NULL;
}

/* The name stays empty, as the spec allows. false: no room. */
static bool write_new_stream(struct framed_stream *s, struct framed_writer *w)
{
    if (framed_announces(s) && !write_header(w, s->base.id, MPLEX_NEW_STREAM))
        return false;
    s->base.flags &= ~(uint32_t)FRAMED_ANNOUNCE;
    return true;
}

static bool write_close(struct framed_stream *s, struct framed_writer *w)
{
    if (!framed_end_due(s))
        return true;
    if (!write_header(w, s->base.id, flag_of(s, MPLEX_CLOSE)))
        return false;
    p2p__framed_ended(s);
    return true;
}

static bool write_stream(struct framed_stream *s, struct framed_writer *w, bool alone)
{
    return write_new_stream(s, w) &&
           framed_write_body(&p2p__mplex_frames, s, w, outq_unsent(&s->base.out), alone) &&
           write_close(s, w);
}

/* A reset carries no code on the wire. */
static int send_reset(struct framed_stream *s, uint32_t code)
{
    (void)code;
    return p2p__mplex_send_reset((struct mplex *)s->base.muxer, s->base.id, framed_outbound(s));
}

const struct framed_ops p2p__mplex_frames = {
    .due = due,
    .write = write_stream,
    .body_header = body_header,
    .send_reset = send_reset,
};

size_t p2p__mplex_pump_out(struct muxer *base, struct iov *iov, size_t iov_cap, size_t max_bytes,
                           uint64_t now_us, size_t *bytes)
{
    struct framed *self = (struct framed *)base;
    struct framed_writer w;
    *bytes = 0;
    if (self->failed || (outq_len(&self->control) == 0 && list_empty(&base->due)))
        return 0;
    p2p__framed_begin(self, &w, iov, iov_cap, max_bytes, now_us);
    p2p__framed_stage(self);
    /* Resets may be cut anywhere: nothing else leaves before the rest has. */
    if (!self->failed && p2p__framed_write_control(&w, 1))
        framed_write_streams(&p2p__mplex_frames, &w);
    return p2p__framed_end(&w, bytes);
}
