#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conn/stack.h"

enum {
    RECORD = 200, /* bytes of the text in the records below */
    HELD = 150,   /* of a record, when nothing more comes in the turn */
};

/* ---- a layer that streams through, and one of whole records ---- */

static int flip_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    (void)state, (void)env;
    size_t len = buf_len(in);
    if (len == 0) {
        plain->len = IO_FILL_MAX;
        return STEP_WANT_INPUT;
    }
    *plain = (struct span){.base = buf_data_mut(in), .len = len};
    for (size_t i = 0; i < len; i++)
        plain->base[i] ^= 0x55;
    buf_consume(in, len);
    return STEP_DONE;
}

static int record_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    (void)state, (void)env;
    size_t held = buf_len(in), len = held ? 1u + buf_data(in)[0] : 1;
    if (held < len) {
        plain->len = held ? len - held : 0;
        return STEP_WANT_INPUT;
    }
    *plain = (struct span){.base = buf_data_mut(in) + 1, .len = len - 1};
    buf_consume(in, len);
    return STEP_DONE;
}

static void no_fini(void *state)
{
    (void)state;
}

static const struct layer_ops flip = {.record_max = 1, .open = flip_open, .fini = no_fini};
static const struct layer_ops record = {.record_max = 256, .open = record_open, .fini = no_fini};

static bool always(const struct link *link)
{
    (void)link;
    return true;
}

/* ---- a stack of both, over a link that reads into `scratch` ---- */

struct fixture {
    struct shard shard;
    struct stack stack;
    struct link link;
    struct link_ops link_ops;
    struct buf plain;
    uint8_t scratch[1024];
    uint8_t text[RECORD];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    p2p__pool_init(&f->shard.pool, 0);
    f->link_ops.fills_behind = always;
    f->link.ops = &f->link_ops;
    f->link.pool = &f->shard.pool;
    buf_init(&f->link.in, 4096);
    buf_init(&f->plain, 4096);
    assert_int_equal(p2p__stack_push(&f->stack, &f->shard, &flip, NULL, &f->plain), 0);
    assert_int_equal(p2p__stack_push(&f->stack, &f->shard, &record, NULL, &f->plain), 0);
    for (size_t i = 0; i < RECORD; i++)
        f->text[i] = (uint8_t)(i * 3 + 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    p2p__stack_fini(&f->stack, &f->shard);
    p2p__buf_fini(&f->plain, &f->shard.pool);
    p2p__buf_fini(&f->link.in, &f->shard.pool);
    assert_int_equal(f->shard.pool.used_bytes, 0);
    p2p__pool_fini(&f->shard.pool);
    p2p__free(f->shard.seal_below);
    free(f);
    return 0;
}

/* The record's bytes [from, to) as they are on the wire. */
static void wire(const struct fixture *f, size_t from, size_t to, uint8_t *out)
{
    for (size_t i = from; i < to; i++)
        *out++ = (uint8_t)((i ? f->text[i - 1] : RECORD) ^ 0x55);
}

static int open_next(struct fixture *f)
{
    return p2p__stack_open(&f->stack, &f->shard, &f->link, &f->plain);
}

/* A fill into an empty `in`. */
static void arrive(struct fixture *f, size_t from, size_t to)
{
    wire(f, from, to, f->scratch);
    assert_int_equal(p2p__buf_join(&f->link.in, &f->shard.pool, f->scratch, to - from, 0), 0);
}

/* The turn ends in the middle of a record. */
static void rest(struct fixture *f)
{
    arrive(f, 0, HELD);
    assert_int_equal(open_next(f), STEP_WANT_INPUT);
    assert_int_equal(f->link.need, RECORD + 1 - HELD);
    assert_int_equal(p2p__stack_rest(&f->stack, &f->shard, &f->link), 0);
    assert_int_equal(link_rest(&f->link), 0);
    assert_int_equal(buf_len(&f->stack.layers[1].in), 0);
    assert_int_equal(buf_len(&f->link.in), HELD);
    assert_int_equal(f->shard.pool.copied_bytes, 0);
    assert_int_equal(f->shard.pool.used_bytes, 0);
}

static void expect_text(struct fixture *f)
{
    assert_int_equal(open_next(f), STEP_DONE);
    assert_int_equal(buf_len(&f->plain), RECORD);
    assert_memory_equal(buf_data(&f->plain), f->text, RECORD);
    assert_int_equal(open_next(f), STEP_WANT_INPUT);
}

static void test_a_cut_record_rests_where_it_came(void **state)
{
    struct fixture *f = *state;
    rest(f);
    assert_int_equal(open_next(f), STEP_WANT_INPUT);
    assert_int_equal(f->link.need, RECORD + 1 - HELD);
    assert_true(p2p__stack_reads_on(&f->stack, &f->link));
    wire(f, HELD, RECORD + 1, f->scratch + HELD);
    f->link.in.tail += RECORD + 1 - HELD;
    expect_text(f);
    assert_ptr_equal(buf_data(&f->plain), f->scratch + 1);
    assert_int_equal(f->shard.pool.copied_bytes, 0);
    buf_consume(&f->plain, RECORD); /* what comes next is not taken for it */
    arrive(f, 0, RECORD + 1);
    expect_text(f);
}

/* What was opened before is not opened again together with what follows. */
static void test_more_came_behind_a_cut_record(void **state)
{
    struct fixture *f = *state;
    rest(f);
    wire(f, HELD, RECORD + 1, f->scratch + HELD);
    f->link.in.tail += RECORD + 1 - HELD;
    expect_text(f);
    assert_int_equal(f->shard.pool.copied_bytes, 0);
}

/* Another link needs the scratch: it costs one copy, not two. */
static void test_a_cut_record_is_moved_out_of_the_scratch(void **state)
{
    struct fixture *f = *state;
    rest(f);
    assert_int_equal(p2p__buf_settle(&f->link.in, &f->shard.pool), 0);
    memset(f->scratch, 0xee, sizeof(f->scratch));
    assert_int_equal(open_next(f), STEP_WANT_INPUT);
    assert_false(p2p__stack_reads_on(&f->stack, &f->link));
    assert_int_equal(f->link.in.max, 4096);
    assert_int_equal(p2p__stack_settle(&f->stack, &f->shard), 0);
    assert_int_equal(f->shard.pool.copied_bytes, HELD);
    arrive(f, HELD, RECORD + 1);
    assert_int_equal(open_next(f), STEP_DONE);
    assert_int_equal(buf_len(&f->plain), RECORD);
    assert_memory_equal(buf_data(&f->plain), f->text, RECORD);
    assert_int_equal(f->shard.pool.copied_bytes, RECORD + 1);
}

/* The same, and more was read behind it: both lie in memory of the link's own. */
static void test_a_cut_record_is_moved_and_more_came(void **state)
{
    struct fixture *f = *state;
    uint8_t more[RECORD + 1];
    rest(f);
    wire(f, HELD, RECORD + 1, more);
    assert_int_equal(p2p__buf_append(&f->link.in, &f->shard.pool, more, RECORD + 1 - HELD), 0);
    expect_text(f);
    assert_int_equal(p2p__buf_settle(&f->plain, &f->shard.pool), 0);
}

/* There was no memory to move it: the link is broken, and nothing of it is left. */
static void test_X07_a_cut_record_is_lost_with_its_link(void **state)
{
    struct fixture *f = *state;
    rest(f);
    buf_consume(&f->link.in, HELD);
    assert_int_equal(p2p__buf_settle(&f->link.in, &f->shard.pool), 0);
    assert_int_equal(open_next(f), STEP_WANT_INPUT);
    assert_int_equal(f->link.need, 0);
    assert_int_equal(buf_len(&f->stack.layers[1].in), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cut_record_rests_where_it_came),
        TEST(test_more_came_behind_a_cut_record),
        TEST(test_a_cut_record_is_moved_out_of_the_scratch),
        TEST(test_a_cut_record_is_moved_and_more_came),
        TEST(test_X07_a_cut_record_is_lost_with_its_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
