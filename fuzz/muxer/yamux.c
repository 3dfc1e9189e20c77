/* A session: frames from the remote, whole, wild or in pieces, between local calls, both taken from
 * the input. Held after every step: windows and counters add up, what leaves is well-formed and in
 * an order that the spec allows; at the end: nothing leaks. */
#include "muxer/yamux.h"

#include "../../tests/muxer_pair.h"

enum {
    STEPS_MAX = 2000,
    IDS = 32, /* of the crafted frames: few, so that they meet streams that exist */
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

static void check_stream(const struct yamux *y, const struct yamux_stream *s)
{
    uint64_t coming = y->body_stream == s ? y->body_left : 0;
    uint64_t held = buf_len(&s->base.in);
    if (!(s->base.flags & MUXER_DONE))
        check(s->owed + s->recv_left + held + coming == s->base.in.max);
    check(!(s->stopped && held));
    check(!s->in_flight && s->base.out.unacked == 0);
    check(s->base.in.max <= y->base.config.stream_window_max);
}

static void check_all(const struct side *side)
{
    const struct yamux *y = (const struct yamux *)side->muxer;
    uint32_t in = 0, out = 0, unacked = 0, dead = 0, live = 0, growth = 0;
    const struct list *at = y->base.streams.next;
    for (; at != &y->base.streams; at = at->next) {
        const struct yamux_stream *s = P2P__CONTAINER(at, struct yamux_stream, base.all);
        bool over = s->base.flags & MUXER_DONE, ours = s->base.flags & MUXER_OUTBOUND;
        check_stream(y, s);
        in += !ours;
        out += ours;
        live += !over;
        dead += over && !ours;
        unacked += ours && !over && !(s->base.flags & MUXER_ACKED);
        growth += s->base.in.max - YAMUX_INITIAL_WINDOW;
    }
    check(in == y->base.streams_in && out == y->base.streams_out && live == y->ids.count);
    check(dead == y->dead_in && unacked == y->unacked && growth == y->growth);
    check(in <= y->base.config.streams_in_max && unacked <= YAMUX_ACK_BACKLOG);
    check(growth <= y->base.config.conn_window_max);
    check(outq_len(&y->control) <= YAMUX_CONTROL_MAX && !y->stage && !y->flight);
    check((y->failed == 0) == (y->base.error == NULL));
}

/* What the remote has heard of the low ids: frames must not come from nowhere or after the end. */
struct heard {
    bool known[2 * IDS], fin[2 * IDS], over[2 * IDS];
    bool goaway;
};

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
            check(length > 0 && length <= YAMUX_BODY_ALONE && length <= side->wire_len - at);
            at += length;
        }
    }
    side->wire_len = 0;
}

static void feed_header(struct side *side, struct input *in)
{
    static const uint32_t length[] = {0,      1,      2047,       2048,       65507,     262143,
                                      262144, 262145, 0x7fffffff, UINT32_MAX, 1u << 24u, 20};
    uint8_t header[YAMUX_HEADER];
    uint32_t type = take(in, 1) % 16, flags = take(in, 1), id = take(in, 1) % IDS;
    uint32_t len = length[take(in, 1) % (sizeof(length) / sizeof(length[0]))];
    p2p__yamux_header(header, type > 7 ? YAMUX_DATA : (enum yamux_type)type, flags & 15, id, len);
    side_feed(side, header, YAMUX_HEADER);
}

static void feed_body(struct side *side, size_t n)
{
    uint8_t *bytes = calloc(1, n + 1);
    check(bytes != NULL);
    side_feed(side, bytes, n);
    free(bytes);
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
        code = ops->timeout(side->muxer, side->now_us);
        check(code == 0 || side->muxer->error);
        check(ops->deadline(side->muxer) > side->now_us || code < 0 || side->code < 0 ||
              ((struct yamux *)side->muxer)->failed);
        break;
    case 10:
        side->hold = !side->hold;
        break;
    default:
        if (op / 12 == 0)
            ops->goaway(side->muxer, take(in, 1));
        else
            ops->ping(side->muxer, side->now_us);
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
    config.keepalive_ms = mode & 4 ? 30000 : 0;
    config.keepalive_timeout_ms = 10000;
    config.stream_window_max = 2 * 1024 * 1024;
    config.stream_window = mode & 8 ? 300000 : 0;
    config.conn_window_max = mode & 16 ? 100000 : 4 * 1024 * 1024;
    check(side_init(&side, &p2p__muxer_yamux, config) == 0);
    side.echo = mode & 32;
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) {
        step(&side, &in, &heard);
        check_all(&side);
    }
    send_and_check(&side, &heard, SIDE_OUT);
    check(side_fini(&side));
    return 0;
}
