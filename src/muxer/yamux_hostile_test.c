/* The rows of the catalogue of attacks that are yamux's, each by its id. */
#include "tests/yamux_raw.h"

static void bad_header(uint32_t version, uint32_t type)
{
    struct side t;
    raw_init(&t);
    uint8_t header[YAMUX_HEADER] = {(uint8_t)version, (uint8_t)type, 0, 1, 0, 0, 0, 1};
    side_feed(&t, header, sizeof(header));
    expect_goaway(&t);
    /* It stays ended. */
    t.code = 0;
    assert_int_equal(raw_send(&t, YAMUX_PING, YAMUX_SYN, 0, 1), P2P_EPROTO);
    raw_fini(&t);
}

static void test_Y01_version_and_type(void **state)
{
    (void)state;
    bad_header(1, YAMUX_WINDOW);
    bad_header(255, YAMUX_DATA);
    bad_header(0, 4);
    bad_header(0, 255);
}

static void test_Y03_first_body_over_the_window(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    assert_int_equal(raw_data(&t, YAMUX_SYN, 1, 0, YAMUX_INITIAL_WINDOW), 0);
    assert_int_equal(buf_len(&side_find(&t, 1)->in), YAMUX_INITIAL_WINDOW);
    raw_fini(&t);
    raw_init(&t);
    raw_send(&t, YAMUX_DATA, YAMUX_SYN, 1, YAMUX_INITIAL_WINDOW + 1);
    assert_int_equal(t.opened, 0);
    expect_goaway(&t);
    raw_fini(&t);
}

static void test_Y04_one_byte_over_the_window(void **state)
{
    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        struct side t;
        raw_init(&t);
        t.hold = true;
        raw_data(&t, YAMUX_SYN, 1, 0, 200000);
        int code = raw_data(&t, 0, 1, 200000, YAMUX_INITIAL_WINDOW - 200000 + over);
        assert_int_equal(code, over ? P2P_EPROTO : 0);
        if (over)
            expect_goaway(&t);
        else
            assert_int_equal(raw_data(&t, 0, 1, 0, 0), 0);
        raw_fini(&t);
    }
}

static void test_Y05_judged_by_the_header_alone(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    raw_send(&t, YAMUX_DATA, 0, 1, UINT32_MAX);
    expect_goaway(&t);
    raw_fini(&t);
    raw_init(&t);
    raw_send(&t, YAMUX_DATA, 0, 1, UINT32_MAX);
    assert_int_equal(t.code, P2P_ELIMIT);
    raw_fini(&t);
}

static void test_Y06_send_window_never_wraps(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    struct yamux_stream *s = (struct yamux_stream *)side_find(&t, 1);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, 0, 1, UINT32_MAX - YAMUX_INITIAL_WINDOW), 0);
    assert_int_equal(s->send_window, UINT32_MAX);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, 0, 1, 0), 0);
    raw_send(&t, YAMUX_WINDOW, 0, 1, 1);
    assert_int_equal(s->send_window, UINT32_MAX);
    expect_goaway(&t);
    raw_fini(&t);
    raw_init(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, UINT32_MAX);
    expect_goaway(&t);
    raw_fini(&t);
    raw_init(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    raw_send(&t, YAMUX_WINDOW, 0, 1, UINT32_MAX);
    raw_send(&t, YAMUX_WINDOW, 0, 1, UINT32_MAX);
    expect_goaway(&t);
    raw_fini(&t);
}

static void test_Y08_frames_for_streams_that_never_were(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    size_t idle = t.pool.used_bytes;
    for (int i = 0; i < 1000; i++) {
        raw_send(&t, YAMUX_WINDOW, 0, 77, 1000);
        raw_send(&t, YAMUX_WINDOW, YAMUX_FIN, 77, 0);
        raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 78, 0);
        raw_send(&t, YAMUX_DATA, YAMUX_FIN | YAMUX_RST, 78, 0);
    }
    for (uint32_t sum = 0; sum < YAMUX_DRAIN_MAX; sum += YAMUX_INITIAL_WINDOW) {
        assert_int_equal(raw_data(&t, 0, 77, 0, YAMUX_INITIAL_WINDOW), 0);
        assert_int_equal(t.pool.used_bytes, idle);
    }
    expect_silence(&t);
    assert_int_equal(raw_data(&t, 0, 77, 0, 1), P2P_ELIMIT);
    raw_fini(&t);
}

/* A stream that we reset may be sent its whole window before the remote knows. */
static void test_Y08_in_flight_bytes_after_our_reset_are_free(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t id = 1 + 2 * i;
        raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, id, 0);
        raw_send(&t, YAMUX_DATA, 0, id, 1000);
        raw_body(&t, 0, 400);
        t.muxer->ops->stream_free(side_find(&t, id));
        assert_int_equal(raw_body(&t, 400, 600), 0);
        assert_int_equal(raw_data(&t, 0, id, 1000, YAMUX_INITIAL_WINDOW - 1000), 0);
        expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, id, 0);
    }
    assert_int_equal(raw_yamux(&t)->drain_left, YAMUX_DRAIN_MAX);
    raw_fini(&t);
}

/* Nor does a remote that was refused know it at once. */
static void test_Y08_in_flight_bytes_of_refused_streams_are_free(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(false);
    config.streams_in_max = 0;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(raw_data(&t, YAMUX_SYN, 1 + 2 * i, 0, YAMUX_INITIAL_WINDOW), 0);
        expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 1 + 2 * i, 0);
    }
    assert_int_equal(raw_yamux(&t)->drain_left, YAMUX_DRAIN_MAX);
    raw_fini(&t);
}

static void test_Y09_parity_and_zero(void **state)
{
    (void)state;
    static const uint32_t id[] = {2, 0, UINT32_MAX - 1};
    for (size_t i = 0; i < 3; i++)
        for (uint32_t type = YAMUX_DATA; type <= YAMUX_WINDOW; type++) {
            struct side t;
            raw_init(&t);
            raw_send(&t, type, YAMUX_SYN, id[i], 0);
            expect_goaway(&t);
            raw_fini(&t);
        }
    struct side t;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, side_config(true)), 0);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 2, 0), 0);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    expect_goaway(&t);
    raw_fini(&t);
}

static void test_Y10_an_id_in_use(void **state)
{
    (void)state;
    for (int half = 0; half < 3; half++) {
        struct side t;
        raw_init(&t);
        t.keep = true;
        raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
        if (half == 1)
            raw_send(&t, YAMUX_WINDOW, YAMUX_FIN, 1, 0);
        if (half == 2) {
            t.muxer->ops->close_write(side_find(&t, 1));
            side_send(&t, SIDE_OUT);
        }
        assert_int_equal(t.code, 0);
        raw_send(&t, half ? YAMUX_DATA : YAMUX_WINDOW, YAMUX_SYN, 1, 0);
        expect_goaway(&t);
        raw_fini(&t);
    }
}

static void test_Y12_streams_beyond_the_limit(void **state)
{
    (void)state;
    struct side t;
    struct raw_frame f;
    raw_init(&t);
    uint32_t refused = 0;
    size_t most = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0), 0);
        if (i % 100 == 0)
            for (; raw_next(&t, &f); refused++)
                assert_true(f.type == YAMUX_WINDOW && f.flags == YAMUX_RST);
        most = t.pool.used_bytes > most ? t.pool.used_bytes : most;
        assert_true(t.muxer->streams_in <= 256);
    }
    while (raw_next(&t, &f))
        refused++;
    assert_int_equal(t.opened, 256);
    assert_int_equal(refused, 100000 - 256);
    assert_true(most <= POOL_MEDIUM);
    raw_fini(&t);
}

/* All in one read: the reader of the replies is given the time to read them. */
static void test_Y12_a_burst_of_streams_is_no_flood(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    uint8_t *burst = malloc(10000 * YAMUX_HEADER);
    for (uint32_t i = 0; i < 10000; i++)
        p2p__yamux_header(burst + i * YAMUX_HEADER, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
    buf_init(&t.in, 10000 * YAMUX_HEADER);
    p2p__buf_borrow(&t.in, &t.pool, burst, 0, 10000 * YAMUX_HEADER);
    int code;
    while ((code = t.muxer->ops->pump_in(t.muxer, &t.in, t.now_us)) == MUXER_TELL) {
        side_tell(&t);
        while (side_send(&t, SIDE_OUT))
            continue;
    }
    assert_int_equal(code, STEP_WANT_INPUT);
    side_send(&t, SIDE_OUT);
    assert_int_equal(t.wire_len, (10000 - 256) * YAMUX_HEADER);
    free(burst);
    raw_fini(&t);
}

/* A remote that keeps to the limit is not refused because we have not freed yet what is over. */
static void test_Y12_what_is_over_is_freed_first(void **state)
{
    (void)state;
    struct side t;
    struct raw_frame f;
    raw_init(&t);
    uint8_t batch[2 * 256 * YAMUX_HEADER];
    size_t len = 0;
    for (uint32_t i = 0; i < 256; i++) {
        raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
        t.muxer->ops->close_write(side_find(&t, 1 + 2 * i));
    }
    while (raw_next(&t, &f))
        continue;
    for (uint32_t i = 0; i < 256; i++, len += YAMUX_HEADER)
        p2p__yamux_header(batch + len, YAMUX_WINDOW, YAMUX_FIN, 1 + 2 * i, 0);
    for (uint32_t i = 256; i < 512; i++, len += YAMUX_HEADER)
        p2p__yamux_header(batch + len, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
    assert_int_equal(side_feed(&t, batch, len), 0);
    assert_int_equal(t.opened, 512);
    assert_int_equal(t.finished, 256);
    expect_silence(&t);
    raw_fini(&t);
}

static void test_Y13_replies_that_nobody_reads(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    uint32_t i = 0;
    while (i < 100000 && raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0) == 0) {
        assert_true(outq_len(&raw_yamux(&t)->framed.control) <= FRAMED_CONTROL_MAX);
        i++;
    }
    assert_int_equal(i, 256 + FRAMED_CONTROL_MAX / YAMUX_HEADER);
    assert_int_equal(t.code, P2P_ELIMIT);
    raw_fini(&t);
}

static void test_Y14_pings_without_reading(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    for (uint32_t i = 0; i < 1000000; i++) {
        uint8_t header[YAMUX_HEADER];
        p2p__yamux_header(header, YAMUX_PING, YAMUX_SYN, 0, i);
        struct buf in = {.block = header, .tail = YAMUX_HEADER, .max = YAMUX_HEADER};
        assert_int_equal(t.muxer->ops->pump_in(t.muxer, &in, t.now_us), STEP_WANT_INPUT);
    }
    for (uint32_t i = 0; i < YAMUX_PONGS_MAX; i++)
        expect_frame(&t, YAMUX_PING, YAMUX_ACK, 0, i);
    expect_silence(&t);
    raw_send(&t, YAMUX_PING, YAMUX_SYN, 0, 0xffffffff);
    expect_frame(&t, YAMUX_PING, YAMUX_ACK, 0, 0xffffffff);
    raw_fini(&t);
}

static void test_Y15_pings_out_of_place(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    assert_int_equal(raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, 0), 0);
    assert_int_equal(raw_send(&t, YAMUX_PING, YAMUX_ACK, 0, 1), 0);
    assert_int_equal(raw_send(&t, YAMUX_PING, 0, 0, 1), 0);
    assert_int_equal(t.muxer->rtt_us, 0);
    expect_silence(&t);
    raw_send(&t, YAMUX_PING, YAMUX_SYN, 7, 1);
    expect_goaway(&t);
    raw_fini(&t);
}

static void test_Y16_goaway(void **state)
{
    (void)state;
    struct side t;
    int code = 0;
    raw_init(&t);
    raw_send(&t, YAMUX_GOAWAY, 0, 0, 0xdeadbeef);
    assert_true(t.muxer->goaway_received);
    assert_int_equal(t.muxer->remote_code, 0xdeadbeef);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(raw_send(&t, YAMUX_GOAWAY, 0, 0, i), 0);
    assert_int_equal(t.muxer->remote_code, 0xdeadbeef);
    expect_silence(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 1, 0);
    assert_int_equal(t.opened, 0);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ECLOSED);
    raw_fini(&t);
    raw_init(&t);
    t.muxer->ops->goaway(t.muxer, 0);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 1, 0);
    expect_frame(&t, YAMUX_GOAWAY, 0, 0, 0);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ECLOSED);
    raw_fini(&t);
}

static int open_and_reset(struct side *t, uint32_t i, bool together)
{
    uint32_t id = 1 + 2 * i;
    if (together)
        return raw_send(t, YAMUX_WINDOW, YAMUX_SYN | YAMUX_RST, id, 0);
    raw_data(t, YAMUX_SYN, id, 0, 20);
    return raw_send(t, YAMUX_WINDOW, YAMUX_RST, id, 0);
}

static void test_Y17_rapid_reset(void **state)
{
    (void)state;
    for (int together = 0; together < 2; together++) {
        struct side t;
        raw_init(&t);
        for (uint32_t i = 0; i < MUXER_RESETS_BURST; i++)
            assert_int_equal(open_and_reset(&t, i, together), 0);
        t.now_us += 4999;
        assert_int_equal(open_and_reset(&t, 1000, together), P2P_ELIMIT);
        raw_fini(&t);
        /* A quiet hour earns one burst, not an hour's worth. */
        raw_init(&t);
        t.now_us += 3600000000;
        for (uint32_t i = 0; i < MUXER_RESETS_BURST; i++)
            assert_int_equal(open_and_reset(&t, i, together), 0);
        assert_int_equal(open_and_reset(&t, 1000, together), P2P_ELIMIT);
        raw_fini(&t);
        /* 200 a second are borne for ever, 5,000 us apart on average or a second's worth at a time.
         */
        raw_init(&t);
        for (uint32_t i = 0; i < 20000; i++) {
            t.now_us += i < 10000 ? (i % 2 ? 2500 : 7500) : i % 200 == 0 ? 1000000 : 0;
            assert_int_equal(open_and_reset(&t, i, together), 0);
            side_send(&t, SIDE_OUT);
            t.wire_len = 0;
        }
        raw_fini(&t);
    }
}

/* Streams that come and go in order, however many, are no attack; nor is a reset after the answer.
 */
static void test_Y17_honest_streams_are_not_counted(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.echo = true;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t id = 1 + 2 * i;
        raw_data(&t, YAMUX_SYN, id, 0, 20);
        if (i % 2)
            t.muxer->ops->close_write(side_find(&t, id));
        side_send(&t, SIDE_OUT);
        t.wire_len = 0;
        assert_int_equal(raw_send(&t, YAMUX_WINDOW, i % 2 ? YAMUX_RST : YAMUX_FIN, id, 0), 0);
        side_send(&t, SIDE_OUT);
        t.wire_len = 0;
    }
    assert_int_equal(t.opened, 20000);
    side_tell(&t);
    assert_int_equal(t.muxer->streams_in, 0);
    raw_fini(&t);
}

/* go resets the stream of every ping once the answer is there. */
static void test_Y17_a_reset_after_an_answer_is_not_counted(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t id = 1 + 2 * i;
        raw_data(&t, YAMUX_SYN, id, 0, 20);
        side_write(&t, side_find(&t, id), 1);
        side_send(&t, SIDE_OUT);
        t.wire_len = 0;
        assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_RST, id, 0), 0);
        side_send(&t, SIDE_OUT);
        t.wire_len = 0;
    }
    raw_fini(&t);
}

static void test_Y19_no_credit_no_bytes(void **state)
{
    (void)state;
    struct side t;
    struct raw_frame f;
    raw_init(&t);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    struct muxer_stream *s = side_find(&t, 1);
    side_write(&t, s, 2 * YAMUX_INITIAL_WINDOW);
    uint32_t sum = 0;
    while (raw_next(&t, &f))
        sum += f.type == YAMUX_DATA ? f.length : 0;
    assert_int_equal(sum, YAMUX_INITIAL_WINDOW);
    assert_int_equal(outq_len(&s->out), YAMUX_INITIAL_WINDOW);
    assert_true(list_empty(&s->due));
    raw_send(&t, YAMUX_WINDOW, 0, 1, 1);
    expect_frame(&t, YAMUX_DATA, 0, 1, 1);
    expect_silence(&t);
    t.muxer->ops->reset(s, 3);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 1, 3);
    assert_int_equal(outq_len(&s->out), 0);
    t.muxer->ops->stream_free(s);
    raw_fini(&t);
}

static void test_Y22_data_after_fin_resets_the_stream(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN | YAMUX_FIN, 1, 0);
    struct muxer_stream *s = side_find(&t, 1);
    assert_true(s->flags & MUXER_EOF);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_FIN, 1, 0), 0);
    assert_int_equal(raw_send(&t, YAMUX_DATA, YAMUX_FIN, 1, 0), 0);
    assert_false(s->flags & MUXER_DONE);
    assert_int_equal(raw_data(&t, 0, 1, 0, 1000), 0);
    assert_int_equal(s->flags & (MUXER_RESET | MUXER_DONE), MUXER_RESET | MUXER_DONE);
    assert_int_equal(app_of(s)->done, 1);
    assert_int_equal(app_of(s)->got, 0);
    expect_frame(&t, YAMUX_WINDOW, YAMUX_RST, 1, 0);
    assert_int_equal(raw_data(&t, 0, 1, 0, 1000), 0);
    expect_silence(&t);
    raw_fini(&t);
}

static void test_Y22_flags_in_every_mixture(void **state)
{
    (void)state;
    for (uint32_t type = YAMUX_DATA; type <= YAMUX_WINDOW; type++)
        for (uint32_t first = 0; first < 16; first++)
            for (uint32_t second = 0; second < 16; second++) {
                struct side t;
                struct raw_frame f;
                raw_init(&t);
                raw_send(&t, type, first, 1, 0);
                raw_send(&t, type, second, 1, 0);
                raw_send(&t, type, YAMUX_RST, 1, 9);
                raw_body(&t, 0, type == YAMUX_DATA ? 9 : 0);
                bool live = (first & YAMUX_SYN) && !(first & YAMUX_RST);
                bool dead = live && (second & YAMUX_SYN);
                assert_int_equal(t.code, dead ? P2P_EPROTO : 0);
                while (raw_next(&t, &f))
                    assert_int_equal(f.type, dead ? YAMUX_GOAWAY : YAMUX_WINDOW);
                assert_true(t.finished <= t.opened);
                raw_fini(&t);
            }
}

static void test_Y22_rst_then_data_and_ack_for_nobody(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_ACK, 2, 0), 0);
    assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_ACK, 5, 0), 0);
    raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
    raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 1, 0xabcd);
    assert_int_equal(t.finished, 1);
    assert_int_equal(raw_data(&t, YAMUX_FIN, 1, 0, 5000), 0);
    expect_silence(&t);
    raw_fini(&t);
}

static void test_Y24_keepalive_unanswered(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(true);
    config.keepalive_ms = 30000;
    config.keepalive_timeout_ms = 10000;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    const struct muxer_ops *ops = t.muxer->ops;
    uint64_t start = t.now_us;
    expect_frame(&t, YAMUX_PING, YAMUX_SYN, 0, 1);
    assert_int_equal(ops->deadline(t.muxer), start + 30000000);
    t.now_us = start + 30000000 - 1;
    assert_int_equal(ops->timeout(t.muxer, t.now_us), 0);
    expect_silence(&t);
    t.now_us++;
    assert_int_equal(ops->timeout(t.muxer, t.now_us), 0);
    expect_frame(&t, YAMUX_PING, YAMUX_SYN, 0, 2);
    assert_int_equal(ops->deadline(t.muxer), start + 40000000);
    t.now_us = start + 40000000 - 1;
    assert_int_equal(ops->timeout(t.muxer, t.now_us), 0);
    t.now_us++;
    assert_int_equal(ops->timeout(t.muxer, t.now_us), P2P_ETIMEDOUT);
    assert_non_null(t.muxer->error);
    raw_fini(&t);
}

/* Bytes that complete no frame are no sign of life, however often they are looked at. */
static void test_Y24_half_a_header_is_no_answer(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(true);
    config.keepalive_ms = 30000;
    config.keepalive_timeout_ms = 10000;
    assert_int_equal(side_init(&t, &p2p__muxer_yamux, config), 0);
    t.now_us += 30000000;
    assert_int_equal(t.muxer->ops->timeout(t.muxer, t.now_us), 0);
    for (int i = 0; i < 10; i++) {
        t.now_us += 1000000;
        assert_int_equal(side_feed(&t, (const uint8_t[]){0}, 1), 0);
    }
    assert_int_equal(t.muxer->ops->timeout(t.muxer, t.now_us), P2P_ETIMEDOUT);
    raw_fini(&t);
}

static void test_Y27_each_stream_ends_once(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    for (uint32_t i = 0; i < 256; i++) {
        raw_send(&t, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
        side_write(&t, side_find(&t, 1 + 2 * i), 300000);
    }
    side_send(&t, SIDE_OUT);
    for (int again = 0; again < 2; again++)
        for (uint32_t i = 0; i < 256; i++)
            assert_int_equal(raw_send(&t, YAMUX_WINDOW, YAMUX_RST, 1 + 2 * i, i), 0);
    raw_send(&t, YAMUX_GOAWAY, 0, 0, 0);
    assert_int_equal(t.finished, 256);
    assert_true(list_empty(&t.muxer->ready));
    assert_true(list_empty(&t.muxer->due));
    for (uint32_t i = 0; i < 256; i++) {
        struct muxer_stream *s = side_find(&t, 1 + 2 * i);
        assert_int_equal(app_of(s)->done, 1);
        assert_int_equal(s->remote_code, i);
        assert_int_equal(outq_len(&s->out), 0);
        t.muxer->ops->stream_free(s);
    }
    assert_int_equal(t.muxer->streams_in, 0);
    raw_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_Y01_version_and_type),
        cmocka_unit_test(test_Y03_first_body_over_the_window),
        cmocka_unit_test(test_Y04_one_byte_over_the_window),
        cmocka_unit_test(test_Y05_judged_by_the_header_alone),
        cmocka_unit_test(test_Y06_send_window_never_wraps),
        cmocka_unit_test(test_Y08_frames_for_streams_that_never_were),
        cmocka_unit_test(test_Y08_in_flight_bytes_after_our_reset_are_free),
        cmocka_unit_test(test_Y08_in_flight_bytes_of_refused_streams_are_free),
        cmocka_unit_test(test_Y09_parity_and_zero),
        cmocka_unit_test(test_Y10_an_id_in_use),
        cmocka_unit_test(test_Y12_streams_beyond_the_limit),
        cmocka_unit_test(test_Y12_a_burst_of_streams_is_no_flood),
        cmocka_unit_test(test_Y12_what_is_over_is_freed_first),
        cmocka_unit_test(test_Y13_replies_that_nobody_reads),
        cmocka_unit_test(test_Y14_pings_without_reading),
        cmocka_unit_test(test_Y15_pings_out_of_place),
        cmocka_unit_test(test_Y16_goaway),
        cmocka_unit_test(test_Y17_rapid_reset),
        cmocka_unit_test(test_Y17_honest_streams_are_not_counted),
        cmocka_unit_test(test_Y17_a_reset_after_an_answer_is_not_counted),
        cmocka_unit_test(test_Y19_no_credit_no_bytes),
        cmocka_unit_test(test_Y22_data_after_fin_resets_the_stream),
        cmocka_unit_test(test_Y22_flags_in_every_mixture),
        cmocka_unit_test(test_Y22_rst_then_data_and_ack_for_nobody),
        cmocka_unit_test(test_Y24_keepalive_unanswered),
        cmocka_unit_test(test_Y24_half_a_header_is_no_answer),
        cmocka_unit_test(test_Y27_each_stream_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
