/* O04: link-local addresses, which mean nothing without a zone. */
#define _GNU_SOURCE
#include "tests/test.h"

#include "tests/world.h"

#include "tests/netns.h"

struct result {
    int calls, code;
};

static void on_done(void *user, const p2p_error *why)
{
    struct result *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
}

static bool called(void *user)
{
    return ((struct result *)user)->calls > 0;
}

static int listen_on(p2p_host *host, const char *text)
{
    p2p_multiaddr addr;
    p2p_error *err = NULL;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    int rc = p2p_host_listen(host, &addr, &err);
    assert_true(rc == 0 || strstr(err->message, text));
    p2p_error_free(err);
    return rc;
}

static void find(p2p_host *host, const char *part, char *out, size_t out_cap)
{
    p2p_multiaddr addr;
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++) {
        assert_true(p2p_multiaddr_format(&addr, out, out_cap) > 0);
        if (strstr(out, part))
            return;
    }
    fail_msg("the host does not listen on %s", part);
}

static int connect_to(struct world *world, p2p_host *from, const char *target)
{
    struct result result = {0};
    assert_non_null(p2p_host_connect(from, target, NULL, on_done, &result));
    assert_true(world_until(world, called, &result, 10000));
    return result.code;
}

static void test_O04_listen_and_dial(void **state)
{
    (void)state;
    if (!netns_enter())
        skip();
    netns_loopback(true);
    netns_add_link_local();
    struct world world;
    char target[300], by_name[300], wrong[300];
    world_init(&world, WORLD_UV, 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(listen_on(b, "/ip6zone/lo/ip6/fe80::1/tcp/0"), 0);
    assert_int_equal(listen_on(b, "/ip6/fe80::1/tcp/0"), P2P_ELISTEN); /* on which interface? */
    assert_int_equal(listen_on(b, "/ip6zone/nowhere/ip6/fe80::1/tcp/0"), P2P_EADDR);
    assert_int_equal(listen_on(b, "/ip6zone/lo/ip6/fe80::2/tcp/0"), P2P_ELISTEN);
    find(b, "/ip6/fe80::1/", target, sizeof(target)); /* its zone as a number */
    assert_int_equal(strncmp(target, "/ip6zone/", 9), 0);
    snprintf(by_name, sizeof(by_name), "/ip6zone/lo%.200s", strstr(target, "/ip6/"));
    assert_int_equal(connect_to(&world, a, by_name), 0);
    p2p_multiaddr remote;
    char text[300];
    p2p_conn_remote_addr(p2p_host_conn(a, p2p_host_peer(b)), &remote);
    assert_true(p2p_multiaddr_format(&remote, text, sizeof(text)) > 0);
    assert_int_equal(strncmp(text, target, strlen(text)), 0);
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(&world, 50);
    assert_int_equal(connect_to(&world, a, target), 0);
    snprintf(wrong, sizeof(wrong), "/ip6zone/77%.200s", strstr(target, "/ip6/"));
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(&world, 50);
    assert_int_equal(connect_to(&world, a, wrong), P2P_ECONN);
    world_fini(&world);
}

/* A wildcard announces what the interfaces have, and follows them. */
static void test_a_wildcard_follows_the_interfaces(void **state)
{
    (void)state;
    if (!netns_enter())
        skip();
    netns_loopback(true);
    struct world world;
    char text[300];
    p2p_multiaddr addr;
    world_init(&world, WORLD_UV, 1, false);
    p2p_host *host = world_host(&world, NULL);
    assert_int_equal(listen_on(host, "/ip6/::/tcp/0"), 0);
    find(host, "/ip6/::1/", text, sizeof(text));
    assert_int_equal(p2p_host_addr(host, 2, &addr), P2P_ENOENT);
    netns_add_link_local();
    for (int i = 0; i < 100 && p2p_host_addr(host, 2, &addr) != 0; i++)
        world_run(&world, 50);
    find(host, "/ip6/fe80::1/", text, sizeof(text));
    netns_loopback(false);
    for (int i = 0; i < 100 && p2p_host_addr(host, 1, &addr) == 0; i++)
        world_run(&world, 50);
    assert_int_equal(p2p_host_addr(host, 1, &addr), P2P_ENOENT);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_O04_listen_and_dial),
        cmocka_unit_test(test_a_wildcard_follows_the_interfaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
