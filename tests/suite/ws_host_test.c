/* WebSocket under whole hosts, on real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

#include "host/host.h"

static void echo_over(void **state, const char *security, bool with_ws, size_t bytes)
{
    struct world world;
    char option[64], addr[256], text[P2P_MULTIADDR_TEXT_MAX];
    snprintf(option, sizeof(option), "security=%s", security);
    world_init(&world, kind_of(state), 1, false);
    world.over = "/ws";
    p2p_host *a = world_host(&world, (const char *[]){option, NULL});
    p2p_host *b = world_host(&world, (const char *[]){option, NULL});
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(b, addr, sizeof(addr));
    char *ws = strstr(addr, "/ws/p2p/");
    assert_non_null(ws);
    if (!with_ws)
        memmove(ws, ws + 3, strlen(ws + 3) + 1);
    struct side side = {.to_send = bytes};
    open_echo(a, addr, &side);
    assert_true(world_until(&world, closed, &side, 20000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, bytes);
    assert_false(side.check_failed);
    for (int i = 0; i < 2; i++) {
        p2p_multiaddr remote;
        p2p_conn *conn = p2p_host_conn_at(i ? b : a, 0);
        assert_non_null(conn);
        p2p_conn_remote_addr(conn, &remote);
        p2p_multiaddr_format(&remote, text, sizeof(text));
        assert_int_equal(strstr(text, "/ws") != NULL, with_ws);
    }
    world_fini(&world);
}

static void test_websocket_carries_four_mib(void **state)
{
    echo_over(state, "noise", true, 4 << 20);
}

static void test_every_channel_runs_over_websocket(void **state)
{
    echo_over(state, "tls", true, 1 << 20);
    echo_over(state, "signed", true, 1 << 20);
    echo_over(state, "plaintext", true, 1 << 20);
}

static void test_one_port_serves_both(void **state)
{
    echo_over(state, "noise", false, 1000);
}

static int listening, unlistening;

static void on_listening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    (void)host, (void)addr, (void)user;
    listening++;
}

static void on_unlistening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    (void)host, (void)addr, (void)user;
    unlistening++;
}

static void test_one_port_announces_both(void **state)
{
    static const p2p_host_events events = {
        .size = sizeof(events), .on_listening = on_listening, .on_unlistening = on_unlistening};
    struct world world;
    char addr[256];
    p2p_multiaddr plain, ws;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    listening = unlistening = 0;
    p2p_host_set_events(a, &events, NULL);
    world_addr(a, addr, sizeof(addr));
    *strstr(addr, "/p2p/") = '\0';
    assert_int_equal(p2p_multiaddr_parse(addr, &plain), 0);
    strcat(addr, "/ws");
    assert_int_equal(p2p_multiaddr_parse(addr, &ws), 0);
    assert_int_equal(p2p_host_listen(a, &plain, NULL), P2P_ELISTEN); /* it is taken */
    assert_int_equal(p2p_host_listen(a, &ws, NULL), 0);
    assert_int_equal(p2p_host_listen(a, &ws, NULL), P2P_ELISTEN);
    world_run(&world, 50);
    assert_int_equal(listening, 2);
    assert_int_equal(p2p_host_addr(a, 1, &ws), 0);
    assert_int_equal(p2p_host_addr(a, 2, &ws), P2P_ENOENT);
    world_fini(&world);
    assert_int_equal(unlistening, 2);
}

static bool gone(void *user)
{
    return p2p_host_conn_at(user, 0) == NULL;
}

static void test_a_goodbye_over_websocket_is_orderly(void **state)
{
    struct world world;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    world.over = "/ws";
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = 100};
    open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, 5000));
    p2p_conn_close(p2p_host_conn_at(a, 0));
    assert_true(world_until(&world, gone, a, 2000));
    assert_true(world_until(&world, gone, b, 2000));
    world_fini(&world);
}

/* In the simulator links can bring one byte at a time. */
static void test_websocket_in_any_pieces(void **state)
{
    (void)state;
    struct world world;
    char addr[256];
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.segments = P2P_SIM_RANDOM;
    for (uint64_t seed = 1; seed < 20; seed++) {
        world_init(&world, WORLD_SIM, seed, true);
        world.over = "/ws";
        if (seed < 3)
            path.segments = seed == 1 ? P2P_SIM_BYTE : P2P_SIM_RANDOM;
        assert_int_equal(p2p_sim_path(world.sim, 0, 0, &path), 0);
        p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
        assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
        struct side side = {.to_send = 30000};
        open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
        assert_true(world_until(&world, closed, &side, 60000));
        assert_int_equal(side.close_code, 0);
        assert_int_equal(side.got, 30000);
        assert_false(side.check_failed);
        world_fini(&world);
    }
}

/* Bytes that the dialer of an echo copies: each once, to write it, and what a cut record costs. */
static uint64_t copied_over(bool ws, size_t bytes)
{
    struct world world;
    char addr[256];
    world_init(&world, WORLD_SIM, 1, true);
    world.over = ws ? "/ws" : NULL;
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = bytes};
    open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, 60000));
    assert_int_equal(side.got, bytes);
    uint64_t copied = a->shard.pool.copied_bytes;
    world_fini(&world);
    return copied;
}

static void test_websocket_copies_no_more_than_bare_tcp(void **state)
{
    (void)state;
    uint64_t bare = copied_over(false, 8 << 20), ws = copied_over(true, 8 << 20);
    assert_true(bare >= 8 << 20);
    assert_true(ws <= bare + (8 << 20) / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_websocket_carries_four_mib),
        BOTH(test_every_channel_runs_over_websocket),
        BOTH(test_one_port_serves_both),
        BOTH(test_one_port_announces_both),
        BOTH(test_a_goodbye_over_websocket_is_orderly),
        cmocka_unit_test(test_websocket_in_any_pieces),
        cmocka_unit_test(test_websocket_copies_no_more_than_bare_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
