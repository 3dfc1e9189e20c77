/* Frames, windows, turns, the ACK backlog, keep-alive and growth. */
#include "tests/yamux_raw.h"

static struct muxer_stream *open_stream(struct side *t)
{
    int code = 0;
    struct muxer_stream *s = side_open(t, &code);
    assert_non_null(s);
    return s;
}

/* --- frames */

static void test_header_layout(void **state)
{
    (void)state;
    static const uint8_t want[] = {0, 1, 0, 8, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
    uint8_t got[YAMUX_HEADER];
    p2p__yamux_header(got, YAMUX_WINDOW, YAMUX_RST, 0x12345678, 0x9abcdef0);
    assert_memory_equal(got, want, sizeof(want));
}

static void test_outbound_life(void **state)
{
    (void)state;
    for (int initiator = 0; initiator < 2; initiator++) {
        struct side t;
        uint32_t id = initiator ? 1 : 2;
        assert_int_equal(side_init(&t, &p2p__muxer_yamux, side_config(initiator)), 0);
        struct muxer_stream *s = open_stream(&t), *second = open_stream(&t);
        assert_int_equal(s->id, id);
        assert_int_equal(second->id, id + 2);
        t.muxer->ops->stream_free(second);
        side_write(&t, s, 100);
        t.muxer->ops->close_write(s);
        /* The SYN carries no credit beyond the window that everybody assumes; the FIN no bytes. */
        expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, id, 0);
        expect_frame(&t, YAMUX_DATA, 0, id, 100);
        expect_frame(&t, YAMUX_WINDOW, YAMUX_FIN, id, 0);
        expect_silence(&t);
        assert_true(s->flags & MUXER_FIN_SENT);
        assert_false(s->flags & (MUXER_ACKED | MUXER_DONE));
        raw_send(&t, YAMUX_WINDOW, YAMUX_ACK, id, 0);
        assert_true(s->flags & MUXER_ACKED);
        raw_data(&t, YAMUX_FIN, id, 0, 50);
        assert_int_equal(t.got, 50);
        assert_int_equal(t.finished, 1);
        assert_int_equal(t.muxer->streams_out, 0);
        raw_fini(&t);
    }
}

static void test_inbound_is_acknowledged_with_the_first_output(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    expect_silence(&t);
    raw_data(&t, 0, 1, 0, 10);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 0);
    expect_silence(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 3, 0);
    side_write(&t, side_find(&t, 3), 5);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 3, 0);
    expect_frame(&t, YAMUX_DATA, 0, 3, 5);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 5, 0);
    t.muxer->ops->close_write(side_find(&t, 5));
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 5, 0);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_FIN, 5, 0);
    raw_fini(&t);
}

static void test_reset_codes(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_data(&t, YAMUX_SYN, 1, 0, 10);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 0);
    struct muxer_stream *s = side_find(&t, 1);
    uint32_t send_window = ((struct yamux_stream *)s)->send_window;
    raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 1, 0xfffffff0);
    assert_int_equal(s->remote_code, 0xfffffff0);
    assert_int_equal(((struct yamux_stream *)s)->send_window, send_window);
    t.muxer->ops->reset(s, 5);
    expect_silence(&t);
    raw_data(&t, YAMUX_SYN, 3, 0, 10);
    t.muxer->ops->reset(side_find(&t, 3), 0x1001);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 3, 0x1001);
    /* One whose SYN never left is nobody's business. */
    t.muxer->ops->reset(open_stream(&t), 1);
    expect_silence(&t);
    assert_int_equal(raw_yamux(&t)->framed.unacked, 0);
    raw_fini(&t);
}

static void test_what_a_fin_completed_survives_a_reset(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    t.keep = true;
    raw_data(&t, YAMUX_SYN | YAMUX_FIN, 1, 0, 1000);
    raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 1, 4);
    assert_int_equal(buf_len(&side_find(&t, 1)->in), 1000);
    raw_data(&t, YAMUX_SYN, 3, 0, 1000);
    raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 3, 4);
    assert_int_equal(buf_len(&side_find(&t, 3)->in), 0);
    raw_fini(&t);
}

/* Two bodies in borrowed memory, the second too soon for the reader: MUXER_TELL if joining them
 * would copy FRAMED_COPY_BELOW bytes. */
static void two_bodies(uint32_t first, uint32_t second, int expected)
{
    struct side t;
    raw_init(&t);
    uint8_t bytes[2 * (YAMUX_HEADER + FRAMED_COPY_BELOW)] = {0};
    uint8_t *next = bytes + YAMUX_HEADER + first;
    p2p__yamux_header(bytes, YAMUX_DATA, YAMUX_SYN, 1, first);
    p2p__yamux_header(next, YAMUX_DATA, 0, 1, second);
    p2p__buf_borrow(&t.in, &t.pool, bytes, 0, 2 * YAMUX_HEADER + first + second);
    assert_int_equal(t.muxer->ops->pump_in(t.muxer, &t.in, t.now_us), expected);
    struct muxer_stream *s = side_find(&t, 1);
    if (expected == MUXER_TELL) {
        assert_true(buf_borrowed(&s->in));
        assert_ptr_equal(buf_data(&s->in), bytes + YAMUX_HEADER);
        p2p__buf_settle(&s->in, &t.pool);
        assert_int_equal(t.muxer->ops->pump_in(t.muxer, &t.in, t.now_us), STEP_WANT_INPUT);
    }
    assert_false(buf_borrowed(&s->in));
    assert_int_equal(buf_len(&s->in), first + second);
    raw_fini(&t);
}

static void test_unread_body_is_told_before_the_next(void **state)
{
    (void)state;
    two_bodies(FRAMED_COPY_BELOW, FRAMED_COPY_BELOW, MUXER_TELL);
    two_bodies(FRAMED_COPY_BELOW, 1, MUXER_TELL);
    two_bodies(1, FRAMED_COPY_BELOW - 1, MUXER_TELL);
    two_bodies(1, FRAMED_COPY_BELOW - 2, STEP_WANT_INPUT);
}

/* --- turns */

static void test_frame_sizes(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, 70000);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 2, 0);
    /* Alone: one record; the rest follows. */
    expect_frame(&t, YAMUX_DATA, 0, 2, FRAMED_BODY_ALONE);
    expect_frame(&t, YAMUX_DATA, 0, 2, 70000 - FRAMED_BODY_ALONE);
    side_write(&t, s, 40000);
    struct muxer_stream *other = open_stream(&t);
    side_write(&t, other, 20000);
    expect_frame(&t, YAMUX_DATA, 0, 2, FRAMED_BODY_SHARED);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 4, 0);
    expect_frame(&t, YAMUX_DATA, 0, 4, FRAMED_BODY_SHARED);
    expect_frame(&t, YAMUX_DATA, 0, 2, FRAMED_BODY_SHARED);
    expect_frame(&t, YAMUX_DATA, 0, 4, 20000 - FRAMED_BODY_SHARED);
    expect_frame(&t, YAMUX_DATA, 0, 2, 40000 - 2 * FRAMED_BODY_SHARED);
    raw_fini(&t);
}

static void test_small_frames_are_one_piece_and_large_ones_are_not_copied(void **state)
{
    (void)state;
    struct side t;
    struct iov iov[8];
    size_t bytes;
    raw_init(&t);
    for (int i = 0; i < 5; i++)
        side_write(&t, open_stream(&t), FRAMED_COPY_BELOW - 1);
    size_t n = t.muxer->ops->pump_out(t.muxer, iov, 8, SIDE_OUT, t.now_us, &bytes);
    assert_int_equal(n, 1);
    assert_int_equal(bytes, 5 * (2 * YAMUX_HEADER + FRAMED_COPY_BELOW - 1));
    t.muxer->ops->sent(t.muxer);
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, FRAMED_COPY_BELOW);
    struct iov own;
    assert_int_equal(p2p__outq_iov(&s->out, &own, 1, SIZE_MAX, &bytes), 1);
    n = t.muxer->ops->pump_out(t.muxer, iov, 8, SIDE_OUT, t.now_us, &bytes);
    assert_int_equal(n, 2);
    assert_int_equal(iov[0].len, 2 * YAMUX_HEADER);
    assert_ptr_equal(iov[1].base, own.base);
    assert_int_equal(iov[1].len, FRAMED_COPY_BELOW);
    assert_false(s->flags & MUXER_WRITABLE);
    t.muxer->ops->sent(t.muxer);
    assert_true(s->flags & MUXER_WRITABLE);
    assert_int_equal(outq_len(&s->out), 0);
    /* What is lent stays until it is sent, though a copied rest follows in the same pump. */
    side_write(&t, s, FRAMED_BODY_ALONE + 100);
    t.muxer->ops->pump_out(t.muxer, iov, 8, SIDE_OUT, t.now_us, &bytes);
    assert_int_equal(bytes, FRAMED_BODY_ALONE + 100 + 2 * YAMUX_HEADER);
    assert_int_equal(s->out.unacked, FRAMED_BODY_ALONE + 100);
    t.muxer->ops->sent(t.muxer);
    raw_fini(&t);
}

static void test_pumps_of_every_size(void **state)
{
    (void)state;
    for (size_t max = MUXER_OUT_BYTES_MIN; max < 3000; max += 311)
        for (size_t cap = MUXER_OUT_IOV_MIN; cap < 8; cap += 3) {
            struct side t;
            struct iov iov[8];
            struct raw_frame f;
            size_t bytes, sum = 0, n;
            raw_init(&t);
            for (uint32_t i = 0; i < 500; i++)
                raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
            for (int i = 0; i < 3; i++)
                side_write(&t, open_stream(&t), 20000);
            t.wire = malloc(t.wire_cap = 200000);
            while ((n = t.muxer->ops->pump_out(t.muxer, iov, cap, max, t.now_us, &bytes))) {
                assert_true(n <= cap && bytes <= max);
                for (size_t i = 0; i < n; t.wire_len += iov[i].len, i++)
                    memcpy(t.wire + t.wire_len, iov[i].base, iov[i].len);
                t.muxer->ops->sent(t.muxer);
            }
            for (uint32_t resets = 0; raw_next(&t, &f); resets += f.flags == YAMUX_RST) {
                sum += f.type == YAMUX_DATA ? f.length : 0;
                assert_true(f.flags == YAMUX_RST || resets == 500 - 256);
            }
            assert_int_equal(sum, 60000);
            raw_fini(&t);
        }
}

static void test_replies_come_before_bulk(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *bulk = open_stream(&t), *reader = open_stream(&t);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 2, 0);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 4, 0);
    side_write(&t, bulk, 100000);
    raw_data(&t, 0, (uint32_t)reader->id, 0, YAMUX_INITIAL_WINDOW / 2);
    raw_send(&t, YAMUX_PING, YAMUX_SYN, 0, 6);
    expect_frame(&t, YAMUX_PING, YAMUX_ACK, 0, 6);
    expect_frame(&t, YAMUX_WINDOW, 0, 4, YAMUX_INITIAL_WINDOW / 2);
    expect_frame(&t, YAMUX_DATA, 0, 2, FRAMED_BODY_ALONE);
    raw_fini(&t);
}

static void test_goaway_comes_after_what_is_due_unless_it_is_an_error(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 2; code++) {
        struct side t;
        raw_init(&t);
        struct muxer_stream *s = open_stream(&t);
        side_write(&t, s, 5);
        t.muxer->ops->goaway(t.muxer, code);
        t.muxer->ops->goaway(t.muxer, 7);
        assert_true(t.muxer->goaway_sent);
        if (code)
            expect_frame(&t, YAMUX_GOAWAY, 0, 0, code);
        expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 2, 0);
        expect_frame(&t, YAMUX_DATA, 0, 2, 5);
        if (!code)
            expect_frame(&t, YAMUX_GOAWAY, 0, 0, 0);
        expect_silence(&t);
        raw_fini(&t);
    }
}

static void test_goaway_waits_for_the_last_due_byte_and_is_said_once(void **state)
{
    (void)state;
    struct side t;
    struct raw_frame f, last = {0};
    raw_init(&t);
    for (int i = 0; i < 5; i++)
        side_write(&t, open_stream(&t), 1500);
    t.muxer->ops->goaway(t.muxer, 0);
    /* Three bodies, the fourth SYN, and room that would do for a go-away. */
    assert_int_equal(side_send(&t, 5000), 3 * (1500 + 2 * YAMUX_HEADER) + YAMUX_HEADER);
    for (size_t sum = 0; raw_next(&t, &f); sum += f.length, last = f)
        assert_true(f.type != YAMUX_GOAWAY || sum == 5 * 1500);
    assert_int_equal(last.type, YAMUX_GOAWAY);
    raw_send(&t, YAMUX_PING, YAMUX_SYN, 7, 1);
    assert_int_equal(t.code, P2P_EPROTO);
    expect_silence(&t);
    raw_fini(&t);
}

/* --- the ACK backlog */

static void test_ack_backlog(void **state)
{
    (void)state;
    struct side t;
    struct raw_frame f;
    int code = 0;
    raw_init(&t);
    for (int i = 0; i < YAMUX_ACK_BACKLOG; i++)
        open_stream(&t);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ELIMIT);
    while (raw_next(&t, &f))
        continue;
    /* An ACK, any other word about the stream, its reset, ours: each makes room for one. */
    raw_send(&t, YAMUX_WINDOW, YAMUX_ACK, 2, 0);
    raw_send(&t, YAMUX_WINDOW, YAMUX_ACK, 2, 0);
    raw_data(&t, 0, 4, 0, 1);
    raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 6, 0);
    t.muxer->ops->stream_free(side_find(&t, 8));
    for (int i = 0; i < 4; i++)
        open_stream(&t);
    assert_null(side_open(&t, &code));
    raw_fini(&t);
}

static void test_ids_run_out(void **state)
{
    (void)state;
    struct side t;
    int code = 0;
    raw_init(&t);
    raw_yamux(&t)->next_id = UINT32_MAX - 3;
    assert_int_equal(open_stream(&t)->id, UINT32_MAX - 3);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ELIMIT);
    raw_fini(&t);
}

/* --- windows */

static void test_credit_at_half_the_window(void **state)
{
    (void)state;
    struct side t;
    uint32_t half = YAMUX_INITIAL_WINDOW / 2;
    raw_init(&t);
    raw_data(&t, YAMUX_SYN, 1, 0, half - 1);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 0);
    expect_silence(&t);
    raw_data(&t, 0, 1, half - 1, 1);
    expect_frame(&t, YAMUX_WINDOW, 0, 1, half);
    expect_silence(&t);
    struct yamux_stream *s = (struct yamux_stream *)side_find(&t, 1);
    assert_int_equal(s->recv_left, YAMUX_INITIAL_WINDOW);
    raw_data(&t, YAMUX_SYN, 3, 0, half);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 3, half);
    /* After the FIN nobody needs credit, not even if it was about to leave. */
    raw_send(&t, YAMUX_DATA, YAMUX_FIN, 1, half + 1);
    raw_body(&t, half, half);
    raw_body(&t, 2 * half, 1);
    expect_silence(&t);
    assert_true(s->base.flags & MUXER_EOF);
    raw_fini(&t);
}

static void test_an_unread_window_stays_closed(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    raw_data(&t, YAMUX_SYN, 1, 0, YAMUX_INITIAL_WINDOW);
    expect_silence(&t);
    struct muxer_stream *s = side_find(&t, 1);
    side_read(&t, s, YAMUX_INITIAL_WINDOW / 2 - 1);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 0);
    side_read(&t, s, 1);
    expect_frame(&t, YAMUX_WINDOW, 0, 1, YAMUX_INITIAL_WINDOW / 2);
    side_read(&t, s, 10);
    expect_silence(&t);
    raw_data(&t, 0, 1, YAMUX_INITIAL_WINDOW, YAMUX_INITIAL_WINDOW / 2);
    assert_int_equal(raw_send(&t, YAMUX_DATA, 0, 1, 1), P2P_EPROTO);
    raw_fini(&t);
}

static void test_a_larger_first_window_comes_as_credit(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(false);
    config.stream_window = 1000000;
    config.conn_window_max = 1000000;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    uint32_t more = 1000000 - YAMUX_INITIAL_WINDOW;
    open_stream(&t);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_SYN, 2, more);
    /* The connection's cap: the second gets what is left of it. */
    raw_data(&t, YAMUX_SYN, 1, 0, 1);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 1000000 - more + 1);
    t.muxer->ops->stream_free(side_find(&t, 2));
    t.muxer->ops->stream_free(side_find(&t, 1));
    assert_int_equal(raw_yamux(&t)->growth, 0);
    raw_fini(&t);
}

static void test_stopped_bytes_are_credited(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    raw_data(&t, YAMUX_SYN, 1, 0, 200000);
    t.muxer->ops->stop(side_find(&t, 1));
    expect_frame(&t, YAMUX_WINDOW, YAMUX_ACK, 1, 200000);
    raw_data(&t, 0, 1, 200000, 131071);
    expect_silence(&t);
    raw_data(&t, 0, 1, 331071, 1);
    expect_frame(&t, YAMUX_WINDOW, 0, 1, 131072);
    assert_int_equal(side_find(&t, 1)->in.tail, 0);
    raw_fini(&t);
}

/* A remote that sends half a window every `every_us` over a round trip of 10 ms. */
static uint32_t grown_window(struct muxer_config config, uint64_t every_us, bool slow_reader)
{
    struct side t;
    struct raw_frame f;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    t.muxer->ops->ping(t.muxer, t.now_us);
    expect_frame(&t, YAMUX_PING, YAMUX_SYN, 0, 1);
    t.now_us += 10000;
    raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, 1);
    assert_int_equal(t.muxer->rtt_us, 10000);
    t.hold = true;
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    struct yamux_stream *s = (struct yamux_stream *)side_find(&t, 1);
    uint64_t from = 0;
    for (int i = 0; i < 40; i++) {
        uint32_t keep = slow_reader ? s->base.in.max / 2 - 10 : 0;
        uint32_t n = s->base.in.max - (uint32_t)buf_len(&s->base.in) - s->owed;
        raw_data(&t, 0, 1, from, n);
        from += n;
        t.now_us += every_us;
        side_read(&t, &s->base, buf_len(&s->base.in) - keep);
        while (raw_next(&t, &f))
            continue;
        assert_int_equal(s->recv_left + s->owed + buf_len(&s->base.in), s->base.in.max);
        assert_true(raw_yamux(&t)->growth <= config.conn_window_max);
    }
    uint32_t window = s->base.in.max;
    raw_fini(&t);
    return window;
}

static void test_autotune(void **state)
{
    (void)state;
    struct muxer_config config = side_config(false);
    assert_int_equal(grown_window(config, 19999, false), 16 * 1024 * 1024);
    assert_int_equal(grown_window(config, 20000, false), YAMUX_INITIAL_WINDOW);
    assert_int_equal(grown_window(config, 19999, true), YAMUX_INITIAL_WINDOW);
    config.stream_window_max = 700000;
    assert_int_equal(grown_window(config, 1000, false), 700000);
    config.conn_window_max = 300000;
    assert_int_equal(grown_window(config, 1000, false), YAMUX_INITIAL_WINDOW + 300000);
    config.conn_window_max = 0;
    assert_int_equal(grown_window(config, 1000, false), YAMUX_INITIAL_WINDOW);
}

/* --- keep-alive */

static void test_keepalive_of_a_live_remote(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(false);
    config.keepalive_ms = 1000;
    config.keepalive_timeout_ms = 500;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    const struct muxer_ops *ops = t.muxer->ops;
    expect_frame(&t, YAMUX_PING, YAMUX_SYN, 0, 1);
    t.now_us += 250;
    raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, 1);
    assert_int_equal(t.muxer->rtt_us, 250);
    raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, 1);
    for (uint32_t i = 2; i < 10; i++) {
        assert_int_equal(ops->deadline(t.muxer), t.now_us + 1000000);
        t.now_us += 1000000;
        assert_int_equal(ops->timeout(t.muxer, t.now_us), 0);
        expect_frame(&t, YAMUX_PING, YAMUX_SYN, 0, i);
        t.now_us += 400000;
        /* A wrong answer measures nothing, but proves life. */
        raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, i % 2 ? i : 99);
        assert_int_equal(t.muxer->rtt_us, i == 2 ? 250 : 400000);
    }
    raw_fini(&t);
    raw_init(&t);
    assert_true(ops->deadline(t.muxer) == UINT64_MAX);
    expect_silence(&t);
    raw_fini(&t);
}

/* A farewell may follow at any time, and must not stand within a frame. */
static void test_replies_leave_as_whole_frames(void **state)
{
    (void)state;
    struct side t;
    struct iov iov[SIDE_IOV];
    size_t bytes;
    raw_init(&t);
    for (uint32_t i = 0; i < 256 + 20; i++) /* of the last twenty each is refused */
        assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0), 0);
    for (int left = 20; left > 10; left -= 5) {
        t.muxer->ops->pump_out(t.muxer, iov, SIDE_IOV, MUXER_OUT_BYTES_MIN, t.now_us, &bytes);
        assert_int_equal(bytes, 5 * YAMUX_HEADER);
        t.muxer->ops->sent(t.muxer);
    }
    assert_int_equal(outq_len(&raw_yamux(&t)->framed.control), 10 * YAMUX_HEADER);
    raw_send(&t, YAMUX_PING, YAMUX_SYN, 1, 0); /* forbidden */
    expect_goaway(&t);
    raw_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_layout),
        cmocka_unit_test(test_outbound_life),
        cmocka_unit_test(test_inbound_is_acknowledged_with_the_first_output),
        cmocka_unit_test(test_reset_codes),
        cmocka_unit_test(test_what_a_fin_completed_survives_a_reset),
        cmocka_unit_test(test_unread_body_is_told_before_the_next),
        cmocka_unit_test(test_frame_sizes),
        cmocka_unit_test(test_small_frames_are_one_piece_and_large_ones_are_not_copied),
        cmocka_unit_test(test_pumps_of_every_size),
        cmocka_unit_test(test_replies_come_before_bulk),
        cmocka_unit_test(test_goaway_comes_after_what_is_due_unless_it_is_an_error),
        cmocka_unit_test(test_goaway_waits_for_the_last_due_byte_and_is_said_once),
        cmocka_unit_test(test_ack_backlog),
        cmocka_unit_test(test_ids_run_out),
        cmocka_unit_test(test_credit_at_half_the_window),
        cmocka_unit_test(test_an_unread_window_stays_closed),
        cmocka_unit_test(test_a_larger_first_window_comes_as_credit),
        cmocka_unit_test(test_stopped_bytes_are_credited),
        cmocka_unit_test(test_autotune),
        cmocka_unit_test(test_keepalive_of_a_live_remote),
        cmocka_unit_test(test_replies_leave_as_whole_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
