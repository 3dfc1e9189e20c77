/* What a host listens on, and what it says of it. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

struct heard {
    int listening, unlistening;
    char last[300];
};

static void format(const p2p_multiaddr *addr, struct heard *out)
{
    assert_true(p2p_multiaddr_format(addr, out->last, sizeof(out->last)) > 0);
}

static void on_listening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    struct heard *self = user;
    (void)host;
    self->listening++;
    format(addr, self);
}

static void on_unlistening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    struct heard *self = user;
    (void)host;
    self->unlistening++;
    format(addr, self);
}

static const p2p_host_events events = {
    .size = sizeof(events), .on_listening = on_listening, .on_unlistening = on_unlistening};

static int listen_on(p2p_host *host, const char *text, p2p_error **err)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return p2p_host_listen(host, &addr, err);
}

static size_t addr_count(const p2p_host *host)
{
    p2p_multiaddr addr;
    size_t count = 0;
    while (p2p_host_addr(host, count, &addr) == 0)
        count++;
    return count;
}

static bool has_addr(const p2p_host *host, const char *part)
{
    p2p_multiaddr addr;
    char text[300];
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++) {
        assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
        if (strstr(text, part))
            return true;
    }
    return false;
}

static void test_a_wildcard_follows_the_interfaces(void **state)
{
    struct world world;
    struct heard heard = {0};
    world_init(&world, kind_of(state), 1, false);
    p2p_host *host = world_host(&world, NULL);
    p2p_host_set_events(host, &events, &heard);
    world_run(&world, 10);
    assert_int_equal(listen_on(host, "/ip4/0.0.0.0/tcp/4001", NULL), 0);
    assert_int_equal(listen_on(host, "/ip4/0.0.0.0/tcp/4001/ws", NULL), 0);
    world_run(&world, 10);
    assert_int_equal(heard.listening, 1 + 2 * 2); /* of two interfaces, loopback is one */
    assert_int_equal(p2p_sim_add_address(world.io[0], "10.77.0.1"), 0);
    assert_int_equal(p2p_sim_add_address(world.io[0], "fd00::77"), 0);
    world_run(&world, 10);
    assert_int_equal(heard.listening, 5 + 2);
    assert_int_equal(heard.unlistening, 0);
    assert_true(has_addr(host, "/ip4/10.77.0.1/tcp/4001/p2p/"));
    assert_true(has_addr(host, "/ip4/10.77.0.1/tcp/4001/ws/p2p/"));
    assert_int_equal(addr_count(host), 7);
    p2p_sim_host_down(world.io[0]);
    world_run(&world, 10);
    assert_int_equal(heard.unlistening, 4); /* what was asked for by address stays */
    assert_false(has_addr(host, "/ip4/10.77.0.1"));
    assert_true(has_addr(host, "/ip4/127.0.0.1/tcp/4001"));
    p2p_sim_host_up(world.io[0]);
    world_run(&world, 10);
    assert_int_equal(heard.listening, 7 + 4);
    assert_int_equal(addr_count(host), 7);
    world_fini(&world);
    assert_int_equal(heard.unlistening, 4 + 7);
}

static void test_one_port_serves_each_kind_once(void **state)
{
    struct world world;
    struct heard heard = {0};
    char text[320], bare[300];
    p2p_error *err = NULL;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *host = world_host(&world, NULL);
    p2p_host_set_events(host, &events, &heard);
    world_addr(host, text, sizeof(text));
    snprintf(bare, sizeof(bare), "%.*s", (int)(strstr(text, "/p2p/") - text), text);
    snprintf(text, sizeof(text), "%s/ws", bare);
    assert_int_equal(listen_on(host, text, NULL), 0);
    assert_int_equal(addr_count(host), 2);
    assert_int_equal(listen_on(host, text, &err), P2P_ELISTEN);
    assert_non_null(strstr(err->message, text));
    p2p_error_free(err);
    assert_int_equal(listen_on(host, bare, &err), P2P_ELISTEN);
    p2p_error_free(err);
    assert_int_equal(addr_count(host), 2);
    world_run(&world, 10);
    world_fini(&world);
    assert_int_equal(heard.unlistening, 2);
}

static void test_what_cannot_be_listened_on_is_named(void **state)
{
    static const struct {
        const char *addr, *sentence;
        int code;
    } cases[] = {
        {"/ip4/127.0.0.1/udp/0/utp", "no transport for it is built in", P2P_ENOTSUP},
        {"/ip6zone/nowhere/ip6/fe80::1/tcp/0", "no such zone", P2P_EADDR},
        {"/dns4/localhost/tcp/0", "no transport for it is built in", P2P_ENOTSUP},
    };
    struct world world;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *host = world_host(&world, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        p2p_error *err = NULL;
        assert_int_equal(listen_on(host, cases[i].addr, &err), cases[i].code);
        assert_non_null(strstr(err->message, cases[i].addr));
        assert_non_null(strstr(err->message, cases[i].sentence));
        p2p_error_free(err);
    }
    assert_int_equal(addr_count(host), 1);
    world_fini(&world);
}

#define SIM_ONLY(test)                                                                             \
    {                                                                                              \
#test "/sim", test, NULL, NULL, (void *)WORLD_SIM                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_ONLY(test_a_wildcard_follows_the_interfaces),
        BOTH(test_one_port_serves_each_kind_once),
        BOTH(test_what_cannot_be_listened_on_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
