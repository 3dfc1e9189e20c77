#include "tests/test.h"

#include "layer/ws_fixture.h"

/* ---- masks ---- */

/* Bytes of in at `from` masked to out at `to`, and back in place. */
static void mask_case(const uint8_t *in, size_t from, size_t to, size_t len)
{
    static _Alignas(64) uint8_t out[WS_MASK_ALIGN_MIN + 3 * WS_MASK_BLOCK];
    const uint8_t key[4] = {0x11, 0x82, 0x43, 0xf4};
    uint8_t mask[4];
    memcpy(mask, key, 4);
    memset(out, 0xee, sizeof out);
    p2p__ws_mask(in + from, len, mask, out + to);
    size_t wrong = to ? out[to - 1] != 0xee : 0;
    for (size_t i = 0; i < len; i++)
        wrong += out[to + i] != (in[from + i] ^ key[i % 4]);
    assert_int_equal(wrong, 0);
    assert_int_equal(out[to + len], 0xee);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mask[i], key[(len + i) % 4]);
    memcpy(mask, key, 4);
    p2p__ws_mask(out + to, len, mask, out + to);
    assert_int_equal(memcmp(out + to, in + from, len), 0);
}

static void test_mask_every_length_and_alignment(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t in[WS_MASK_ALIGN_MIN + 3 * WS_MASK_BLOCK];
    enum { LONGEST = WS_MASK_ALIGN_MIN + 2 * WS_MASK_BLOCK + 9 };
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7 ^ i >> 8);
    for (size_t to = 0; to < 17; to++)
        for (size_t len = 0; len <= LONGEST; len++)
            for (size_t off = 0; off < 4; off++)
                mask_case(in, (to + off * 5) % 17, to, len);
}

static void test_masks_are_fresh(void **state)
{
    struct fixture *f = *state;
    uint8_t masks[64][4], record[WS_HEADER_MAX + 1];
    const struct p2p__const_iov in = {(const uint8_t *)"x", 1};
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(ops->seal(f->client.state, &f->env, &in, 1, record), 7);
        memcpy(masks[i], record + 2, 4);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(masks[i], masks[j], 4);
    }
}

/* ---- the examples of RFC 6455, section 5.7, as binary messages ---- */

static void test_examples_of_RFC_6455(void **state)
{
    struct fixture *f = *state;
    uint8_t out[LAYER_PENDING_MAX];
    feed(f, &f->client, "\x82\x05Hello", 7);
    expect_open(f, &f->client, "Hello", 5);
    feed(f, &f->server, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect_open(f, &f->server, "Hello", 5);
    feed(f, &f->client, "\x02\x03Hel\x80\x02lo", 9);
    expect_open(f, &f->client, "Hel", 3);
    expect_open(f, &f->client, "lo", 2);
    feed(f, &f->client, "\x89\x05Hello", 7);
    expect_open(f, &f->client, "", 0);
    assert_int_equal(ops->pending(f->client.state, out, sizeof out), 11);
    feed(f, &f->server, out, 11);
    expect_open(f, &f->server, "", 0); /* a pong nobody asked for is fine */
    feed(f, &f->server, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect_open(f, &f->server, "", 0);
    static uint8_t big[10 + 65536] = {0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0};
    feed(f, &f->client, "\x82\x7e\x01\x00", 4);
    feed(f, &f->client, big + 10, 256);
    expect_open(f, &f->client, big + 10, 256);
    feed(f, &f->client, big, sizeof big);
    expect_open(f, &f->client, big + 10, 65536);
    assert_int_equal(open_code(f, &f->client), STEP_WANT_INPUT);
}

/* ---- seal and open ---- */

static void test_lengths_at_each_form(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t len, header;
    } cases[] = {{0, 2},   {1, 2},     {125, 2},    {126, 4},
                 {127, 4}, {65535, 4}, {65536, 10}, {WS_PLAIN_MAX, 10}};
    uint8_t *text = malloc(WS_PLAIN_MAX), *record = malloc(WS_PLAIN_MAX + WS_HEADER_MAX);
    for (size_t i = 0; i < WS_PLAIN_MAX; i++)
        text[i] = (uint8_t)(i * 31 ^ i >> 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int masked = 0; masked < 2; masked++) {
            struct end *from = masked ? &f->client : &f->server;
            struct end *to = masked ? &f->server : &f->client;
            size_t a = cases[i].len / 3, b = cases[i].len - a;
            const struct p2p__const_iov in[] = {{text, a}, {NULL, 0}, {text + a, b}};
            int64_t len = ops->seal(from->state, &f->env, in, 3, record);
            size_t header = cases[i].header + (masked ? 4 : 0);
            assert_int_equal(len, cases[i].len + header);
            assert_int_equal(record[0], 0x82);
            assert_int_equal(record[1] >> 7, masked);
            feed(f, to, record, (size_t)len);
            struct span span;
            assert_int_equal(open_next(f, to, &span), STEP_DONE);
            assert_int_equal(span.len, cases[i].len);
            assert_int_equal(span.gap, header);
            assert_memory_equal(span.base, text, span.len);
            assert_int_equal(open_code(f, to), STEP_WANT_INPUT);
            assert_int_equal(p2p__buf_settle(&to->in, &f->pool), 0);
        }
    }
    free(text);
    free(record);
}

/* The same bytes as a record that was copied. */
static void test_wrap_is_seal_in_place(void **state)
{
    struct fixture *f = *state;
    static const size_t lens[] = {0, 1, 125, 126, 127, 1000, 65535, 65536, WS_PLAIN_MAX};
    uint8_t *record = calloc(1, WS_PLAIN_MAX + WS_HEADER_MAX);
    uint8_t *memory = calloc(1, WS_PLAIN_MAX + WS_HEADER_MAX), *plain = memory + WS_HEADER_MAX;
    for (size_t i = 0; i < 2 * sizeof lens / sizeof *lens; i++) {
        struct end *end = i % 2 ? &f->client : &f->server;
        size_t len = lens[i / 2];
        struct ws_state twin = *end->state;
        for (size_t k = 0; k < len; k++)
            plain[k] = (uint8_t)(k * 13);
        const struct p2p__const_iov iov = {plain, len};
        int64_t sealed = ops->seal(&twin, &f->env, &iov, 1, record);
        size_t head = ops->wrap(end->state, plain, len);
        assert_int_equal(head + len, sealed);
        assert_memory_equal(plain - head, record, head + len);
        assert_memory_equal(end->state, &twin, sizeof twin);
    }
    free(memory);
    free(record);
}

/* So much can be read on without a header between. */
static void test_what_a_cut_frame_lacks(void **state)
{
    struct fixture *f = *state;
    struct span span;
    feed(f, &f->client,
         "\x82\x7e\x01\x00"
         "abc",
         7);
    assert_int_equal(open_next(f, &f->client, &span), STEP_DONE);
    assert_int_equal(span.len, 3);
    assert_int_equal(open_next(f, &f->client, &span), STEP_WANT_INPUT);
    assert_int_equal(span.len, 253);
    feed(f, &f->client, "d", 1);
    expect_open(f, &f->client, "d", 1);
    assert_int_equal(open_next(f, &f->client, &span), STEP_WANT_INPUT);
    assert_int_equal(span.len, 252);
}

/* A payload may still be in use when what follows it is opened. */
static void test_gap_is_the_header(void **state)
{
    struct fixture *f = *state;
    struct span span;
    feed(f, &f->client, "\x82\x02xy\x82\x03z", 7);
    assert_int_equal(open_next(f, &f->client, &span), STEP_DONE);
    assert_int_equal(span.gap, 2);
    assert_int_equal(open_next(f, &f->client, &span), STEP_DONE);
    assert_int_equal(span.gap, 2);
    assert_int_equal(span.len, 1);
    feed(f, &f->client, "ab", 2);
    assert_int_equal(open_next(f, &f->client, &span), STEP_DONE);
    assert_int_equal(span.gap, 0); /* the rest of a payload */
    assert_int_equal(span.len, 2);
}

/* A stream of all kinds of frames, to an end. Returns its length. */
static size_t script(bool masked, uint8_t *wire)
{
    static const struct {
        uint8_t first;
        const char *text;
    } frames[] = {{0x82, "one"},
                  {0x02, "two"},
                  {0x89, "ping"},
                  {0x00, "th"},
                  {0x8a, ""},
                  {0x80, "r"},
                  {0x82, ""},
                  {0x02, ""},
                  {0x80, "ee"},
                  {0x89, ""},
                  {0x82, "four, which is longer than the others, so that the wide loop runs"},
                  {0x88, "\x03\xe8so long"}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        uint8_t mask[4] = {(uint8_t)(i * 3), 0x55, (uint8_t)(i + 1), 0xf0};
        size_t len = strlen(frames[i].text);
        wire[at++] = frames[i].first;
        wire[at++] = (uint8_t)(len | (masked ? 0x80 : 0));
        if (masked) {
            memcpy(wire + at, mask, 4);
            at += 4;
        } else {
            memset(mask, 0, 4);
        }
        p2p__ws_mask((const uint8_t *)frames[i].text, len, mask, wire + at);
        at += len;
    }
    return at;
}

static const char script_text[] =
    "onetwothreefour, which is longer than the others, so that the wide loop runs";

static void play(struct fixture *f, struct end *to, char *text, size_t *text_len, int *code)
{
    struct span span;
    while ((*code = open_next(f, to, &span)) == STEP_DONE) {
        memcpy(text + *text_len, span.base, span.len);
        *text_len += span.len;
    }
}

/* In two pieces, for each place to cut; and a byte at a time. */
static void test_every_split(void **state)
{
    struct fixture *f = *state;
    uint8_t wire[512], out[LAYER_PENDING_MAX];
    for (int masked = 0; masked < 2; masked++) {
        struct end *to = masked ? &f->server : &f->client;
        size_t len = script(masked, wire);
        for (size_t cut = 0; cut <= len + 1; cut++) {
            char text[256];
            size_t text_len = 0;
            int code = STEP_WANT_INPUT;
            end_start(f, to);
            to->state->open = true;
            size_t piece = cut > len ? 1 : cut;
            for (size_t at = 0; at<len; piece = cut> len ? 1 : len - at) {
                feed(f, to, wire + at, piece);
                at += piece;
                play(f, to, text, &text_len, &code);
                if (at < len)
                    assert_int_equal(code, STEP_WANT_INPUT);
            }
            assert_int_equal(code, P2P_EEOF);
            assert_int_equal(text_len, strlen(script_text));
            assert_memory_equal(text, script_text, text_len);
            assert_int_equal(ops->pending(to->state, out, sizeof out), 0); /* section 5.5.2 */
        }
    }
}

/* A large frame is handed on as it comes, and its memory is what came. */
static void test_large_frame_streams(void **state)
{
    struct fixture *f = *state;
    enum { CHUNK = 1021 };
    uint8_t header[10] = {0x82, 127}, text[CHUNK];
    for (int i = 0; i < 8; i++)
        header[2 + i] = (uint8_t)((uint64_t)WS_FRAME_MAX >> (8 * (7 - i)));
    memset(text, 'x', sizeof text);
    feed(f, &f->client, header, sizeof header);
    assert_int_equal(open_code(f, &f->client), STEP_WANT_INPUT);
    size_t left = WS_FRAME_MAX;
    while (left) {
        size_t n = left < CHUNK ? left : CHUNK;
        feed(f, &f->client, text, n);
        expect_open(f, &f->client, text, n);
        assert_int_equal(open_code(f, &f->client), STEP_WANT_INPUT);
        left -= n;
        assert_int_equal(p2p__buf_settle(&f->client.in, &f->pool), 0);
        assert_int_equal(f->pool.used_bytes, 0);
    }
    feed(f, &f->client, "\x82\x01y", 3);
    expect_open(f, &f->client, "y", 1);
}

/* ---- control frames ---- */

static void ping(struct fixture *f, struct end *to, const void *text, size_t len)
{
    uint8_t frame[WS_RECORD_MAX] = {0x89, (uint8_t)len}, mask[4] = {9, 8, 7, 6};
    bool masked = to == &f->server;
    if (masked) {
        frame[1] |= 0x80;
        memcpy(frame + 2, mask, 4);
    } else {
        memset(mask, 0, 4);
    }
    p2p__ws_mask(text, len, mask, frame + (masked ? 6 : 2));
    feed(f, to, frame, (masked ? 6 : 2) + len);
}

static void test_pong(void **state)
{
    struct fixture *f = *state;
    struct end *ends[] = {&f->client, &f->server};
    uint8_t text[WS_CONTROL_MAX], out[LAYER_PENDING_MAX];
    memset(text, 'p', sizeof text);
    for (int i = 0; i < 2; i++) {
        struct end *pinged = ends[i], *other = ends[1 - i];
        size_t whole = (pinged == &f->client ? 6 : 2) + sizeof text;
        assert_int_equal(ops->pending(pinged->state, out, sizeof out), 0);
        ping(f, pinged, "first", 5);
        ping(f, pinged, text, sizeof text);
        expect_open(f, pinged, "", 0);
        expect_open(f, pinged, "", 0);
        assert_int_equal(ops->pending(pinged->state, out, whole - 1), 0); /* it waits for room */
        assert_int_equal(ops->pending(pinged->state, out, whole), whole);
        assert_int_equal(ops->pending(pinged->state, out, sizeof out), 0);
        assert_int_equal(out[0], 0x8a);
        assert_int_equal(out[1], pinged == &f->client ? 0xfd : 0x7d);
        if (pinged == &f->client) {
            p2p__ws_mask(out + 6, sizeof text, out + 2, out + 6);
            assert_memory_equal(out + 6, text, sizeof text);
            continue;
        }
        assert_memory_equal(out + 2, text, sizeof text);
        feed(f, other, out, whole);
        expect_open(f, other, "", 0);
    }
}

static void expect_close(struct fixture *f, struct end *end, int close_code)
{
    uint8_t out[64];
    bool masked = end == &f->client;
    assert_int_equal(ops->close(end->state, &f->env, &end->out), 0);
    size_t len = drain(f, end, out, sizeof out), header = masked ? 6 : 2;
    assert_int_equal(len, header + (close_code ? 2 : 0));
    assert_int_equal(out[0], 0x88);
    assert_int_equal(out[1], (masked ? 0x80 : 0) | (close_code ? 2 : 0));
    if (masked)
        p2p__ws_mask(out + 6, len - 6, out + 2, out + 6);
    if (close_code)
        assert_int_equal(out[header] << 8 | out[header + 1], close_code);
    assert_int_equal(ops->close(end->state, &f->env, &end->out), 0); /* once */
    assert_int_equal(outq_len(&end->out), 0);
    assert_int_equal(ops->pending(end->state, out, sizeof out), 0);
}

static void test_our_close_first(void **state)
{
    struct fixture *f = *state;
    ping(f, &f->client, "x", 1);
    expect_open(f, &f->client, "", 0);
    expect_close(f, &f->client, WS_CLOSE_NORMAL);
    /* What was on its way is still taken, then the answer. */
    feed(f, &f->client, "\x82\x01z\x88\x02\x03\xe8", 7);
    expect_open(f, &f->client, "z", 1);
    assert_int_equal(open_code(f, &f->client), P2P_EEOF);
}

static void test_close_is_answered(void **state)
{
    struct fixture *f = *state;
    static const uint8_t data[] = {0x82, 1, 'x', 0x88, 0, 0xff};
    feed(f, &f->client, data, sizeof data);
    expect_open(f, &f->client, "x", 1);
    assert_int_equal(open_code(f, &f->client), P2P_EEOF);
    assert_int_equal(open_code(f, &f->client), P2P_EEOF); /* what follows is ignored */
    expect_close(f, &f->client, WS_CLOSE_NONE);
}

static void test_close_codes(void **state)
{
    struct fixture *f = *state;
    static const uint16_t valid[] = {1000, 1003, 1007, 1014, 3000, 4999};
    static const uint16_t wrong[] = {0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        const uint8_t frame[] = {0x88, 3, (uint8_t)(valid[i] >> 8), (uint8_t)valid[i], 'r'};
        end_start(f, &f->client);
        f->client.state->open = true;
        feed(f, &f->client, frame, sizeof frame);
        assert_int_equal(open_code(f, &f->client), P2P_EEOF);
        expect_close(f, &f->client, valid[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const uint8_t frame[] = {0x88, 2, (uint8_t)(wrong[i] >> 8), (uint8_t)wrong[i]};
        end_start(f, &f->client);
        f->client.state->open = true;
        feed(f, &f->client, frame, sizeof frame);
        assert_int_equal(open_code(f, &f->client), P2P_EPROTO);
        expect_close(f, &f->client, WS_CLOSE_PROTOCOL);
    }
}

/* ---- hostile rows ---- */

/* Refused with the last of the bytes and not before; then it stays, and the farewell says why. */
static void expect_broken(struct fixture *f, struct end *end, const char *bytes, size_t len,
                          int code, int close_code)
{
    end_start(f, end);
    end->state->open = true;
    for (size_t i = 0; i < len; i++) {
        int before = open_code(f, end);
        assert_true(before == STEP_WANT_INPUT || before == STEP_DONE);
        feed(f, end, bytes + i, 1);
    }
    assert_int_equal(open_code(f, end), code);
    feed(f, end, "\x82\x00", 2);
    assert_int_equal(open_code(f, end), code);
    expect_close(f, end, close_code);
}

#define BROKEN(end, bytes, code, close_code)                                                       \
    expect_broken(f, &f->end, bytes, sizeof(bytes) - 1, code, close_code)

static void test_W02_masks(void **state)
{
    struct fixture *f = *state;
    BROKEN(server, "\x82\x05", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(server, "\x89\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x82\x85", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x88\x80", P2P_EPROTO, WS_CLOSE_PROTOCOL);
}

static void test_W02_reserved_bits_and_opcodes(void **state)
{
    struct fixture *f = *state;
    BROKEN(server, "\xc2\x80", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(server, "\xa2\x80", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x92\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\xc9\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    for (int opcode = 0; opcode < 16; opcode++) {
        const char frame[] = {(char)(0x80 | opcode), 0};
        if ((opcode >= 3 && opcode <= 7) || opcode >= 11)
            expect_broken(f, &f->client, frame, 2, P2P_EPROTO, WS_CLOSE_PROTOCOL);
    }
}

static void test_W02_text(void **state)
{
    struct fixture *f = *state;
    BROKEN(server, "\x81\x85", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x01\x05", P2P_EPROTO, WS_CLOSE_PROTOCOL);
}

static void test_W02_lengths(void **state)
{
    struct fixture *f = *state;
    BROKEN(client, "\x82\x7f\x80\0\0\0\0\0\0\0", P2P_EPROTO, WS_CLOSE_PROTOCOL); /* 2^63 */
    BROKEN(server, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", P2P_ETOOBIG, WS_CLOSE_TOO_BIG);
    BROKEN(client, "\x82\x7f\0\0\0\0\x01\0\0\x01", P2P_ETOOBIG, WS_CLOSE_TOO_BIG); /* the cap + 1 */
    BROKEN(client, "\x82\x7e\0\x7d", P2P_EPROTO, WS_CLOSE_PROTOCOL); /* 125 fits in seven bits */
    BROKEN(client, "\x82\x7f\0\0\0\0\0\0\xff\xff", P2P_EPROTO, WS_CLOSE_PROTOCOL);
}

static void test_W02_control_frames(void **state)
{
    struct fixture *f = *state;
    BROKEN(client, "\x89\x7e", P2P_EPROTO, WS_CLOSE_PROTOCOL); /* longer than 125 */
    BROKEN(server, "\x8a\xff", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x88\x7e", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x09\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);  /* in fragments */
    BROKEN(client, "\x88\x01x", P2P_EPROTO, WS_CLOSE_PROTOCOL); /* half a code */
}

static void test_W02_fragments_out_of_order(void **state)
{
    struct fixture *f = *state;
    BROKEN(client, "\x80\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x00\x01", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x02\x00\x82\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
    BROKEN(client, "\x02\x00\x80\x00\x80\x00", P2P_EPROTO, WS_CLOSE_PROTOCOL);
}

/* Pings and empty frames in one read; apart, they may go on for ever. */
static void test_W02_frames_without_data(void **state)
{
    struct fixture *f = *state;
    static const char frames[2][3] = {"\x82\x00", "\x89\x00"};
    for (int kind = 0; kind < 2; kind++) {
        end_start(f, &f->client);
        f->client.state->open = true;
        for (int i = 0; i < WS_IDLE_FRAMES_MAX + 1; i++)
            feed(f, &f->client, frames[kind], 2);
        for (int i = 0; i < WS_IDLE_FRAMES_MAX; i++)
            expect_open(f, &f->client, "", 0);
        assert_int_equal(open_code(f, &f->client), P2P_EPROTO);
        expect_close(f, &f->client, WS_CLOSE_PROTOCOL);
        end_start(f, &f->client);
        for (int i = 0; i < 4 * WS_IDLE_FRAMES_MAX; i++) {
            feed(f, &f->client, frames[kind], 2);
            expect_open(f, &f->client, "", 0);
            if (i % 2)
                assert_int_equal(open_code(f, &f->client), STEP_WANT_INPUT);
        }
        for (int i = 0; i < 4 * WS_IDLE_FRAMES_MAX; i++) {
            feed(f, &f->client, frames[kind], 2);
            feed(f, &f->client, "\x82\x01x", 3);
            expect_open(f, &f->client, "", 0);
            expect_open(f, &f->client, "x", 1);
        }
    }
}

static void test_X07_no_memory_for_a_farewell(void **state)
{
    struct fixture *f = *state;
    f->pool.max_bytes = 1;
    assert_int_equal(ops->close(f->client.state, &f->env, &f->client.out), P2P_ENOMEM);
    f->pool.max_bytes = 0;
    assert_int_equal(ops->close(f->client.state, &f->env, &f->client.out), 0);
    assert_int_equal(outq_len(&f->client.out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask_every_length_and_alignment),
        TEST_OPEN(test_masks_are_fresh),
        TEST_OPEN(test_examples_of_RFC_6455),
        TEST_OPEN(test_lengths_at_each_form),
        TEST_OPEN(test_wrap_is_seal_in_place),
        TEST_OPEN(test_what_a_cut_frame_lacks),
        TEST_OPEN(test_gap_is_the_header),
        TEST_OPEN(test_every_split),
        TEST_OPEN(test_large_frame_streams),
        TEST_OPEN(test_pong),
        TEST_OPEN(test_our_close_first),
        TEST_OPEN(test_close_is_answered),
        TEST_OPEN(test_close_codes),
        TEST_OPEN(test_W02_masks),
        TEST_OPEN(test_W02_reserved_bits_and_opcodes),
        TEST_OPEN(test_W02_text),
        TEST_OPEN(test_W02_lengths),
        TEST_OPEN(test_W02_control_frames),
        TEST_OPEN(test_W02_fragments_out_of_order),
        TEST_OPEN(test_W02_frames_without_data),
        TEST_OPEN(test_X07_no_memory_for_a_farewell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
