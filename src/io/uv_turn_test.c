/* Turns, deadlines and the clocks. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"

static void mark_from_timer(uv_timer_t *timer)
{
    mark(timer->data);
}

static void test_mark_brings_one_turn(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    mark(&w);
    mark(&w);
    assert_int_equal(w.turns, 0); /* from a fresh stack */
    RUN_UNTIL(&w, w.turns > 0);
    assert_quiet(&w);
    assert_int_equal(w.turns, 1);
    uv_timer_t timer;
    uv_timer_init(&w.loop, &timer);
    timer.data = &w;
    uv_timer_start(&timer, mark_from_timer, 1, 0);
    RUN_UNTIL(&w, w.turns == 2);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_quiet(&w);
    assert_int_equal(w.turns, 2);
    world_close(&w);
}

static void mark_from_check(uv_check_t *check)
{
    mark(check->data);
    uv_check_stop(check);
}

static void mark_from_prepare(uv_prepare_t *prepare)
{
    mark(prepare->data);
    uv_prepare_stop(prepare);
}

/* Also from where our own handlers have run already in this round of the loop. */
static void test_mark_from_any_phase(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    /* libuv runs the youngest first, so that these run after the io's own. */
    uv_check_t check;
    uv_prepare_t prepare;
    uv_check_init(&w.loop, &check);
    uv_prepare_init(&w.loop, &prepare);
    check.data = prepare.data = &w;
    uv_prepare_start(&prepare, mark_from_prepare);
    uv_check_start(&check, mark_from_check);
    struct p2p_io *first = w.io;
    w.io = p2p_io_uv(&w.loop);
    w.io->turn = world_turn;
    w.io->user = &w;
    first->ops->detach(first);
    p2p_io_free(first);
    uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.turns, 1);
    RUN_UNTIL(&w, w.turns == 2);
    uv_close((uv_handle_t *)&check, NULL);
    uv_close((uv_handle_t *)&prepare, NULL);
    world_close(&w);
}

static void mark_again(struct world *w)
{
    mark(w);
}

/* A host that always has more to do delays no other descriptor of its loop, nor its timers. */
static void test_self_marking_host_is_fair(void **state)
{
    (void)state;
    struct world w;
    int fd[3] = {0}; /* a pipe's two ends, and how often it was read */
    world_open(&w);
    w.on_turn = mark_again;
    assert_int_equal(pipe(fd), 0);
    uv_poll_t poll;
    uv_poll_init(&w.loop, &poll, fd[0]);
    poll.data = fd;
    uv_poll_start(&poll, UV_READABLE, on_count);
    mark(&w);
    for (int i = 1; i <= 100; i++) {
        unsigned before = w.turns;
        assert_int_equal(write(fd[1], "x", 1), 1);
        RUN_UNTIL(&w, fd[2] == i);
        assert_in_range(w.turns - before, 1, 4);
    }
    unsigned before = w.turns;
    uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(w.turns > before);
    w.on_turn = NULL;
    uv_close((uv_handle_t *)&poll, NULL);
    close(fd[0]);
    close(fd[1]);
    assert_quiet(&w);
    world_close(&w);
}

static void look_at_clock(struct world *w)
{
    uint64_t *seen = w->user, from = uv_hrtime();
    seen[0] = io_now_us(w->io);
    while (uv_hrtime() < from + 2000000)
        ;
    seen[1] = io_now_us(w->io);
}

static void test_clock(void **state)
{
    (void)state;
    struct world w;
    uint64_t seen[2] = {0};
    world_open(&w);
    w.user = seen;
    w.on_turn = look_at_clock;
    uint64_t before = io_now_us(w.io);
    mark(&w);
    RUN_UNTIL(&w, w.turns == 1);
    assert_int_equal(seen[0], seen[1]); /* constant within a turn */
    assert_true(seen[0] >= before);
    assert_true(io_now_us(w.io) >= seen[0] + 2000);
    int64_t wall_us = w.io->ops->wall_us(w.io);
    assert_true(llabs(wall_us / 1000000 - (int64_t)time(NULL)) <= 1);
    world_close(&w);
}

static uint64_t wait_for_turn(struct world *w, uint64_t in_us)
{
    unsigned before = w->turns;
    uint64_t at_us = io_now_us(w->io) + in_us;
    w->io->ops->wake_at(w->io, at_us);
    RUN_UNTIL(w, w->turns > before);
    assert_int_equal(w->turns, before + 1);
    assert_true(io_now_us(w->io) >= at_us);
    return io_now_us(w->io) - at_us;
}

/* The best of some tries: on a busy machine any single one may be late. */
static uint64_t best_delay(struct world *w, uint64_t in_us)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t late = wait_for_turn(w, in_us);
        best = late < best ? late : best;
    }
    return best;
}

static void test_deadlines(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_in_range(best_delay(&w, 100), 0, 700);
    assert_in_range(best_delay(&w, 1999), 0, 700);
    assert_in_range(best_delay(&w, 2000), 0, 3000);
    assert_in_range(best_delay(&w, 7300), 0, 3000);
    assert_quiet(&w); /* none is left */
    world_close(&w);
}

/* Asks for a turn soon_us from now, then for another time instead, and lets the first one pass. */
static void replace_deadline(struct world *w, uint64_t soon_us, uint64_t instead_us)
{
    struct p2p_io *io = w->io;
    uint64_t at_us;
    do { /* again, if the machine slept in between: the turn is due then */
        at_us = io_now_us(io) + soon_us;
        io->ops->wake_at(io, at_us);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    } while (io_now_us(io) >= at_us);
    io->ops->wake_at(io, instead_us);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    unsigned before = w->turns;
    while (io_now_us(io) < at_us + 3000)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->turns, before);
}

static void test_deadline_replaced(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct p2p_io *io = w.io;
    uint64_t far_us = io_now_us(io) + 3600 * UINT64_C(1000000);
    replace_deadline(&w, 1500, UINT64_MAX);
    replace_deadline(&w, 5000, UINT64_MAX);
    replace_deadline(&w, 1500, far_us);
    replace_deadline(&w, 5000, far_us);
    assert_quiet(&w);
    /* And a later one by an earlier one. */
    uint64_t now_us = io_now_us(io);
    unsigned turns = w.turns;
    io->ops->wake_at(io, now_us + 300);
    RUN_UNTIL(&w, w.turns == turns + 1);
    assert_true(io_now_us(io) >= now_us + 300);
    /* The past is now, as often as it is asked for. */
    for (unsigned i = 2; i < 5; i++) {
        io->ops->wake_at(io, now_us);
        RUN_UNTIL(&w, w.turns == turns + i);
    }
    assert_quiet(&w);
    assert_int_equal(w.turns, turns + 4);
    world_close(&w);
}

static void ask_again(struct world *w)
{
    if (w->turns < 50)
        w->io->ops->wake_at(w->io, io_now_us(w->io) + (w->turns % 2 ? 150 : 2500));
}

static void test_deadlines_from_turns(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.on_turn = ask_again;
    mark(&w);
    RUN_UNTIL(&w, w.turns == 50);
    assert_quiet(&w);
    world_close(&w);
}

/* Without a descriptor for the fine clock, the coarse one serves. */
static void test_X01_deadline_without_descriptors(void **state)
{
    (void)state;
    struct world w;
    struct rlimit before;
    world_open(&w);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_for_turn(&w, 100);
    setrlimit(RLIMIT_NOFILE, &before);
    wait_for_turn(&w, 100);
    world_close(&w);
}

static void test_random(void **state)
{
    (void)state;
    struct world w;
    uint8_t a[1000] = {0}, b[1000] = {0};
    unsigned seen[256] = {0}, kinds = 0;
    world_open(&w);
    w.io->ops->random(w.io, a, sizeof(a));
    w.io->ops->random(w.io, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    for (size_t i = 0; i < sizeof(a); i++)
        kinds += seen[a[i]]++ == 0;
    assert_true(kinds > 200); /* 251 are expected */
    w.io->ops->random(w.io, NULL, 0);
    assert_ptr_equal(w.io->crypto, &p2p__crypto_real);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mark_brings_one_turn),
        cmocka_unit_test(test_mark_from_any_phase),
        cmocka_unit_test(test_self_marking_host_is_fair),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_replaced),
        cmocka_unit_test(test_deadlines_from_turns),
        cmocka_unit_test(test_X01_deadline_without_descriptors),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
