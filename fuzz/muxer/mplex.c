/* Sessions of mplex. Held after every step: counters add up and nothing is kept beyond its limit.
 */
#include "session.h"

#include "codec/varint.h"
#include "muxer/mplex.h"

enum {
    IDS = 16, /* of the crafted frames: few, so that they meet streams that exist */
};

static void check_all(const struct side *side)
{
    const struct framed *m = (const struct framed *)side->muxer;
    const struct list *at = m->base.streams.next;
    check_counters(side);
    for (; at != &m->base.streams; at = at->next) {
        const struct muxer_stream *s = P2P__CONTAINER(at, struct muxer_stream, all);
        check(buf_len(&s->in) <= MPLEX_UNREAD_MAX);
        check(!(s->flags & MUXER_OVERRUN) || (s->flags & MUXER_RESET_SENT));
    }
    check(m->base.streams_out <= MPLEX_STREAMS_OUT_MAX && m->body_left <= MPLEX_LENGTH_MAX);
}

static void check_frame(struct heard *heard, uint64_t id, uint32_t flag, uint64_t length)
{
    bool ours = flag % 2 == 0;
    check(flag <= MPLEX_FLAG_MAX && length <= FRAMED_BODY_ALONE);
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
    check(side->wire_len - at < FRAMED_HEADER_MAX);
    if (side->wire_len > at)
        memmove(side->wire, side->wire + at, side->wire_len - at);
    side->wire_len -= at;
}

static void feed_header(struct side *side, struct script *in)
{
    static const uint32_t length[] = {0,     0,    1,     20,      127,     128,
                                      2047,  2048, 16384, 65507,   1048576, 1048577,
                                      70000, 5000, 0,     1000000, 300,     UINT32_MAX};
    uint8_t header[20];
    uint32_t flag = script_next(in, 1), id = script_next(in, 1), len = script_next(in, 1);
    uint64_t wide = id < 250 ? id % IDS : MPLEX_ID_MAX - id % 2;
    size_t n = p2p__mplex_header(header, wide, flag < 250 ? flag % 7 : 7,
                                 length[len % (sizeof(length) / sizeof(length[0]))]);
    side_feed(side, header, n);
}

static void check_time(struct side *side)
{
    int code = side->muxer->ops->timeout(side->muxer, side->now_us);
    check(code == ((struct framed *)side->muxer)->failed);
}

/* What is left of the body, so that the next frame is one. */
static void own_call(struct side *side)
{
    feed_body(side, ((struct framed *)side->muxer)->body_left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct side side;
    uint32_t mode = script_next(&in, 1);
    struct muxer_config config = side_config(mode & 1);
    config.streams_in_max = mode & 2 ? 4 : 256;
    check(side_init(&side, &p2p__muxer_mplex, config) == 0);
    side.echo = mode & 4;
    side.hold = mode & 8;
    session(&side, &in);
    return 0;
}
