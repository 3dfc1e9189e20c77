/* Frames, ids, ends and turns. */
#include "tests/mplex_raw.h"

/* --- frames */

static void test_header_layout(void **state)
{
    (void)state;
    static const struct {
        uint64_t id;
        uint32_t flag;
        size_t length;
        uint8_t want[12];
        size_t want_len;
    } rows[] = {
        {0, NEW, 0, {0x00, 0x00}, 2},
        {1, DATA_THEIRS, 5, {0x0a, 0x05}, 2},
        {16, RESET_OURS, 128, {0x85, 0x01, 0x80, 0x01}, 4},
        {MPLEX_ID_MAX,
         RESET_THEIRS,
         65507,
         {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xe3, 0xff, 0x03},
         12},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t got[FRAMED_HEADER_MAX];
        assert_int_equal(p2p__mplex_header(got, rows[i].id, rows[i].flag, rows[i].length),
                         rows[i].want_len);
        assert_memory_equal(got, rows[i].want, rows[i].want_len);
    }
}

static void test_outbound_life(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *s = open_stream(&t), *second = open_stream(&t);
    assert_int_equal(s->id, 0);
    assert_int_equal(second->id, 1);
    t.muxer->ops->stream_free(second);
    side_write(&t, s, 100);
    t.muxer->ops->close_write(s);
    /* The receiver's flags are odd, the initiator's even. The second stream never was. */
    expect_frame(&t, NEW, 0, 0);
    expect_frame(&t, DATA_THEIRS, 0, 100);
    expect_frame(&t, CLOSE_THEIRS, 0, 0);
    expect_silence(&t);
    assert_true(s->flags & MUXER_FIN_SENT);
    assert_false(s->flags & MUXER_DONE);
    raw_data(&t, DATA_OURS, 0, 0, 50);
    assert_int_equal(t.got, 50);
    raw_send(&t, CLOSE_OURS, 0, 0);
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.muxer->streams_out, 0);
    assert_int_equal(t.opened, 0);
    raw_fini(&t);
}

static void test_inbound_life(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.echo = true;
    raw_send(&t, NEW, MPLEX_ID_MAX, 0);
    assert_int_equal(t.opened, 1);
    expect_silence(&t);
    raw_data(&t, DATA_THEIRS, MPLEX_ID_MAX, 0, 10);
    expect_frame(&t, DATA_OURS, MPLEX_ID_MAX, 10);
    raw_send(&t, CLOSE_THEIRS, MPLEX_ID_MAX, 0);
    expect_frame(&t, CLOSE_OURS, MPLEX_ID_MAX, 0);
    side_tell(&t);
    assert_int_equal(t.finished, 1);
    assert_int_equal(t.muxer->streams_in, 0);
    raw_fini(&t);
}

/* Spec, "Opening a new stream": "Both parties can open a substream with the same ID". */
static void test_one_id_in_both_directions(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.hold = true;
    struct muxer_stream *ours = open_stream(&t);
    app_of(ours)->hold = true;
    expect_frame(&t, NEW, 0, 0);
    raw_send(&t, NEW, 0, 0);
    struct framed_stream *other = theirs(&t, 0);
    assert_non_null(other);
    assert_ptr_not_equal(&other->base, ours);
    raw_data(&t, DATA_OURS, 0, 0, 3);
    raw_data(&t, DATA_THEIRS, 0, 0, 7);
    assert_int_equal(buf_len(&ours->in), 3);
    assert_int_equal(buf_len(&other->base.in), 7);
    raw_send(&t, CLOSE_OURS, 0, 0);
    assert_true(ours->flags & MUXER_EOF);
    assert_false(other->base.flags & MUXER_EOF);
    raw_send(&t, RESET_THEIRS, 0, 0);
    assert_null(theirs(&t, 0));
    assert_ptr_equal(p2p__framed_find(&raw_mplex(&t)->framed, 0, true), ours);
    t.muxer->ops->reset(ours, 9);
    expect_frame(&t, RESET_THEIRS, 0, 0);
    t.muxer->ops->stream_free(ours);
    raw_fini(&t);
}

static void test_our_reset_of_their_stream(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    raw_send(&t, NEW, 3, 0);
    struct muxer_stream *s = &theirs(&t, 3)->base;
    t.muxer->ops->reset(s, 9);
    t.muxer->ops->reset(s, 9);
    expect_frame(&t, RESET_OURS, 3, 0);
    expect_silence(&t);
    t.muxer->ops->stream_free(s);
    expect_silence(&t);
    /* An id may come again when nobody uses it. */
    assert_int_equal(raw_send(&t, NEW, 3, 0), 0);
    assert_int_equal(t.opened, 2);
    raw_fini(&t);
}

static void test_what_a_close_completed_survives_a_reset(void **state)
{
    (void)state;
    for (int completed = 0; completed < 2; completed++) {
        struct side t;
        raw_init(&t);
        t.hold = t.keep = true;
        raw_send(&t, NEW, 1, 0);
        struct muxer_stream *s = &theirs(&t, 1)->base;
        raw_data(&t, DATA_THEIRS, 1, 0, 300);
        if (completed)
            raw_send(&t, CLOSE_THEIRS, 1, 0);
        raw_send(&t, RESET_THEIRS, 1, 0);
        assert_true(s->flags & MUXER_RESET);
        assert_true(s->flags & MUXER_DONE);
        assert_false(s->flags & MUXER_OVERRUN);
        assert_int_equal(buf_len(&s->in), completed ? 300 : 0);
        t.muxer->ops->stream_free(s);
        expect_silence(&t);
        raw_fini(&t);
    }
}

static void test_bodies_where_none_belong_are_skipped(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_send(&t, NEW, 1, 0);
    struct muxer_stream *s = &theirs(&t, 1)->base;
    raw_data(&t, CLOSE_THEIRS, 1, 0, 70000);
    assert_true(s->flags & MUXER_EOF);
    raw_data(&t, RESET_THEIRS, 1, 0, 70000);
    assert_true(s->flags & MUXER_DONE);
    raw_data(&t, RESET_THEIRS, 1, 0, 5);
    assert_int_equal(t.got, 0);
    assert_int_equal(raw_send(&t, NEW, 2, 0), 0);
    assert_int_equal(t.opened, 2);
    raw_fini(&t);
}

static void test_data_after_close_resets_the_stream(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    t.keep = true;
    raw_send(&t, NEW, 1, 0);
    raw_send(&t, NEW, 2, 0);
    struct muxer_stream *s = &theirs(&t, 1)->base;
    raw_send(&t, CLOSE_THEIRS, 1, 0);
    raw_send(&t, CLOSE_THEIRS, 1, 0);
    raw_send(&t, DATA_THEIRS, 1, 0);
    assert_false(s->flags & MUXER_RESET);
    assert_int_equal(raw_data(&t, DATA_THEIRS, 1, 0, 10), 0);
    assert_true(s->flags & MUXER_RESET);
    assert_int_equal(app_of(s)->done, 1);
    expect_frame(&t, RESET_OURS, 1, 0);
    raw_data(&t, DATA_THEIRS, 2, 0, 10);
    assert_int_equal(t.got, 10);
    raw_fini(&t);
}

static void test_their_close_does_not_cut_ours_short(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *s = open_stream(&t);
    expect_frame(&t, NEW, 0, 0);
    side_write(&t, s, 100);
    t.muxer->ops->close_write(s);
    raw_send(&t, CLOSE_OURS, 0, 0);
    assert_false(s->flags & MUXER_DONE);
    expect_frame(&t, DATA_THEIRS, 0, 100);
    expect_frame(&t, CLOSE_THEIRS, 0, 0);
    assert_true(s->flags & MUXER_DONE);
    side_tell(&t);
    assert_int_equal(t.finished, 1);
    raw_fini(&t);
}

static void test_an_unannounced_stream_cannot_be_named(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *s = open_stream(&t);
    raw_data(&t, DATA_OURS, 0, 0, 10);
    raw_send(&t, RESET_OURS, 0, 0);
    assert_int_equal(t.got, 0);
    assert_false(s->flags & (MUXER_RESET | MUXER_DONE));
    expect_frame(&t, NEW, 0, 0);
    raw_data(&t, DATA_OURS, 0, 0, 10);
    assert_int_equal(t.got, 10);
    raw_fini(&t);
}

static void test_an_id_in_use(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    raw_send(&t, NEW, 5, 0);
    raw_send(&t, CLOSE_THEIRS, 5, 0);
    raw_send(&t, NEW, 5, 0);
    expect_end(&t, P2P_EPROTO);
    raw_fini(&t);
}

/* --- output */

static void test_frame_sizes(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, 2 * FRAMED_BODY_ALONE + 1);
    expect_frame(&t, NEW, 0, 0);
    expect_frame(&t, DATA_THEIRS, 0, FRAMED_BODY_ALONE);
    expect_frame(&t, DATA_THEIRS, 0, FRAMED_BODY_ALONE);
    expect_frame(&t, DATA_THEIRS, 0, 1);
    struct muxer_stream *other = open_stream(&t);
    side_write(&t, s, 40000);
    side_write(&t, other, 40000);
    expect_frame(&t, NEW, 1, 0);
    struct raw_frame f;
    uint64_t sum[2] = {0};
    while (raw_next(&t, &f)) {
        assert_true(f.id <= 1 &&
                    f.length <= (sum[!f.id] == 40000 ? FRAMED_BODY_ALONE : FRAMED_BODY_SHARED));
        sum[f.id] += f.length;
    }
    assert_int_equal(sum[0], 40000);
    assert_int_equal(sum[1], 40000);
    raw_fini(&t);
}

static void test_small_frames_are_one_piece_and_large_ones_are_not_copied(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct iov iov[SIDE_IOV];
    size_t bytes;
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, 1000);
    t.muxer->ops->close_write(s);
    assert_int_equal(t.muxer->ops->pump_out(t.muxer, iov, SIDE_IOV, SIDE_OUT, t.now_us, &bytes), 1);
    assert_int_equal(bytes, 2 + 3 + 1000 + 2);
    t.muxer->ops->sent(t.muxer);
    s = open_stream(&t);
    side_write(&t, s, 5000);
    uint64_t copied = t.pool.copied_bytes;
    struct iov out;
    assert_int_equal(p2p__outq_iov(&s->out, &out, 1, SIZE_MAX, &bytes), 1);
    /* NewStream and header in one piece of the stage, then the body where it lies. */
    assert_int_equal(t.muxer->ops->pump_out(t.muxer, iov, SIDE_IOV, SIDE_OUT, t.now_us, &bytes), 2);
    assert_int_equal(iov[0].len, 2 + 3);
    assert_ptr_equal(iov[1].base, out.base);
    assert_int_equal(iov[1].len, 5000);
    assert_int_equal(t.pool.copied_bytes, copied);
    t.muxer->ops->sent(t.muxer);
    raw_fini(&t);
}

/* A large body and a small one of the same stream in one pump: the large one is lent until sent. */
static void test_lent_bytes_stay_until_sent(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    struct iov iov[SIDE_IOV];
    size_t bytes;
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, FRAMED_BODY_ALONE + 100);
    assert_true(t.muxer->ops->pump_out(t.muxer, iov, SIDE_IOV, SIDE_OUT, t.now_us, &bytes) > 2);
    assert_int_equal(outq_unsent(&s->out), 0);
    assert_int_equal(s->out.unacked, FRAMED_BODY_ALONE + 100);
    t.muxer->ops->sent(t.muxer);
    assert_int_equal(outq_len(&s->out), 0);
    assert_true(s->flags & MUXER_WRITABLE);
    raw_fini(&t);
}

static void test_pumps_of_every_size(void **state)
{
    (void)state;
    for (size_t max = MUXER_OUT_BYTES_MIN; max < 9000; max += 61) {
        struct side a, b;
        raw_init(&a);
        raw_init(&b);
        b.keep = true;
        struct muxer_stream *s = open_stream(&a), *other = open_stream(&a);
        side_write(&a, s, 20000);
        side_write(&a, other, 3000);
        a.muxer->ops->close_write(s);
        while (side_send(&a, max))
            continue;
        while (side_deliver(&a, &b, SIDE_SCRATCH))
            continue;
        assert_int_equal(b.got, 23000);
        assert_int_equal(b.wrong, 0);
        assert_true(theirs(&b, 0)->base.flags & MUXER_EOF);
        raw_fini(&a);
        raw_fini(&b);
    }
}

/* A gather list that is too short for what is due. */
static void test_few_pieces(void **state)
{
    (void)state;
    struct side a, b;
    raw_init(&a);
    raw_init(&b);
    for (int i = 0; i < 3; i++)
        side_write(&a, open_stream(&a), 100000);
    struct iov iov[MUXER_OUT_IOV_MIN];
    size_t n, bytes;
    while ((n = a.muxer->ops->pump_out(a.muxer, iov, MUXER_OUT_IOV_MIN, SIDE_OUT, 0, &bytes))) {
        for (size_t i = 0; i < n; i++) {
            side_feed(&b, iov[i].base, iov[i].len);
            bytes -= iov[i].len;
        }
        assert_int_equal(bytes, 0);
        a.muxer->ops->sent(a.muxer);
    }
    assert_int_equal(b.got, 300000);
    raw_fini(&a);
    raw_fini(&b);
}

static void test_unread_body_is_told_before_the_next(void **state)
{
    (void)state;
    struct side t;
    raw_init(&t);
    uint8_t *bytes = calloc(1, 20000);
    assert_non_null(bytes);
    size_t len = p2p__mplex_header(bytes, 0, NEW, 0);
    for (int i = 0; i < 3; i++) {
        len += p2p__mplex_header(bytes + len, 0, DATA_THEIRS, 5000);
        for (size_t k = 0; k < 5000; k++)
            bytes[len++] = pattern((uint64_t)i * 5000 + k);
    }
    uint64_t copied = t.pool.copied_bytes;
    side_feed(&t, bytes, len);
    assert_int_equal(t.got, 15000);
    assert_int_equal(t.pool.copied_bytes, copied);
    free(bytes);
    raw_fini(&t);
}

static void test_goaway_is_silent_and_final(void **state)
{
    (void)state;
    struct side t;
    int code = 0;
    raw_init(&t);
    raw_send(&t, NEW, 1, 0);
    struct muxer_stream *s = open_stream(&t);
    side_write(&t, s, 10);
    t.muxer->ops->goaway(t.muxer, 0);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ECLOSED);
    /* What is due leaves, what is open goes on, what is new is refused. */
    expect_frame(&t, NEW, 0, 0);
    expect_frame(&t, DATA_THEIRS, 0, 10);
    expect_silence(&t);
    raw_data(&t, DATA_THEIRS, 1, 0, 10);
    assert_int_equal(t.got, 10);
    assert_int_equal(raw_send(&t, NEW, 2, 0), 0);
    assert_int_equal(t.opened, 1);
    expect_frame(&t, RESET_OURS, 2, 0);
    raw_fini(&t);
}

static void test_outbound_limits(void **state)
{
    (void)state;
    struct side t;
    int code = 0;
    raw_init(&t);
    struct muxer_stream *s = NULL;
    for (int i = 0; i < MPLEX_STREAMS_OUT_MAX; i++)
        s = open_stream(&t);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ELIMIT);
    t.muxer->ops->stream_free(s);
    raw_mplex(&t)->next_id = MPLEX_ID_MAX;
    s = open_stream(&t);
    assert_int_equal(s->id, MPLEX_ID_MAX);
    t.muxer->ops->stream_free(s);
    assert_null(side_open(&t, &code));
    assert_int_equal(code, P2P_ELIMIT);
    raw_fini(&t);
}

/* Nothing is asked of an idle remote. */
static void test_no_keepalive(void **state)
{
    (void)state;
    struct side t;
    struct muxer_config config = side_config(false);
    config.keepalive_ms = 1000;
    assert_int_equal(side_init(&t, &p2p__muxer_mplex, config), 0);
    assert_true(t.muxer->ops->deadline(t.muxer) == UINT64_MAX);
    t.muxer->ops->ping(t.muxer, t.now_us);
    expect_silence(&t);
    t.now_us += 3600u * 1000000u;
    assert_int_equal(t.muxer->ops->timeout(t.muxer, t.now_us), 0);
    raw_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_layout),
        cmocka_unit_test(test_outbound_life),
        cmocka_unit_test(test_inbound_life),
        cmocka_unit_test(test_one_id_in_both_directions),
        cmocka_unit_test(test_our_reset_of_their_stream),
        cmocka_unit_test(test_what_a_close_completed_survives_a_reset),
        cmocka_unit_test(test_bodies_where_none_belong_are_skipped),
        cmocka_unit_test(test_data_after_close_resets_the_stream),
        cmocka_unit_test(test_their_close_does_not_cut_ours_short),
        cmocka_unit_test(test_an_unannounced_stream_cannot_be_named),
        cmocka_unit_test(test_an_id_in_use),
        cmocka_unit_test(test_frame_sizes),
        cmocka_unit_test(test_small_frames_are_one_piece_and_large_ones_are_not_copied),
        cmocka_unit_test(test_lent_bytes_stay_until_sent),
        cmocka_unit_test(test_pumps_of_every_size),
        cmocka_unit_test(test_few_pieces),
        cmocka_unit_test(test_unread_body_is_told_before_the_next),
        cmocka_unit_test(test_goaway_is_silent_and_final),
        cmocka_unit_test(test_outbound_limits),
        cmocka_unit_test(test_no_keepalive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
