/* In a network namespace of its own, whose loopback interface goes up and down. */
#define _GNU_SOURCE
#include "tests/test.h"

#include <net/route.h>

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

/* To 10.1.2.0/24, or the default one, over the loopback interface. */
static void add_route(bool is_default)
{
    char device[] = "lo";
    struct sockaddr_in dst = {.sin_family = AF_INET}, mask = {.sin_family = AF_INET};
    dst.sin_addr.s_addr = htonl(is_default ? 0 : 0x0a010200);
    mask.sin_addr.s_addr = htonl(is_default ? 0 : 0xffffff00);
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = device};
    memcpy(&route.rt_dst, &dst, sizeof(dst));
    memcpy(&route.rt_genmask, &mask, sizeof(mask));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
    close(fd);
}

static void test_default_routes_are_news_and_others_are_not(void **state)
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
    netns_loopback(true);
    assert_int_equal(io->ops->watch_interfaces(io), 0);
    changes = 0;
    add_route(false);
    for (int i = 0; i < 100; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(changes, 0);
    add_route(true);
    wait_for(&loop, 1);
    io->ops->detach(io);
    io->ops->free(io);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_and_down),
        cmocka_unit_test(test_default_routes_are_news_and_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
