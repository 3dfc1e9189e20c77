/* The system's interfaces, and addresses that need one. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <net/if.h>

static void test_O04_link_local(void **state)
{
    (void)state;
    struct world w;
    struct io_interface all[64];
    world_open(&w);
    int count = w.io->ops->interfaces(w.io, all, 64);
    const struct io_interface *found = NULL;
    for (int i = 0; i < count && i < 64; i++)
        if (all[i].up && all[i].addr.family == 6 && all[i].addr.ip[0] == 0xfe &&
            all[i].addr.ip[1] == 0x80)
            found = &all[i];
    if (!found) {
        world_close(&w);
        skip();
    }
    assert_int_equal(found->addr.scope, if_nametoindex(found->name));
    struct pair p;
    pair_open(&w, &p, found->addr);
    assert_int_equal(p.a->remote.scope, found->addr.scope);
    pair_close(&w, &p);
    world_close(&w);
}

static void test_interfaces(void **state)
{
    (void)state;
    struct world w;
    struct io_interface all[64], one[1];
    world_open(&w);
    int count = w.io->ops->interfaces(w.io, all, 64);
    assert_true(count >= 1);
    bool loopback = false;
    for (int i = 0; i < count && i < 64; i++) {
        assert_int_equal(all[i].addr.port, 0);
        assert_true(strlen(all[i].name) > 0);
        if (all[i].loopback && all[i].addr.family == 4)
            loopback = all[i].up && p2p__io_addr_is_loopback(&all[i].addr);
    }
    assert_true(loopback);
    assert_int_equal(w.io->ops->interfaces(w.io, one, 1), count);
    assert_int_equal(w.io->ops->interfaces(w.io, NULL, 0), count);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_O04_link_local),
        cmocka_unit_test(test_interfaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
