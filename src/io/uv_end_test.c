/* The ways in which an io can end. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_free_within_turn(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.io->ops->wake_at(w.io, io_now_us(w.io) + 100); /* with a fine timer under way */
    w.on_turn = detach_and_free;
    mark(&w);
    RUN_UNTIL(&w, w.turns == 1);
    assert_null(w.io);
    world_close(&w);
    assert_int_equal(w.turns, 1);
}

static void test_free_within_post(void **state)
{
    (void)state;
    struct world w;
    int calls = 0;
    world_open(&w);
    w.io->ops->post(w.io, count_call, &calls);
    w.io->ops->post(w.io, detach_and_free_by, &w);
    w.io->ops->post(w.io, count_call, &calls);
    RUN_UNTIL(&w, !w.io);
    assert_int_equal(calls, 2); /* those that waited were run by detach */
    world_close(&w);
}

/* Closed by a post that detach itself runs. */
static void test_free_within_detach(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.io->ops->post(w.io, detach_and_free_by, &w);
    w.io->ops->detach(w.io);
    assert_null(w.io);
    world_close(&w);
}

static void free_by_wake(struct link *link)
{
    struct world *w = link->owner;
    link_drop(link, false);
    detach_and_free(w);
}

static void test_free_within_wake(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "x");
    link_drop(p.a, false);
    w.io->ops->unlisten(p.listener);
    p.b->wake = free_by_wake;
    RUN_UNTIL(&w, !w.io);
    world_close(&w);
}

/* The loop may be run dry between detach and free. */
static void test_free_after_the_loop_ended(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct p2p_io *io = w.io;
    w.io = NULL;
    io->ops->detach(io);
    world_close(&w);
    p2p_io_free(io);
}

static void test_free_without_a_host(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    p2p_io_free(p2p_io_uv(&loop));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    p2p_io_free(p2p_io_poll());
    p2p_io_free(NULL);
}

/* The loop goes on while the host is attached, though nothing is under way. */
static void test_keeps_the_loop_alive(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    uv_close((uv_handle_t *)&w.watchdog, NULL);
    uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_true(uv_loop_alive(&w.loop));
    w.io->ops->detach(w.io);
    assert_int_equal(uv_run(&w.loop, UV_RUN_DEFAULT), 0);
    assert_false(uv_loop_alive(&w.loop));
    p2p_io_free(w.io);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

static void detach_with_a_link(void)
{
    struct world w;
    world_open(&w);
    dial(&w, localhost(9));
    w.io->ops->detach(w.io);
}

static void free_while_attached(void)
{
    struct world w;
    world_open(&w);
    p2p_io_free(w.io);
}

static void assert_aborts(void (*misuse)(void))
{
    pid_t child = fork();
    if (child == 0) {
        close(2); /* the assertion's text is no news */
        misuse();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_aborts(detach_with_a_link);
    assert_aborts(free_while_attached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_free_within_turn),
        cmocka_unit_test(test_free_within_post),
        cmocka_unit_test(test_free_within_detach),
        cmocka_unit_test(test_free_within_wake),
        cmocka_unit_test(test_free_after_the_loop_ended),
        cmocka_unit_test(test_free_without_a_host),
        cmocka_unit_test(test_keeps_the_loop_alive),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
