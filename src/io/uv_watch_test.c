/* In a network namespace of its own, whose loopback interface goes up and down. */
#define _GNU_SOURCE
#include "tests/test.h"

#include "io/uv_internal.h"

#include "tests/netns.h"

static int changes;

static void on_turn(void *user)
{
    (void)user;
}

static void on_change(void *user)
{
    assert_ptr_equal(user, &changes);
    changes++;
}

static int up_addresses(struct p2p_io *io)
{
    struct io_interface list[8];
    int count = io->ops->interfaces(io, list, 8), up = 0;
    for (int i = 0; i < count; i++)
        up += list[i].up;
    return up;
}

static void wait_for(uv_loop_t *loop, int wanted)
{
    uint64_t end = uv_hrtime() + 10ull * 1000000000;
    while (changes < wanted && uv_hrtime() < end)
        uv_run(loop, UV_RUN_NOWAIT);
    assert_true(changes >= wanted);
}

static void test_up_and_down(void **state)
{
    (void)state;
    if (!netns_enter())
        skip();
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct p2p_io *io = p2p_io_uv(&loop);
    io->turn = on_turn;
    io->user = &changes;
    io->interfaces_changed = on_change;
    assert_int_equal(up_addresses(io), 0);
    assert_int_equal(io->ops->watch_interfaces(io), 0);
    assert_int_equal(io->ops->watch_interfaces(io), 0);
    netns_loopback(true);
    wait_for(&loop, 1);
    assert_true(up_addresses(io) > 0);
    int before = changes;
    netns_loopback(false);
    wait_for(&loop, before + 1);
    assert_int_equal(up_addresses(io), 0);
    io->ops->detach(io);
    before = changes;
    netns_loopback(true);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(changes, before);
    io->ops->free(io);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_up_and_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
