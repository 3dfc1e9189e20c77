/* The rows of the catalogue of attacks that are mplex's, each by its id. */
#include "tests/mplex_raw.h"

static int feed_new(const uint8_t *bytes, size_t len, bool ends)
{
    struct side t;
    raw_init(&t);
    int code = side_feed(&t, bytes, len);
    if (ends)
        expect_end(&t, P2P_EPROTO);
    raw_fini(&t);
    return code;
}

static void test_M01_headers_out_of_range(void **state)
{
    (void)state;
    /* 2^60-1 is the last id; 2^60 takes ten bytes, as any other header of ten does. */
    static const uint8_t last[] = {0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00};
    static const uint8_t over[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0};
    static const uint8_t padded[] = {0x80, 0x00, 0x00};
    assert_int_equal(feed_new(last, sizeof(last), false), 0);
    assert_int_equal(feed_new(over, 8, false), 0);
    feed_new(over, 9, true);
    feed_new(over, sizeof(over), true);
    feed_new(padded, sizeof(padded), true);
    for (uint8_t flag = 0; flag < 8; flag++) {
        uint8_t frame[] = {(uint8_t)(5 << 3 | flag), 0};
        assert_int_equal(feed_new(frame, 1, flag == 7), flag == 7 ? P2P_EPROTO : 0);
        assert_int_equal(feed_new(frame, 2, flag == 7), flag == 7 ? P2P_EPROTO : 0);
    }
}

static void test_M02_length_over_one_mib(void **state)
{
    (void)state;
    static const uint8_t over[] = {0x02, 0x81, 0x80, 0x40}, name[] = {0x00, 0x81, 0x80, 0x40};
    feed_new(over, sizeof(over), true);
    feed_new(name, sizeof(name), true);
    struct side t;
    raw_init(&t);
    raw_send(&t, NEW, 0, 0);
    assert_int_equal(raw_data(&t, DATA_THEIRS, 0, 0, MPLEX_LENGTH_MAX), 0);
    assert_int_equal(t.got, MPLEX_LENGTH_MAX);
    raw_send(&t, DATA_THEIRS, 0, MPLEX_LENGTH_MAX + 1);
    expect_end(&t, P2P_EPROTO);
    raw_fini(&t);
}

static void test_M03_unread_bytes_reset_the_stream(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_send(&t, NEW, 2, 0);
    t.hold = true;
    raw_send(&t, NEW, 1, 0);
    struct muxer_stream *slow = &theirs(&t, 1)->base;
    for (uint64_t sum = 0; sum < MPLEX_UNREAD_MAX; sum += MPLEX_LENGTH_MAX)
        assert_int_equal(raw_data(&t, DATA_THEIRS, 1, sum, MPLEX_LENGTH_MAX), 0);
    assert_int_equal(buf_len(&slow->in), MPLEX_UNREAD_MAX);
    assert_false(slow->flags & MUXER_DONE);
    expect_silence(&t);
    assert_int_equal(raw_data(&t, DATA_THEIRS, 1, 0, 1), 0);
    assert_true(slow->flags & MUXER_RESET);
    assert_true(slow->flags & MUXER_OVERRUN);
    assert_int_equal(app_of(slow)->done, 1);
    assert_int_equal(buf_len(&slow->in), 0);
    expect_frame(&t, RESET_OURS, 1, 0);
    size_t idle = t.pool.used_bytes;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(raw_data(&t, DATA_THEIRS, 1, 0, MPLEX_LENGTH_MAX), 0);
        assert_int_equal(t.pool.used_bytes, idle);
    }
    expect_silence(&t);
    raw_data(&t, DATA_THEIRS, 2, 0, 5000);
    assert_int_equal(t.got, 5000);
    raw_fini(&t);
}

/* One delivery brings more than there is room for: the reader is asked before it is judged. */
static void test_M03_a_reader_is_told_before_it_is_too_slow(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    raw_send(&t, NEW, 1, 0);
    struct muxer_stream *s = &theirs(&t, 1)->base;
    uint64_t at = MPLEX_UNREAD_MAX - 10;
    for (uint64_t sum = 0; sum < at; sum += MPLEX_LENGTH_MAX)
        raw_data(&t, DATA_THEIRS, 1, sum,
                 at - sum < MPLEX_LENGTH_MAX ? (size_t)(at - sum) : MPLEX_LENGTH_MAX);
    assert_int_equal(buf_len(&s->in), at);
    app_of(s)->hold = false;
    muxer_make_ready(s);
    uint8_t bytes[5000 + FRAMED_HEADER_MAX];
    size_t len = p2p__mplex_header(bytes, 1, DATA_THEIRS, 5000);
    for (size_t i = 0; i < 5000; i++)
        bytes[len++] = pattern(at + i);
    assert_int_equal(side_feed(&t, bytes, len), 0);
    assert_false(s->flags & MUXER_RESET);
    assert_int_equal(t.got, at + 5000);
    raw_fini(&t);
}

static void test_M03_a_stopped_reader_is_not_slow(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    raw_send(&t, NEW, 1, 0);
    struct muxer_stream *s = &theirs(&t, 1)->base;
    raw_data(&t, DATA_THEIRS, 1, 0, 1000);
    t.muxer->ops->stop(s);
    for (int i = 0; i < 6; i++)
        raw_data(&t, DATA_THEIRS, 1, 0, MPLEX_LENGTH_MAX);
    assert_int_equal(buf_len(&s->in), 0);
    assert_false(s->flags & MUXER_RESET);
    expect_silence(&t);
    raw_fini(&t);
}

static void test_M05_streams_with_long_names(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    uint32_t resets = 0;
    size_t used = 0;
    struct raw_frame f;
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(raw_data(&t, NEW, i, 0, 1024), 0);
        assert_true(t.muxer->streams_in <= 256);
        while (raw_next(&t, &f)) {
            assert_int_equal(f.flag, RESET_OURS);
            resets++;
        }
        if (i == 256)
            used = t.pool.used_bytes;
    }
    assert_int_equal(t.opened, 256);
    assert_int_equal(resets, 100000 - 256);
    assert_int_equal(t.pool.used_bytes, used);
    assert_int_equal(t.got, 0);
    raw_fini(&t);
}

static void test_M05_what_is_over_is_freed_first(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    uint8_t bytes[4096];
    /* All in one delivery: each stream is over before the next opens, and none is refused. */
    for (uint32_t i = 0; i < 512; i += 64) {
        size_t len = 0;
        for (uint32_t k = i; k < i + 64; k++) {
            len += p2p__mplex_header(bytes + len, k, NEW, 0);
            len += p2p__mplex_header(bytes + len, k, RESET_THEIRS, 0);
        }
        assert_int_equal(side_feed(&t, bytes, len), 0);
    }
    assert_int_equal(t.opened, 512);
    assert_int_equal(t.muxer->streams_in, 0);
    expect_silence(&t);
    raw_fini(&t);
    struct muxer_config config = side_config(false);
    config.streams_in_max = 4;
    assert_int_equal(side_init(&t, &p2p__muxer_mplex, config), 0);
    size_t len = 0;
    for (uint32_t k = 0; k < 64; k++) {
        len += p2p__mplex_header(bytes + len, k, NEW, 0);
        len += p2p__mplex_header(bytes + len, k, RESET_THEIRS, 0);
    }
    assert_int_equal(side_feed(&t, bytes, len), 0);
    assert_int_equal(t.opened, 64);
    expect_silence(&t);
    raw_fini(&t);
}

/* As Y13. */
static void test_M05_replies_that_nobody_reads(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    int code = 0;
    uint32_t i = 0;
    for (; i < 100000 && code == 0; i++) {
        code = raw_send(&t, NEW, i, 0);
        assert_true(outq_len(&raw_mplex(&t)->framed.control) <= FRAMED_CONTROL_MAX);
    }
    assert_int_equal(code, P2P_ELIMIT);
    assert_true(i > FRAMED_CONTROL_MAX / 12 && i < FRAMED_CONTROL_MAX / 2);
    expect_end(&t, P2P_ELIMIT);
    raw_fini(&t);
}

/* As Y17. */
static void test_rapid_reset(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    uint32_t i = 0;
    for (; i < 100000 && t.code == 0; i++) {
        t.now_us += 1000;
        raw_send(&t, NEW, i, 0);
        raw_data(&t, DATA_THEIRS, i, 0, 100);
        raw_send(&t, RESET_THEIRS, i, 0);
    }
    /* The burst, and what a thousand a second earned meanwhile. */
    assert_true(i > MUXER_RESETS_BURST && i < MUXER_RESETS_BURST * 4 / 3);
    expect_end(&t, P2P_ELIMIT);
    raw_fini(&t);
    raw_init(&t);
    for (i = 0; i < 2000; i++) {
        t.now_us += 1000000 / MUXER_RESETS_PER_S;
        raw_send(&t, NEW, i, 0);
        assert_int_equal(raw_send(&t, RESET_THEIRS, i, 0), 0);
    }
    raw_fini(&t);
    raw_init(&t);
    t.echo = true;
    for (i = 0; i < 2000; i++) {
        raw_send(&t, NEW, i, 0);
        raw_data(&t, DATA_THEIRS, i, 0, 10);
        expect_frame(&t, DATA_OURS, i, 10);
        assert_int_equal(raw_send(&t, RESET_THEIRS, i, 0), 0);
    }
    raw_fini(&t);
}

static void test_words_for_streams_that_never_were(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    size_t idle = t.pool.used_bytes;
    for (uint32_t flag = DATA_OURS; flag <= RESET_THEIRS; flag++)
        for (int i = 0; i < 100; i++)
            assert_int_equal(raw_data(&t, flag, 77, 0, 60000), 0);
    assert_int_equal(t.pool.used_bytes, idle);
    assert_int_equal(t.opened, 0);
    expect_silence(&t);
    raw_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M01_headers_out_of_range),
        cmocka_unit_test(test_M02_length_over_one_mib),
        cmocka_unit_test(test_M03_unread_bytes_reset_the_stream),
        cmocka_unit_test(test_M03_a_reader_is_told_before_it_is_too_slow),
        cmocka_unit_test(test_M03_a_stopped_reader_is_not_slow),
        cmocka_unit_test(test_M05_streams_with_long_names),
        cmocka_unit_test(test_M05_what_is_over_is_freed_first),
        cmocka_unit_test(test_M05_replies_that_nobody_reads),
        cmocka_unit_test(test_rapid_reset),
        cmocka_unit_test(test_words_for_streams_that_never_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
