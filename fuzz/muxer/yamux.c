/* Sessions of yamux. Held after every step: windows and counters add up. */
#include "session.h"

#include "muxer/yamux.h"

enum {
    IDS = 32, /* of the crafted frames: few, so that they meet streams that exist */
};

static void check_stream(const struct yamux *y, const struct yamux_stream *s)
{
    uint64_t coming = y->framed.body_stream == &s->framed ? y->framed.body_left : 0;
    uint64_t held = buf_len(&s->base.in);
    if (!(s->base.flags & MUXER_DONE))
        check(s->owed + s->recv_left + held + coming == s->base.in.max);
    check(s->base.in.max <= y->base.config.stream_window_max);
}

static void check_all(const struct side *side)
{
    const struct yamux *y = (const struct yamux *)side->muxer;
    uint32_t growth = 0;
    const struct list *at = y->base.streams.next;
    check_counters(side);
    for (; at != &y->base.streams; at = at->next) {
        const struct yamux_stream *s = P2P__CONTAINER(at, struct yamux_stream, base.all);
        check_stream(y, s);
        growth += s->base.in.max - YAMUX_INITIAL_WINDOW;
    }
    check(growth == y->growth && growth <= y->base.config.conn_window_max);
    check(y->framed.unacked <= YAMUX_ACK_BACKLOG);
}

static void check_frame(struct heard *heard, const uint8_t *at, bool ours)
{
    uint32_t flags = (uint32_t)at[2] << 8 | at[3];
    uint32_t id = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];
    check(at[0] == 0 && at[1] <= YAMUX_GOAWAY);
    check(!(at[1] == YAMUX_DATA && flags));
    check((at[1] >= YAMUX_PING) == (id == 0));
    if (at[1] == YAMUX_GOAWAY) {
        check(!heard->goaway);
        heard->goaway = true;
    }
    if (id == 0 || id >= 2 * IDS || !ours)
        return;
    check(!heard->over[id] && heard->known[id] == !(flags & YAMUX_SYN));
    check(!(heard->fin[id] && (at[1] == YAMUX_DATA || (flags & YAMUX_FIN))));
    heard->known[id] = true;
    heard->fin[id] |= (flags & YAMUX_FIN) != 0;
    heard->over[id] |= (flags & YAMUX_RST) != 0;
}

static void send_and_check(struct side *side, struct heard *heard, size_t max)
{
    bool initiator = side->muxer->config.initiator;
    side_send(side, max);
    for (size_t at = 0; at < side->wire_len;) {
        const uint8_t *head = side->wire + at;
        check(side->wire_len - at >= YAMUX_HEADER);
        check_frame(heard, head, (head[7] % 2 == 1) == initiator);
        size_t length =
            (size_t)head[8] << 24 | (size_t)head[9] << 16 | (size_t)head[10] << 8 | head[11];
        at += YAMUX_HEADER;
        if (head[1] == YAMUX_DATA) {
            check(length > 0 && length <= FRAMED_BODY_ALONE && length <= side->wire_len - at);
            at += length;
        }
    }
    side->wire_len = 0;
}

static void feed_header(struct side *side, struct script *in)
{
    static const uint32_t length[] = {0,      1,      2047,       2048,       65507,     262143,
                                      262144, 262145, 0x7fffffff, UINT32_MAX, 1u << 24u, 20};
    uint8_t header[YAMUX_HEADER];
    uint32_t type = script_next(in, 1) % 16, flags = script_next(in, 1),
             id = script_next(in, 1) % IDS;
    uint32_t len = length[script_next(in, 1) % (sizeof(length) / sizeof(length[0]))];
    p2p__yamux_header(header, type > 7 ? YAMUX_DATA : (enum yamux_type)type, flags & 15, id, len);
    side_feed(side, header, YAMUX_HEADER);
}

static void check_time(struct side *side)
{
    const struct muxer_ops *ops = side->muxer->ops;
    int code = ops->timeout(side->muxer, side->now_us);
    check(code == 0 || side->muxer->error);
    check(ops->deadline(side->muxer) > side->now_us || code < 0 || side->code < 0 ||
          ((struct framed *)side->muxer)->failed);
}

static void own_call(struct side *side)
{
    side->muxer->ops->ping(side->muxer, side->now_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct side side;
    uint32_t mode = script_next(&in, 1);
    struct muxer_config config = side_config(mode & 1);
    config.streams_in_max = mode & 2 ? 4 : 256;
    config.keepalive_ms = mode & 4 ? 30000 : 0;
    config.keepalive_timeout_ms = 10000;
    config.stream_window_max = 2 * 1024 * 1024;
    config.stream_window = mode & 8 ? 300000 : 0;
    config.conn_window_max = mode & 16 ? 100000 : 4 * 1024 * 1024;
    check(side_init(&side, &p2p__muxer_yamux, config) == 0);
    side.echo = mode & 32;
    session(&side, &in);
    return 0;
}
