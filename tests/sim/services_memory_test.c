/* X07: the services while the n-th allocation fails, once and from then on. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/pair.h"

#include <p2p/identify.h>
#include <p2p/mem.h>
#include <p2p/perf.h>
#include <p2p/ping.h>

static long countdown = -1; /* allocations that still succeed; below 0: all */
static bool for_ever, failed;

static bool fails(void)
{
    if (countdown < 0)
        return false;
    if (countdown > 0) {
        countdown--;
        return false;
    }
    failed = true;
    if (!for_ever)
        countdown = -1;
    return true;
}

static void *counted_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

static void *counted_realloc(void *old, size_t size)
{
    return fails() ? NULL : realloc(old, size);
}

struct flow {
    int started, ended;
};

static void flow_done(void *user, const p2p_error *why)
{
    struct flow *flow = user;
    (void)why;
    flow->ended++;
}

static void flow_perf(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    (void)result;
    flow_done(user, why);
}

static void flow_identity(void *user, const p2p_identity *identity, const p2p_error *why)
{
    assert_true((identity == NULL) == (why != NULL));
    flow_done(user, why);
}

static const p2p_stream_events nothing = {.size = sizeof(nothing), .on_close = ignore_close};

/* Whether an allocation failed: if not, there are no more to fail. */
static bool survive(long n, bool ever)
{
    static const char *const services[] = {"services=identify,ping,perf,echo", NULL};
    const p2p_ping_opts pings = {.size = sizeof(pings), .interval_ms = 100, .timeout_ms = 500};
    struct pair p;
    struct flow flow = {0};
    pair_init(&p, services, services);
    failed = false;
    for_ever = ever;
    countdown = n;
    flow.started += p2p_ping_start(p.a, p.addr, &pings, NULL, flow_done, &flow) != NULL;
    flow.started += p2p_perf_run(p.a, p.addr, 100000, 100000, NULL, flow_perf, &flow) != NULL;
    flow.started += p2p_identify_request(p.a, p.addr, NULL, flow_identity, &flow) == 0;
    world_run(&p.world, 500);
    p2p_host_handle(p.b, "/news/9", &nothing, NULL);
    world_run(&p.world, 1000);
    countdown = -1;
    for_ever = false;
    world_run(&p.world, 30000);
    assert_int_equal(flow.ended, flow.started);
    /* Whatever happened, the hosts still work. */
    struct flow after = {0};
    assert_non_null(p2p_ping_start(p.b, world_addr(p.a, p.addr, sizeof(p.addr)), &pings, NULL,
                                   flow_done, &after));
    world_run(&p.world, 15000);
    assert_int_equal(after.ended, 1);
    world_fini(&p.world);
    assert_int_equal(flow.ended, flow.started);
    return failed;
}

static void test_X07_the_nth_allocation_fails(void **state)
{
    (void)state;
    long n = 0;
    while (survive(n, false))
        n++;
    assert_true(n > 50);
}

static void test_X07_all_from_the_nth_on_fail(void **state)
{
    (void)state;
    long n = 0;
    while (survive(n, true))
        n++;
    assert_true(n > 50);
}

int main(void)
{
    static const p2p_mem mem = {counted_malloc, counted_realloc, free};
    p2p_mem_set(&mem);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X07_the_nth_allocation_fails),
        cmocka_unit_test(test_X07_all_from_the_nth_on_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
