/* X07 for names: the n-th allocation fails, for every n, once and from then on, while a host
 * resolves and dials: it hears one outcome, and nothing leaks. In both worlds. */
#include "tests/test.h"

#include <strings.h>

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/names.h"
#include "tests/scarce_memory.h"

struct outcome {
    int calls, code;
};

static void on_done(void *user, const p2p_error *why)
{
    struct outcome *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
}

static bool called(void *user)
{
    return ((struct outcome *)user)->calls > 0;
}

/* False: n is beyond the last allocation. */
static bool run(enum world_kind kind, size_t n, bool for_ever)
{
    struct world world;
    struct names names;
    struct outcome out = {0};
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    char addr[256], entry[400];
    world_init(&world, kind, 1, true);
    names_init(&names, &world);
    p2p_host *a = world_host(&world, names.options), *b = world_host(&world, NULL);
    snprintf(entry, sizeof(entry), "dnsaddr=%s", world_addr(b, addr, sizeof(addr)));
    names_txt(&names, "_dnsaddr.far.test", entry);
    names_txt(&names, "_dnsaddr.near.test", "dnsaddr=/dnsaddr/far.test");
    names_txt(&names, "_dnsaddr.near.test", "dnsaddr=/dns/none.test/tcp/1");
    opts.timeout_ms = 1500;
    memory_fail_after(n, for_ever);
    p2p_op *op = p2p_host_connect(a, "/dnsaddr/near.test", &opts, on_done, &out);
    if (op)
        assert_true(world_until(&world, called, &out, 5000));
    memory_fail_no_more();
    assert_true(op || memory.failed);
    if (!memory.failed)
        assert_int_equal(out.code, 0);
    world_run(&world, 10);
    names_fini(&names);
    world_fini(&world);
    assert_int_equal(out.calls, op ? 1 : 0);
    return memory.failed;
}

static void test_X07_names(void **state)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        size_t n = 0;
        long before = memory.blocks;
        while (run(kind_of(state), n, for_ever)) {
            assert_int_equal(memory.blocks, before);
            n++;
        }
        assert_int_equal(memory.blocks, before);
        assert_true(n >= 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_X07_names),
    };
    memory_watch();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
