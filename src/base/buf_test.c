#include "tests/test.h"

#include <stdlib.h>

#include <p2p/error.h>

#include "base/buf.h"

struct fixture {
    struct pool pool;
    struct buf buf;
    uint8_t block[1024];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    buf_init(&f->buf, 512);
    for (size_t i = 0; i < sizeof f->block; i++)
        f->block[i] = (uint8_t)(i * 7);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    p2p__buf_fini(&f->buf, &f->pool);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    free(f);
    return 0;
}

static void expect(struct fixture *f, size_t from, size_t len, bool borrowed, uint64_t copied)
{
    assert_int_equal(buf_len(&f->buf), len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(buf_data(&f->buf)[i], (uint8_t)((from + i) * 7));
    assert_int_equal(buf_borrowed(&f->buf), borrowed);
    assert_int_equal(f->pool.copied_bytes, copied);
}

static int join(struct fixture *f, size_t at, size_t len, size_t gap)
{
    return p2p__buf_join(&f->buf, &f->pool, f->block + at, len, gap);
}

static void test_join_borrows(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(join(f, 100, 50, 0), 0);
    expect(f, 100, 50, true, 0);
    buf_consume(&f->buf, 50);
    assert_int_equal(join(f, 300, 10, 0), 0);
    expect(f, 300, 10, true, 0);
}

/* Right behind what is borrowed: it just grows. */
static void test_join_behind(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(join(f, 100, 50, 0), 0);
    assert_int_equal(join(f, 150, 30, 0), 0);
    expect(f, 100, 80, true, 0);
    buf_consume(&f->buf, 79);
    assert_int_equal(join(f, 180, 5, 64), 0);
    expect(f, 179, 6, true, 0);
    assert_int_equal(join(f, 185, 512 - 6, 0), 0);
    assert_int_equal(join(f, 185 + 512 - 6, 1, 0), P2P_ELIMIT);
    expect(f, 179, 512, true, 0);
}

/* What lies there by chance behind memory of our own is no neighbour. */
static void test_join_elsewhere_copies(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(join(f, 100, 50, 0), 0);
    assert_int_equal(join(f, 151, 30, 0), 0);
    assert_int_equal(buf_len(&f->buf), 80);
    assert_false(buf_borrowed(&f->buf));
    assert_int_equal(buf_data(&f->buf)[50], (uint8_t)(151 * 7));
    assert_int_equal(f->pool.copied_bytes, 80);
    assert_int_equal(join(f, 181, 5, 0), 0);
    assert_int_equal(f->pool.copied_bytes, 85);
}

static void test_join_moves_leftovers_into_the_gap(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(join(f, 100, 8, 0), 0);
    assert_int_equal(p2p__buf_settle(&f->buf, &f->pool), 0);
    expect(f, 100, 8, false, 8);
    assert_int_equal(join(f, 300, 4, 8), 0);
    assert_int_equal(buf_len(&f->buf), 12);
    assert_ptr_equal(buf_data(&f->buf), f->block + 292);
    assert_int_equal(buf_data(&f->buf)[0], (uint8_t)(100 * 7));
    assert_int_equal(buf_data(&f->buf)[8], (uint8_t)(300 * 7));
    assert_int_equal(f->pool.copied_bytes, 16);
}

static void test_settled_and_empty_it_owns_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(p2p__buf_append(&f->buf, &f->pool, f->block, 10), 0);
    buf_consume(&f->buf, 10);
    assert_int_equal(p2p__buf_settle(&f->buf, &f->pool), 0);
    assert_int_equal(f->pool.used_bytes, 0);
    assert_null(f->buf.block);
}

static void test_the_maximum(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(p2p__buf_append(&f->buf, &f->pool, f->block, 513), P2P_ELIMIT);
    assert_int_equal(p2p__buf_append(&f->buf, &f->pool, f->block, 512), 0);
    assert_int_equal(p2p__buf_append(&f->buf, &f->pool, f->block, 1), P2P_ELIMIT);
    expect(f, 0, 512, false, 512);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_join_borrows),
        TEST(test_join_behind),
        TEST(test_join_elsewhere_copies),
        TEST(test_join_moves_leftovers_into_the_gap),
        TEST(test_settled_and_empty_it_owns_nothing),
        TEST(test_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
