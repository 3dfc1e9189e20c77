/* What every muxer must do, run on every ops table. */
#include "tests/test.h"

#include "tests/muxer_pair.h"
#include "tests/scarce_memory.h"

static const struct muxer_ops *const TABLES[] = {&p2p__muxer_yamux, &p2p__muxer_mplex};

#define EACH_TABLE(ops)                                                                            \
    for (size_t t_ = 0; t_ < sizeof(TABLES) / sizeof(TABLES[0]); t_++)                             \
        for (const struct muxer_ops *ops = TABLES[t_]; ops; ops = NULL)

struct pair {
    struct side a, b;
};

static void pair_init(struct pair *self, const struct muxer_ops *ops)
{
    assert_int_equal(side_init(&self->a, ops, side_config(true)), 0);
    assert_int_equal(side_init(&self->b, ops, side_config(false)), 0);
}

static void pair_fini(struct pair *self)
{
    assert_true(side_fini(&self->a));
    assert_true(side_fini(&self->b));
}

static struct muxer_stream *open_stream(struct side *side)
{
    int code = 0;
    struct muxer_stream *s = side_open(side, &code);
    assert_non_null(s);
    assert_int_equal(code, 0);
    assert_true(s->flags & MUXER_OUTBOUND);
    return s;
}

static void test_echo_both_ways(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        p.a.echo = p.b.echo = true;
        for (int i = 0; i < 8; i++) {
            struct side *from = i % 2 ? &p.a : &p.b;
            struct muxer_stream *s = open_stream(from);
            assert_true(side_write(from, s, (size_t)(1 << (2 * i))));
            ops->close_write(s);
        }
        pair_run(&p.a, &p.b);
        assert_int_equal(p.a.code, 0);
        assert_int_equal(p.b.code, 0);
        assert_int_equal(p.a.finished, 8);
        assert_int_equal(p.b.finished, 8);
        assert_int_equal(p.a.wrong + p.b.wrong, 0);
        assert_int_equal(p.a.got, p.b.got);
        assert_int_equal(p.a.muxer->streams_in + p.a.muxer->streams_out, 0);
        assert_int_equal(p.a.pool.used_bytes, 0);
        pair_fini(&p);
    }
}

static void test_half_close_keeps_reading(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        struct muxer_stream *s = open_stream(&p.a);
        ops->close_write(s);
        pair_run(&p.a, &p.b);
        struct muxer_stream *r = side_find(&p.b, s->id);
        assert_non_null(r);
        assert_true(r->flags & MUXER_EOF);
        assert_false(r->flags & MUXER_DONE);
        assert_true(side_write(&p.b, r, 1000000));
        pair_run(&p.a, &p.b);
        assert_int_equal(p.a.got, 1000000);
        assert_int_equal(p.a.wrong, 0);
        assert_false(s->flags & (MUXER_EOF | MUXER_DONE));
        ops->close_write(r);
        pair_run(&p.a, &p.b);
        assert_int_equal(p.a.finished, 1);
        assert_int_equal(p.b.finished, 1);
        pair_fini(&p);
    }
}

static void test_reset_reaches_the_remote_once(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        p.b.hold = p.b.keep = true;
        struct muxer_stream *s = open_stream(&p.a);
        assert_true(side_write(&p.a, s, 5000));
        pair_run(&p.a, &p.b);
        struct muxer_stream *r = side_find(&p.b, s->id);
        assert_true(side_write(&p.b, r, 5000));
        muxer_make_ready(s);
        ops->reset(s, 7);
        ops->reset(s, 8);
        assert_true(list_empty(&s->ready));
        pair_run(&p.a, &p.b);
        assert_true(r->flags & MUXER_RESET);
        assert_int_equal(app_of(r)->done, 1);
        assert_int_equal(p.a.finished, 0);
        ops->stream_free(s);
        ops->stream_free(r);
        assert_int_equal(p.b.muxer->streams_in, 0);
        pair_fini(&p);
    }
}

static void test_stopped_reader_does_not_block_the_writer(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        p.b.hold = true;
        struct muxer_stream *s = open_stream(&p.a);
        assert_true(side_write(&p.a, s, 100));
        pair_run(&p.a, &p.b);
        struct muxer_stream *r = side_find(&p.b, s->id);
        ops->stop(r);
        assert_int_equal(buf_len(&r->in), 0);
        assert_true(side_write(&p.a, s, 3000000));
        ops->close_write(s);
        pair_run(&p.a, &p.b);
        assert_int_equal(outq_len(&s->out), 0);
        assert_true(s->flags & MUXER_FIN_SENT);
        assert_int_equal(buf_len(&r->in), 0);
        assert_true(r->flags & MUXER_EOF);
        pair_fini(&p);
    }
}

/* Everything at random: chunks, amounts, who opens, who ends how. What is not reset arrives. */
static void random_session(const struct muxer_ops *ops, uint64_t seed)
{
    struct pair p;
    pair_init(&p, ops);
    p.a.echo = p.b.echo = true;
    for (int i = 0; i < 3000; i++) {
        struct side *x = pair_random(&seed) % 2 ? &p.a : &p.b;
        struct side *y = x == &p.a ? &p.b : &p.a;
        struct muxer_stream *s = NULL;
        int code = 0;
        x->now_us += pair_random(&seed) % 1000;
        switch (pair_random(&seed) % 6) {
        case 0:
            s = x->muxer->streams_out < 20 ? side_open(x, &code) : NULL;
            if (s) {
                assert_true(side_write(x, s, pair_random(&seed) % 70000));
                if (pair_random(&seed) % 8 == 0)
                    ops->stream_free(s);
                else
                    ops->close_write(s);
            }
            break;
        case 1:
            side_send(x, MUXER_OUT_BYTES_MIN + pair_random(&seed) % 70000);
            break;
        default:
            side_deliver(x, y, 1 + pair_random(&seed) % (pair_random(&seed) % 2 ? 40 : 70000));
        }
        assert_int_equal(p.a.code, 0);
        assert_int_equal(p.b.code, 0);
    }
    pair_run(&p.a, &p.b);
    assert_int_equal(p.a.wrong + p.b.wrong, 0);
    assert_int_equal(p.a.muxer->streams_in + p.a.muxer->streams_out, 0);
    assert_int_equal(p.b.muxer->streams_in + p.b.muxer->streams_out, 0);
    assert_int_equal(p.a.pool.used_bytes + p.b.pool.used_bytes, 0);
    pair_fini(&p);
}

static void test_random_sessions(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_session(ops, seed * 0x9e3779b97f4a7c15u);
}

static void test_one_byte_at_a_time(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        p.b.echo = true;
        struct muxer_stream *s = open_stream(&p.a);
        assert_true(side_write(&p.a, s, 3000));
        ops->close_write(s);
        for (bool moved = true; moved;) {
            moved = side_send(&p.a, MUXER_OUT_BYTES_MIN) > 0;
            moved |= side_send(&p.b, MUXER_OUT_BYTES_MIN) > 0;
            while (side_deliver(&p.a, &p.b, 1) || side_deliver(&p.b, &p.a, 1))
                moved = true;
        }
        assert_int_equal(p.a.got, 3000);
        assert_int_equal(p.a.finished, 1);
        assert_int_equal(p.a.wrong + p.b.wrong, 0);
        pair_fini(&p);
    }
}

/* A bulk stream, then a small message on another: the message leaves within two large frames. */
static void test_bulk_does_not_starve_the_small(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct pair p;
        pair_init(&p, ops);
        p.b.keep = true;
        struct muxer_stream *bulk[4];
        for (int i = 0; i < 4; i++) {
            bulk[i] = open_stream(&p.a);
            assert_true(side_write(&p.a, bulk[i], 250000));
        }
        side_send(&p.a, 1000);
        struct muxer_stream *small = open_stream(&p.a);
        assert_true(side_write(&p.a, small, 10));
        side_send(&p.a, 5 * 16384 + 1000);
        while (side_deliver(&p.a, &p.b, SIDE_SCRATCH))
            continue;
        struct muxer_stream *r = side_find(&p.b, small->id);
        assert_non_null(r);
        assert_int_equal(app_of(r)->got, 10);
        pair_fini(&p);
    }
}

/* What is over has nothing due: the writer never meets it again. */
static void test_reset_takes_what_is_due(void **state)
{
    (void)state;
    EACH_TABLE(ops)
    {
        struct side a;
        int code = 0;
        assert_int_equal(side_init(&a, ops, side_config(true)), 0);
        struct muxer_stream *s = side_open(&a, &code);
        assert_non_null(s);
        assert_true(side_write(&a, s, 10));
        assert_false(list_empty(&a.muxer->due));
        ops->reset(s, 0);
        assert_true(list_empty(&s->due) && list_empty(&a.muxer->due));
        ops->stream_free(s);
        assert_false(side_send(&a, SIDE_OUT));
        assert_true(side_fini(&a));
    }
}

/* --- the n-th allocation fails, for every n */

static void scarce_session(const struct muxer_ops *ops)
{
    struct side a = {0}, b = {0};
    int rc_a = side_init(&a, ops, side_config(true));
    int rc_b = side_init(&b, ops, side_config(false));
    int code = 0;
    b.echo = true;
    for (int i = 0; rc_a == 0 && rc_b == 0 && i < 12; i++) {
        struct muxer_stream *s = side_open(&a, &code);
        if (!s) {
            assert_int_equal(code, P2P_ENOMEM);
            continue;
        }
        if (side_write(&a, s, (size_t)i * 9000))
            ops->close_write(s);
        else
            ops->stream_free(s);
    }
    if (rc_a == 0 && rc_b == 0)
        pair_run(&a, &b);
    assert_int_equal(a.wrong + b.wrong, 0);
    assert_true(side_fini(&a));
    assert_true(side_fini(&b));
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    memory_watch();
    EACH_TABLE(ops)
    {
        size_t n = 0;
        do {
            memory_fail_after(n++, false);
            scarce_session(ops);
            memory_fail_no_more();
            assert_int_equal(memory.blocks, 0);
        } while (memory.failed);
        assert_true(n > 20);
    }
    p2p_mem_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_both_ways),
        cmocka_unit_test(test_half_close_keeps_reading),
        cmocka_unit_test(test_reset_reaches_the_remote_once),
        cmocka_unit_test(test_stopped_reader_does_not_block_the_writer),
        cmocka_unit_test(test_random_sessions),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_bulk_does_not_starve_the_small),
        cmocka_unit_test(test_reset_takes_what_is_due),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
