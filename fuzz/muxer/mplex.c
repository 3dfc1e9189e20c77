/* A session: frames from the remote, whole, wild or in pieces, between local calls, both taken from
 * the input. Held after every step: counters add up and nothing is kept beyond its limit; what
 * leaves is well-formed and in an order that the spec allows; at the end: nothing leaks. */
#include "muxer/mplex.h"

#include "../../tests/muxer_pair.h"
#include "codec/varint.h"

enum {
    STEPS_MAX = 2000,
    IDS = 16, /* of the crafted frames: few, so that they meet streams that exist */
};

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *in, size_t n)
{
    uint32_t value = 0;
    for (; n > 0 && in->left > 0; n--, in->left--)
        value = value << 8 | *in->at++;
    return value;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_stream(const struct mplex *m, const struct mplex_stream *s)
{
    uint32_t flags = s->base.flags;
    check(buf_len(&s->base.in) <= MPLEX_UNREAD_MAX);
    check(!(s->stopped && buf_len(&s->base.in)));
    check(!s->in_flight && s->base.out.unacked == 0);
    check(!(flags & MUXER_RESET) || (flags & MUXER_DONE));
    check(!(flags & MUXER_OVERRUN) || (flags & MUXER_RESET_SENT));
    check((flags & (MUXER_EOF | MUXER_FIN_SENT)) != (MUXER_EOF | MUXER_FIN_SENT) ||
          (flags & MUXER_DONE));
    check(m->body_stream != s || !(flags & (MUXER_DONE | MUXER_EOF)));
    if (!(flags & MUXER_DONE))
        check(p2p__mplex_find(m, s->base.id, flags & MUXER_OUTBOUND) == s);
}

static void check_all(const struct side *side)
{
    const struct mplex *m = (const struct mplex *)side->muxer;
    uint32_t in = 0, out = 0, dead = 0, live = 0;
    const struct list *at = m->base.streams.next;
    for (; at != &m->base.streams; at = at->next) {
        const struct mplex_stream *s = P2P__CONTAINER(at, struct mplex_stream, base.all);
        bool over = s->base.flags & MUXER_DONE, ours = s->base.flags & MUXER_OUTBOUND;
        check_stream(m, s);
        in += !ours;
        out += ours;
        live += !over;
        dead += over && !ours;
    }
    check(in == m->base.streams_in && out == m->base.streams_out && live == m->ids.count);
    check(dead == m->dead_in && in <= m->base.config.streams_in_max);
    check(out <= MPLEX_STREAMS_OUT_MAX && m->body_left <= MPLEX_LENGTH_MAX);
    check(!m->body_stream || m->body_left);
    check(outq_len(&m->control) <= MPLEX_CONTROL_MAX && !m->stage && !m->flight);
    check((m->failed == 0) == (m->base.error == NULL));
}

/* What the remote has heard of our low ids: frames must not come from nowhere or after the end. */
struct heard {
    bool known[IDS], fin[IDS], over[IDS];
};

static void check_frame(struct heard *heard, uint64_t id, uint32_t flag, uint64_t length)
{
    bool ours = flag % 2 == 0;
    check(flag <= MPLEX_FLAG_MAX && length <= MPLEX_BODY_ALONE);
    check((length > 0) == (flag == MPLEX_MESSAGE || flag == MPLEX_MESSAGE + MPLEX_BY_INITIATOR));
    if (id >= IDS || !ours)
        return;
    check(!heard->over[id] && heard->known[id] == (flag != MPLEX_NEW_STREAM));
    check(!(heard->fin[id] && flag < MPLEX_RESET));
    heard->known[id] = true;
    heard->fin[id] |= flag == MPLEX_CLOSE + MPLEX_BY_INITIATOR;
    heard->over[id] |= flag == MPLEX_RESET + MPLEX_BY_INITIATOR;
}

/* Resets may be cut between two pumps: what is left of one waits for the next. */
static void send_and_check(struct side *side, struct heard *heard, size_t max)
{
    side_send(side, max);
    size_t at = 0;
    while (at < side->wire_len) {
        uint64_t header, length;
        size_t left = side->wire_len - at;
        int n = p2p__varint_decode(side->wire + at, left, &header);
        int m = n > 0 ? p2p__varint_decode(side->wire + at + n, left - (size_t)n, &length) : n;
        check(n >= 0 && m >= 0);
        if (n == 0 || m == 0)
            break;
        check(length <= left - (size_t)(n + m));
        check_frame(heard, header >> 3u, header & 7u, length);
        at += (size_t)(n + m) + length;
    }
    check(side->wire_len - at < MPLEX_HEADER_MAX);
    if (side->wire_len > at)
        memmove(side->wire, side->wire + at, side->wire_len - at);
    side->wire_len -= at;
}

static void feed_header(struct side *side, struct input *in)
{
    static const uint32_t length[] = {0,     0,    1,     20,      127,     128,
                                      2047,  2048, 16384, 65507,   1048576, 1048577,
                                      70000, 5000, 0,     1000000, 300,     UINT32_MAX};
    uint8_t header[20];
    uint32_t flag = take(in, 1), id = take(in, 1), len = take(in, 1);
    uint64_t wide = id < 250 ? id % IDS : MPLEX_ID_MAX - id % 2;
    size_t n = p2p__mplex_header(header, wide, flag < 250 ? flag % 7 : 7,
                                 length[len % (sizeof(length) / sizeof(length[0]))]);
    side_feed(side, header, n);
}

static void feed_body(struct side *side, size_t n)
{
    uint8_t *bytes = calloc(1, SIDE_SCRATCH);
    check(bytes != NULL);
    for (; n > 0; n -= n < SIDE_SCRATCH ? n : SIDE_SCRATCH)
        side_feed(side, bytes, n < SIDE_SCRATCH ? n : SIDE_SCRATCH);
    free(bytes);
}

/* What is left of the body, so that the next frame is one. */
static void feed_rest(struct side *side)
{
    feed_body(side, ((struct mplex *)side->muxer)->body_left);
}

static void feed_raw(struct side *side, struct input *in)
{
    size_t n = take(in, 1);
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

static void step(struct side *side, struct input *in, struct heard *heard)
{
    const struct muxer_ops *ops = side->muxer->ops;
    struct muxer_stream *s;
    uint32_t op = take(in, 1);
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
        feed_body(side, take(in, 2));
        break;
    case 5:
        check(side_open(side, &code) || code < 0);
        break;
    case 6:
    case 7:
        s = pick(side, take(in, 1));
        code = (int)take(in, 1);
        if (s)
            stream_call(side, s, (uint32_t)code, take(in, 2));
        break;
    case 8:
        send_and_check(side, heard, MUXER_OUT_BYTES_MIN + take(in, 3) % SIDE_OUT);
        break;
    case 9:
        side->now_us += take(in, 3) * 16;
        check(ops->timeout(side->muxer, side->now_us) == ((struct mplex *)side->muxer)->failed);
        break;
    case 10:
        side->hold = !side->hold;
        break;
    default:
        if (op / 12 == 0)
            ops->goaway(side->muxer, take(in, 1));
        else
            feed_rest(side);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct heard heard = {0};
    struct side side;
    uint32_t mode = take(&in, 1);
    struct muxer_config config = side_config(mode & 1);
    config.streams_in_max = mode & 2 ? 4 : 256;
    check(side_init(&side, &p2p__muxer_mplex, config) == 0);
    side.echo = mode & 4;
    side.hold = mode & 8;
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        step(&side, &in, &heard);
        check_all(&side);
    }
    send_and_check(&side, &heard, SIDE_OUT);
    check(side_fini(&side));
    return 0;
}
