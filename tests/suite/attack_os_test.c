/* The rows O of the catalogue of attacks: what the system underneath does to a host. */
#include "tests/test.h"

#include "tests/world.h"

#include <signal.h>

#include "tests/scene.h"

#define YEARS_US(n) ((int64_t)(n)*365 * 24 * 3600 * 1000000)

/* The wall clock jumps; nothing that runs by the monotonic one notices. */
static void test_O01_the_wall_clock_is_set(void **state)
{
    static const int64_t steps[] = {YEARS_US(10), -YEARS_US(20), YEARS_US(80), -YEARS_US(126),
                                    YEARS_US(56)};
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        unsigned good = s.good;
        struct raw_peer *stalled = raw_dial(&s.net, s.victim);
        p2p_sim_clock_step(s.world.io[0], steps[i], 0);
        scene_run(&s, 9000);
        assert_false(stalled->gone);
        assert_true(scene_until(&s, raw_is_gone, stalled, 1500)); /* ten seconds are ten seconds */
        raw_free(stalled);
        assert_true(s.good >= good + 50);
        assert_int_equal(s.disconnected, 0);
        scene_expect_service(&s);
        struct raw_peer *fresh = scene_raw(&s); /* handshakes go on */
        raw_free(fresh);
        scene_run(&s, 1500);
        s.disconnected = 0;
    }
    scene_fini(&s);
}

/* The machine slept for a minute: what is overdue ends, what is alive goes on. */
static void test_O01_the_machine_slept(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    p2p_sim_clock_step(s.world.io[0], 60 * 1000000, 60 * 1000000);
    scene_run(&s, 3000);
    struct side side = {.to_send = 1000};
    open_echo(s.honest, s.addr, &side);
    assert_true(world_until(&s.world, closed, &side, 10000));
    assert_int_equal(side.close_code, 0);
    s.bad = 0; /* the ping stream's idle minute has passed */
    scene_fini(&s);
}

/* A reset while the host writes, with the signal that would end the process left alone. */
static void test_O03_reset_while_writing(void **state)
{
    static const uint8_t bytes[60000];
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    void (*before)(int) = signal(SIGPIPE, SIG_DFL);
    for (int how = 0; how < 6; how++) {
        struct raw_peer *peer = scene_raw(&s);
        for (uint32_t i = 0; i < 8; i++) {
            raw_stream(peer, 1 + 2 * i, ECHO_PROTOCOL);
            raw_data(peer, 0, 1 + 2 * i, bytes, sizeof(bytes));
        }
        raw_push(peer);
        scene_run(&s, how * 10);
        peer->deaf = true;
        raw_push(peer);
        raw_close(peer, how % 2 == 0);
        scene_run(&s, 200);
    }
    signal(SIGPIPE, before);
    scene_fini(&s);
}

/* ---- O04: addresses ---- */

static int listen_on(p2p_host *host, const char *text, char *why, size_t why_cap)
{
    p2p_multiaddr addr;
    p2p_error *err = NULL;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    int rc = p2p_host_listen(host, &addr, &err);
    assert_int_equal(rc != 0, err != NULL);
    snprintf(why, why_cap, "%s", err ? err->message : "");
    p2p_error_free(err);
    return rc;
}

static unsigned port_of(p2p_host *host, size_t index)
{
    char text[256];
    p2p_multiaddr addr;
    unsigned port = 0;
    assert_int_equal(p2p_host_addr(host, index, &addr), 0);
    assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
    assert_int_equal(sscanf(strstr(text, "/tcp/"), "/tcp/%u", &port), 1);
    return port;
}

static void test_O04_port_in_use(void **state)
{
    struct world world;
    char text[64], why[400];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    (void)b;
    char addr[256];
    world_addr(a, addr, sizeof(addr));
    *strstr(addr, "/p2p/") = '\0';
    assert_int_equal(listen_on(a, addr, why, sizeof(why)), P2P_ELISTEN);
    assert_non_null(strstr(why, "cannot listen on /ip4/"));
    assert_non_null(strstr(why, "in use"));
    /* Two ports of one host, and the address of nobody here. */
    *strstr(addr, "/tcp/") = '\0';
    snprintf(text, sizeof(text), "%.40s/tcp/0", addr);
    assert_int_equal(listen_on(a, text, why, sizeof(why)), 0);
    assert_int_not_equal(port_of(a, 0), port_of(a, 1));
    assert_int_equal(listen_on(a, "/ip4/192.0.2.1/tcp/0", why, sizeof(why)), P2P_ELISTEN);
    world_fini(&world);
}

static void echo_through(struct world *world, p2p_host *from, const char *target, int code)
{
    struct side side = {.to_send = 100};
    open_echo(from, target, &side);
    assert_true(world_until(world, closed, &side, 15000));
    assert_int_equal(side.close_code, code);
    p2p_conn *conn = p2p_host_conn_at(from, 0);
    if (conn)
        p2p_conn_close(conn);
    world_run(world, 50);
}

/* Both families on one port, each by its own address; a mapped address is the IPv4 one or nothing.
 */
static void test_O04_dual_stack(void **state)
{
    struct world world;
    char text[256], why[400], id[128];
    (void)state;
    world_init(&world, WORLD_UV, 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(a, ECHO_PROTOCOL, &echo_events, NULL), 0);
    assert_int_equal(listen_on(a, "/ip4/0.0.0.0/tcp/0", why, sizeof(why)), 0);
    unsigned port = port_of(a, 1);
    snprintf(text, sizeof(text), "/ip6/::/tcp/%u", port);
    int rc = listen_on(a, text, why, sizeof(why));
    if (rc == P2P_ELISTEN && !strstr(why, "in use"))
        skip(); /* no IPv6 here */
    assert_int_equal(rc, 0);
    assert_true(p2p_peer_id_format(p2p_host_peer(a), id, sizeof(id)) > 0);
    snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u/p2p/%s", port, id);
    echo_through(&world, b, text, 0);
    snprintf(text, sizeof(text), "/ip6/::1/tcp/%u/p2p/%s", port, id);
    echo_through(&world, b, text, 0);
    snprintf(text, sizeof(text), "/ip6/::ffff:127.0.0.1/tcp/%u/p2p/%s", port, id);
    struct side side = {.to_send = 100};
    open_echo(b, text, &side);
    assert_true(world_until(&world, closed, &side, 15000));
    assert_true(side.close_code == 0 || side.close_code == P2P_ECONN ||
                side.close_code == P2P_EADDR || side.close_code == P2P_ENOTSUP);
    world_fini(&world);
}

static void test_O04_zones(void **state)
{
    struct world world;
    char why[400];
    (void)state;
    world_init(&world, WORLD_UV, 1, false);
    p2p_host *a = world_host(&world, NULL);
    int rc = listen_on(a, "/ip6zone/lo/ip6/fe80::1/tcp/0", why, sizeof(why));
    assert_true(rc == 0 || rc == P2P_ELISTEN || rc == P2P_EADDR);
    rc = listen_on(a, "/ip6zone/nosuchzone0/ip6/fe80::1/tcp/0", why, sizeof(why));
    assert_int_equal(rc, P2P_EADDR);
    assert_non_null(strstr(why, "zone"));
    struct side side = {.to_send = 1};
    char text[256], id[128];
    p2p_key *other = world_key(3, 3);
    p2p_peer_id_format(p2p_key_peer_id(other), id, sizeof(id));
    snprintf(text, sizeof(text), "/ip6zone/lo/ip6/fe80::1/tcp/9/p2p/%s", id);
    open_echo(a, text, &side);
    assert_true(world_until(&world, closed, &side, 15000));
    assert_int_not_equal(side.close_code, 0);
    p2p_key_free(other);
    world_fini(&world);
}

static void host_gone(void *user, const p2p_error *why)
{
    (void)why;
    *(bool *)user = true;
}

static bool is_true(void *user)
{
    return *(bool *)user;
}

/* Closed with connections open, its port is free for the next one at once. */
static void test_O04_restart_in_time_wait(void **state)
{
    char listen[64] = "";
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct world world;
        char addr[256], why[400];
        world_init(&world, WORLD_UV, 1, false);
        p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
        assert_int_equal(p2p_host_handle(a, ECHO_PROTOCOL, &echo_events, NULL), 0);
        if (round == 0)
            assert_int_equal(listen_on(a, "/ip4/127.0.0.1/tcp/0", why, sizeof(why)), 0);
        else if (listen_on(a, listen, why, sizeof(why)) != 0)
            fail_msg("%s", why);
        snprintf(listen, sizeof(listen), "/ip4/127.0.0.1/tcp/%u", port_of(a, 1));
        char id[128];
        p2p_peer_id_format(p2p_host_peer(a), id, sizeof(id));
        snprintf(addr, sizeof(addr), "%s/p2p/%s", listen, id);
        struct side side = {.to_send = 100};
        open_echo(b, addr, &side);
        assert_true(world_until(&world, closed, &side, 5000));
        assert_int_equal(side.close_code, 0);
        bool gone = false;
        p2p_host_close(a, host_gone, &gone); /* whose side closes first is the one that waits */
        assert_true(world_until(&world, is_true, &gone, 5000));
        world.host[0] = NULL;
        world_fini(&world);
    }
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_O01_the_wall_clock_is_set),
        cmocka_unit_test(test_O01_the_machine_slept),
        BOTH(test_O03_reset_while_writing),
        BOTH(test_O04_port_in_use),
        cmocka_unit_test(test_O04_dual_stack),
        cmocka_unit_test(test_O04_zones),
        cmocka_unit_test(test_O04_restart_in_time_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
