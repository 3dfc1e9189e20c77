/* A session that the fuzzer's bytes describe: frames from the remote, whole, wild or in pieces,
 * between local calls. What is the muxer's own comes from its target. */
#ifndef P2P_FUZZ_MUXER_SESSION_H
#define P2P_FUZZ_MUXER_SESSION_H

#include "muxer/framed.h"

#include "../../tests/muxer_pair.h"
#include "../script.h"

enum {
    STEPS_MAX = 2000,
};

/* What the remote has heard of our low ids: frames must not come from nowhere or after the end. */
struct heard {
    bool known[64], fin[64], over[64];
    bool goaway;
};

/* Of the muxer's own, defined by each target. */
static void feed_header(struct side *, struct script *);
/* Sends at most max bytes; all that leaves is well-formed and in an order that the spec allows. */
static void send_and_check(struct side *, struct heard *, size_t max);
static void check_time(struct side *);
static void own_call(struct side *);
static void check_all(const struct side *);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The counters that every framed muxer keeps. */
static void check_counters(const struct side *side)
{
    const struct framed *m = (const struct framed *)side->muxer;
    uint32_t in = 0, out = 0, dead = 0, live = 0, unacked = 0;
    const struct list *at = m->base.streams.next;
    for (; at != &m->base.streams; at = at->next) {
        const struct framed_stream *s = P2P__CONTAINER(at, struct framed_stream, base.all);
        uint32_t flags = s->base.flags;
        bool over = flags & MUXER_DONE, ours = flags & MUXER_OUTBOUND;
        check(!((flags & FRAMED_STOPPED) && buf_len(&s->base.in)));
        check(!(flags & FRAMED_IN_FLIGHT) && s->base.out.unacked == 0);
        check(!(flags & MUXER_RESET) || over);
        check((flags & (MUXER_EOF | MUXER_FIN_SENT)) != (MUXER_EOF | MUXER_FIN_SENT) || over);
        check(m->body_stream != s || !(flags & (MUXER_DONE | MUXER_EOF)));
        check(over || p2p__framed_find(m, s->base.id, ours) == s);
        in += !ours;
        out += ours;
        live += !over;
        dead += over && !ours;
        unacked += ours && !over && !(flags & MUXER_ACKED);
    }
    check(in == m->base.streams_in && out == m->base.streams_out && live == m->ids.count);
    check(dead == m->dead_in && unacked == m->unacked && in <= m->base.config.streams_in_max);
    check(!m->body_stream || m->body_left);
    check(outq_len(&m->control) <= FRAMED_CONTROL_MAX && !m->stage && !m->flight);
    check((m->failed == 0) == (m->base.error == NULL));
}

static void feed_body(struct side *side, size_t n)
{
    uint8_t *bytes = calloc(1, SIDE_SCRATCH);
    check(bytes != NULL);
    for (; n > 0; n -= n < SIDE_SCRATCH ? n : SIDE_SCRATCH)
        side_feed(side, bytes, n < SIDE_SCRATCH ? n : SIDE_SCRATCH);
    free(bytes);
}

static void feed_raw(struct side *side, struct script *in)
{
    size_t n = script_next(in, 1);
    n = n < in->left ? n : in->left;
    side_feed(side, in->at, n);
    in->at += n;
    in->left -= n;
}

static struct muxer_stream *pick(struct side *side, uint32_t nth)
{
    struct list *at = side->muxer->streams.next;
    for (nth %= 8; at != &side->muxer->streams; at = at->next, nth--)
        if (nth == 0)
            return P2P__CONTAINER(at, struct muxer_stream, all);
    return NULL;
}

static void stream_call(struct side *side, struct muxer_stream *s, uint32_t call, uint32_t n)
{
    const struct muxer_ops *ops = side->muxer->ops;
    switch (call % 6) {
    case 0:
        if (!(s->flags & (MUXER_FIN_WANTED | MUXER_DONE)))
            side_write(side, s, n * 16);
        break;
    case 1:
        ops->close_write(s);
        break;
    case 2:
        ops->reset(s, n);
        break;
    case 3:
        ops->stop(s);
        break;
    case 4:
        ops->stream_free(s);
        break;
    default:
        side_read(side, s, n * 16);
    }
}

static void step(struct side *side, struct script *in, struct heard *heard)
{
    struct muxer_stream *s;
    uint32_t op = script_next(in, 1);
    int code = 0;
    switch (op % 12) {
    case 0:
        feed_raw(side, in);
        break;
    case 1:
    case 2:
    case 3:
        feed_header(side, in);
        break;
    case 4:
        feed_body(side, script_next(in, 2));
        break;
    case 5:
        check(side_open(side, &code) || code < 0);
        break;
    case 6:
    case 7:
        s = pick(side, script_next(in, 1));
        code = (int)script_next(in, 1);
        if (s)
            stream_call(side, s, (uint32_t)code, script_next(in, 2));
        break;
    case 8:
        send_and_check(side, heard, MUXER_OUT_BYTES_MIN + script_next(in, 3) % SIDE_OUT);
        break;
    case 9:
        side->now_us += script_next(in, 3) * 16;
        check_time(side);
        break;
    case 10:
        side->hold = !side->hold;
        break;
    default:
        if (op / 12 == 0)
            side->muxer->ops->goaway(side->muxer, script_next(in, 1));
        else
            own_call(side);
    }
}

/* At the end: nothing leaks. */
static void session(struct side *side, struct script *in)
{
    struct heard heard = {0};
    for (int i = 0; i < STEPS_MAX && in->left > 0; i++) {
        step(side, in, &heard);
        check_all(side);
    }
    send_and_check(side, &heard, SIDE_OUT);
    check(side_fini(side));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
