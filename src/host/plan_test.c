#include "tests/test.h"

#include <stdio.h>

#include "host/plan.h"

enum { MS = 1000 };

#define PEER "/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

static int add(struct plan *self, const char *text, bool last)
{
    p2p_multiaddr addr;
    struct addr_facts facts;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    p2p__addr_facts(&addr, &facts);
    return p2p__plan_add(self, &facts, last, 0);
}

/* Starts all that is due; how many. */
static int run(struct plan *self, uint64_t now_us, int *order)
{
    uint64_t wake_us;
    int count = 0;
    for (int i; (i = p2p__plan_next(self, now_us, &wake_us)) >= 0;) {
        order[count++] = i;
        p2p__plan_start(self, i, now_us);
    }
    return count;
}

static uint64_t wake(const struct plan *self, uint64_t now_us)
{
    uint64_t wake_us;
    assert_int_equal(p2p__plan_next(self, now_us, &wake_us), -1);
    return wake_us;
}

static void test_public_ones_in_order(void **state)
{
    (void)state;
    struct plan plan = {.count = 0};
    int order[8];
    static const char *const addrs[] = {
        "/ip4/1.2.3.4/tcp/1/ws",      "/ip4/1.2.3.4/tcp/1",
        "/ip4/1.2.3.4/udp/1/quic-v1", "/ip6/2600::1/tcp/1",
        "/ip6/2600::1/udp/1/quic-v1", "/ip4/1.2.3.4/udp/1/webrtc-direct",
        "/ip4/1.2.3.5/udp/1/quic-v1",
    };
    static const int wanted[] = {4, 2, 6, 3, 1, 0, 5};
    for (int i = 0; i < 7; i++)
        assert_int_equal(add(&plan, addrs[i], false), i);
    for (int i = 0; i < 7; i++) {
        uint64_t now = (uint64_t)i * 250 * MS;
        assert_int_equal(run(&plan, now, order), 1);
        assert_int_equal(order[0], wanted[i]);
        if (i < 6) {
            assert_int_equal(wake(&plan, now), now + 250 * MS);
            assert_int_equal(run(&plan, now + 250 * MS - 1, order), 0);
        }
    }
    assert_false(p2p__plan_done(&plan));
    for (int i = 0; i < 7; i++)
        p2p__plan_over(&plan, i);
    assert_true(p2p__plan_done(&plan));
}

static void test_a_failure_starts_the_next_at_once(void **state)
{
    (void)state;
    struct plan plan = {.count = 0};
    int order[8];
    add(&plan, "/ip4/1.2.3.4/tcp/1", false);
    add(&plan, "/ip4/1.2.3.4/tcp/2", false);
    add(&plan, "/ip4/1.2.3.4/tcp/3", false);
    assert_int_equal(run(&plan, 0, order), 1);
    p2p__plan_over(&plan, 0);
    assert_int_equal(run(&plan, 1, order), 1);
    assert_int_equal(order[0], 1);
    p2p__plan_again(&plan, 1);
    assert_int_equal(run(&plan, 2, order), 1);
    assert_int_equal(order[0], 1);
}

static void test_local_and_public_side_by_side(void **state)
{
    (void)state;
    struct plan plan = {.count = 0};
    int order[8];
    add(&plan, "/ip4/1.2.3.4/tcp/1", false);
    add(&plan, "/ip4/1.2.3.4/tcp/2", false);
    add(&plan, "/ip4/192.168.1.1/tcp/1", false);
    add(&plan, "/ip4/127.0.0.1/tcp/1", false);
    add(&plan, "/unix/tmp/x", false);
    assert_int_equal(run(&plan, 0, order), 2);
    assert_int_equal(order[0], 4);
    assert_int_equal(order[1], 0);
    assert_int_equal(wake(&plan, 0), 30 * MS);
    assert_int_equal(run(&plan, 30 * MS, order), 1);
    assert_int_equal(run(&plan, 60 * MS, order), 1);
    assert_int_equal(run(&plan, 249 * MS, order), 0);
    assert_int_equal(run(&plan, 250 * MS, order), 1);
    assert_int_equal(order[0], 1);
}

static void test_relays_come_later(void **state)
{
    (void)state;
    struct plan plan = {.count = 0}, only = {.count = 0};
    int order[8];
    static const char relay[] = "/ip4/1.2.3.4/tcp/1" PEER "/p2p-circuit";
    add(&plan, relay, false);
    add(&plan, "/ip4/1.2.3.4/tcp/1", false);
    assert_int_equal(run(&plan, 0, order), 1);
    assert_int_equal(order[0], 1);
    assert_int_equal(wake(&plan, 0), 500 * MS);
    struct plan failed = plan;
    assert_int_equal(run(&plan, 500 * MS, order), 1);
    assert_int_equal(order[0], 0);
    p2p__plan_over(&failed, 1);
    assert_int_equal(run(&failed, 1, order), 1); /* nothing else is left */
    add(&only, relay, false);
    assert_int_equal(run(&only, 0, order), 1);
}

static void test_the_last_wait_for_all(void **state)
{
    (void)state;
    struct plan plan = {.count = 0}, only = {.count = 0};
    int order[8];
    add(&plan, "/ip6/2600::1/udp/1/quic-v1", true);
    add(&plan, "/ip4/1.2.3.4/tcp/1", false);
    add(&plan, "/ip4/1.2.3.4/tcp/2", false);
    assert_int_equal(run(&plan, 0, order), 1);
    assert_int_equal(run(&plan, 250 * MS, order), 1);
    assert_int_equal(order[0], 2);
    assert_int_equal(wake(&plan, 250 * MS), 1250 * MS);
    struct plan failed = plan;
    p2p__plan_over(&failed, 1);
    assert_int_equal(run(&failed, 260 * MS, order), 0);
    p2p__plan_over(&failed, 2);
    assert_int_equal(run(&failed, 270 * MS, order), 1);
    assert_int_equal(order[0], 0);
    assert_int_equal(run(&plan, 1250 * MS, order), 1);
    add(&only, "/ip4/1.2.3.4/tcp/1", true);
    assert_int_equal(run(&only, 0, order), 1);
}

static void test_both_sides_of_the_caps(void **state)
{
    (void)state;
    struct plan plan = {.count = 0};
    char text[64];
    int order[PLAN_MAX];
    for (int i = 0; i < PLAN_MAX; i++) {
        snprintf(text, sizeof(text), "/ip4/1.2.3.4/tcp/%d", i + 1);
        assert_int_equal(add(&plan, text, false), i);
    }
    assert_int_equal(add(&plan, "/ip4/1.2.3.4/tcp/999", false), -1);
    int started = 0;
    for (uint64_t now = 0; now < 60000 * (uint64_t)MS; now += 250 * MS)
        started += run(&plan, now, order);
    assert_int_equal(started, PLAN_AT_ONCE);
    assert_int_equal(wake(&plan, 60000 * (uint64_t)MS), UINT64_MAX);
    p2p__plan_over(&plan, 3);
    assert_int_equal(run(&plan, 60000 * (uint64_t)MS, order), 1);
    assert_int_equal(order[0], PLAN_AT_ONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_ones_in_order),
        cmocka_unit_test(test_a_failure_starts_the_next_at_once),
        cmocka_unit_test(test_local_and_public_side_by_side),
        cmocka_unit_test(test_relays_come_later),
        cmocka_unit_test(test_the_last_wait_for_all),
        cmocka_unit_test(test_both_sides_of_the_caps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
