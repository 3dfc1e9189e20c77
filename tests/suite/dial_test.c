/* Dialing: one outcome, which says what was tried and why it failed; connections shared. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

struct outcome {
    int calls, code, attempts;
    char message[400], addr[300], error[300];
};

static void on_done(void *user, const p2p_error *why)
{
    struct outcome *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
    self->attempts = why ? (int)why->attempt_count : 0;
    if (!why)
        return;
    snprintf(self->message, sizeof(self->message), "%s", why->message);
    if (why->attempt_count) {
        snprintf(self->addr, sizeof(self->addr), "%s", why->attempts[0].addr);
        snprintf(self->error, sizeof(self->error), "%s", why->attempts[0].error);
    }
}

static bool called(void *user)
{
    return ((struct outcome *)user)->calls > 0;
}

static int connect_to(struct world *world, p2p_host *host, const char *target, int timeout_ms,
                      struct outcome *out)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = timeout_ms;
    *out = (struct outcome){0};
    assert_non_null(p2p_host_connect(host, target, &opts, on_done, out));
    assert_true(world_until(world, called, out, 20000));
    return out->code;
}

static size_t conn_count(const p2p_host *host)
{
    size_t n = 0;
    while (p2p_host_conn_at(host, n))
        n++;
    return n;
}

static void test_connecting_and_connecting_again(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256], peer[P2P_PEER_ID_TEXT_MAX];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    assert_int_equal(connect_to(&world, a, addr, 0, &out), 0);
    assert_int_equal(connect_to(&world, a, addr, 0, &out), 0);
    p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer));
    assert_int_equal(connect_to(&world, a, peer, 0, &out), 0); /* connected: the id is enough */
    assert_int_equal(conn_count(a), 1);
    p2p_conn *conn = p2p_host_conn(a, p2p_host_peer(b));
    assert_ptr_equal(conn, p2p_host_conn_at(a, 0));
    assert_true(p2p_peer_id_equal(p2p_conn_peer(conn), p2p_host_peer(b)));
    assert_int_equal(p2p_conn_outbound(conn), 1);
    if (world.quic) {
        assert_string_equal(p2p_conn_security(conn), "/tls/1.0.0");
        assert_null(p2p_conn_muxer(conn));
    } else {
        assert_string_equal(p2p_conn_security(conn), "/noise");
        assert_string_equal(p2p_conn_muxer(conn), "/yamux/1.0.0");
    }
    assert_int_equal(p2p_conn_protection(conn), P2P_PROTECTION_FULL);
    world_fini(&world);
}

static void test_malformed_targets_say_what_is_wrong(void **state)
{
    static const struct {
        const char *target;
        int code;
    } bad[] = {
        {"", P2P_EPEER},
        {"nonsense", P2P_EPEER},
        {"/ip4/1.2.3.4/tcp/99999", P2P_EADDR},
        {"/ip4/1.2.3.4/tcp/4001", P2P_EADDR}, /* no peer id */
        {"/ip4/1.2.3.4/udp/4001/quic/p2p/12D3KooWEDMw7oRqQkdCJbyeqS5mUmWGwTp8JJ2tjCzTkHboF6wK",
         P2P_ENOTSUP},
        {"12D3KooWEDMw7oRqQkdCJbyeqS5mUmWGwTp8JJ2tjCzTkHboF6wK", P2P_ENOADDR},
    };
    struct world world;
    struct outcome out;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int code = connect_to(&world, a, bad[i].target, 0, &out);
        if (code != bad[i].code)
            fail_msg("%s: %d (%s), not %d", bad[i].target, code, out.message, bad[i].code);
        assert_true(strlen(out.message) > 10);
    }
    char self[256];
    assert_int_equal(connect_to(&world, a, world_addr(a, self, sizeof(self)), 0, &out),
                     P2P_EDENIED);
    world_fini(&world);
}

/* The IPv4 address in a multiaddr. */
static const char *host_ip(const char *addr)
{
    static char ip[64];
    snprintf(ip, sizeof(ip), "%.*s", (int)strcspn(addr + 5, "/"), addr + 5);
    return ip;
}

static void test_a_refused_dial_names_the_address(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256], gone[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    /* The port next to a listener's is nobody's, most likely; port 1 certainly is. */
    world_at(&world, host_ip(addr), 1, strstr(addr, "/p2p/"), gone, sizeof(gone));
    assert_int_equal(connect_to(&world, a, gone, 0, &out), P2P_ECONN);
    assert_int_equal(out.attempts, 1);
    assert_non_null(strstr(out.addr, world.quic ? "/udp/1/" : "/tcp/1"));
    assert_non_null(strstr(out.error, "refused"));
    assert_non_null(strstr(out.message, world.quic ? "/udp/1/" : "/tcp/1"));
    world_fini(&world);
}

static void test_another_peer_than_the_one_asked_for_is_refused(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256], other[256], mixed[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_host *c = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    world_addr(c, other, sizeof(other));
    *strstr(addr, "/p2p/") = '\0';
    snprintf(mixed, sizeof(mixed), "%s%s", addr, strstr(other, "/p2p/"));
    assert_int_equal(connect_to(&world, a, mixed, 0, &out), P2P_EPEERID);
    assert_non_null(strstr(out.message, "expected peer"));
    assert_int_equal(conn_count(a), 0);
    world_run(&world, 100);
    assert_int_equal(conn_count(b), 0);
    world_fini(&world);
}

static void test_dials_to_one_peer_are_joined(void **state)
{
    struct world world;
    struct outcome out[8] = {0};
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    for (int i = 0; i < 8; i++)
        p2p_host_connect(a, addr, NULL, on_done, &out[i]);
    for (int i = 0; i < 8; i++) {
        assert_true(world_until(&world, called, &out[i], 5000));
        assert_int_equal(out[i].code, 0);
    }
    world_run(&world, 100);
    assert_int_equal(conn_count(a), 1);
    assert_int_equal(conn_count(b), 1);
    world_fini(&world);
}

static void test_a_known_address_serves_a_bare_peer_id(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256], peer[P2P_PEER_ID_TEXT_MAX];
    p2p_multiaddr maddr;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_multiaddr_parse(world_addr(b, addr, sizeof(addr)), &maddr);
    assert_int_equal(p2p_host_add_addr(a, p2p_host_peer(a), &maddr, -1), P2P_EADDR);
    assert_int_equal(p2p_host_add_addr(a, p2p_host_peer(b), &maddr, 200), 0);
    p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer));
    assert_int_equal(connect_to(&world, a, peer, 0, &out), 0);
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    world_run(&world, 1300); /* the address is forgotten meanwhile */
    assert_int_equal(conn_count(a), 0);
    assert_int_equal(connect_to(&world, a, peer, 0, &out), P2P_ENOADDR);
    world_fini(&world);
}

static void test_of_several_addresses_one_that_works_wins(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    for (int i = 1; i <= 4; i++) {
        char dead[300];
        p2p_multiaddr maddr;
        world_at(&world, host_ip(addr), i, "", dead, sizeof(dead));
        assert_int_equal(p2p_multiaddr_parse(dead, &maddr), 0);
        assert_int_equal(p2p_host_add_addr(a, p2p_host_peer(b), &maddr, -1), 0);
    }
    assert_int_equal(connect_to(&world, a, addr, 0, &out), 0);
    world_fini(&world);
}

/* ---- only in the simulator, where the network can be silent ---- */

static void test_a_silent_network_ends_at_the_deadline(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    p2p_sim_blackhole(world.io[1], true);
    uint64_t start = p2p_sim_now_us(world.sim);
    assert_int_equal(connect_to(&world, a, addr, 700, &out), P2P_ETIMEDOUT);
    assert_int_equal(p2p_sim_now_us(world.sim) - start, 700000);
    assert_int_equal(out.attempts, 1);
    assert_non_null(strstr(out.error, "no answer"));
    world_fini(&world);
}

static void test_a_working_address_is_tried_30_ms_after_a_silent_one(void **state)
{
    struct world world;
    struct outcome out;
    char addr[256];
    p2p_multiaddr maddr;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_multiaddr_parse(world_addr(b, addr, sizeof(addr)), &maddr);
    assert_int_equal(p2p_host_add_addr(a, p2p_host_peer(b), &maddr, -1), 0);
    char silent[300];
    world_at(&world, "10.250.250.250", 4001, strstr(addr, "/p2p/"), silent, sizeof(silent));
    uint64_t start = p2p_sim_now_us(world.sim);
    assert_int_equal(connect_to(&world, a, silent, 0, &out), 0);
    /* 30 ms, since both are of this network, then two round trips of 50 ms; one with QUIC. */
    assert_int_equal(p2p_sim_now_us(world.sim) - start, world.quic ? 80000 : 130000);
    world_fini(&world);
}

/* Both dial at the same moment: two connections may come of it, and both sides can use them. */
static void test_both_sides_dial_at_once(void **state)
{
    struct world world;
    struct outcome out[2] = {0};
    char addr[2][256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_host_connect(a, world_addr(b, addr[0], 256), NULL, on_done, &out[0]);
    p2p_host_connect(b, world_addr(a, addr[1], 256), NULL, on_done, &out[1]);
    assert_true(world_until(&world, called, &out[0], 5000));
    assert_true(world_until(&world, called, &out[1], 5000));
    assert_int_equal(out[0].code, 0);
    assert_int_equal(out[1].code, 0);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = 1000};
    open_echo(a, addr[0], &side);
    assert_true(world_until(&world, closed, &side, 5000));
    assert_int_equal(side.close_code, 0);
    world_fini(&world);
}

struct seen {
    int connected, disconnected, code;
    char message[200];
};

static void seen_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct seen *)user)->connected++;
}

static void seen_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct seen *self = user;
    (void)host, (void)conn;
    self->disconnected++;
    self->code = why->code;
    snprintf(self->message, sizeof(self->message), "%s", why->message);
}

static const p2p_host_events seen_events = {
    .size = sizeof(seen_events),
    .on_connected = seen_connected,
    .on_disconnected = seen_disconnected,
};

static bool seen_gone(void *user)
{
    return ((struct seen *)user)->disconnected > 0;
}

static void test_a_closed_connection_is_told_on_both_sides(void **state)
{
    struct world world;
    struct outcome out;
    struct seen at_a = {0}, at_b = {0};
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_host_set_events(a, &seen_events, &at_a);
    p2p_host_set_events(b, &seen_events, &at_b);
    assert_int_equal(connect_to(&world, a, world_addr(b, addr, sizeof(addr)), 0, &out), 0);
    assert_int_equal(at_a.connected, 1);
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(b)));
    assert_true(world_until(&world, seen_gone, &at_a, 2000));
    assert_true(world_until(&world, seen_gone, &at_b, 2000));
    assert_int_equal(at_b.connected, 1);
    assert_int_equal(at_a.code, P2P_ECLOSED);
    assert_int_equal(at_b.code, P2P_ECLOSED);
    world_fini(&world);
    assert_int_equal(at_a.disconnected, 1);
    assert_int_equal(at_b.disconnected, 1);
}

/* Y24: a peer that answers no ping is gone within 30 s of silence and 10 s of patience. */
static void test_Y24_a_vanished_peer_is_noticed_within_forty_seconds(void **state)
{
    struct world world;
    struct outcome out;
    struct seen at_a = {0};
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    p2p_host_set_events(a, &seen_events, &at_a);
    assert_int_equal(connect_to(&world, a, world_addr(b, addr, sizeof(addr)), 0, &out), 0);
    world_run(&world, 120000);
    assert_int_equal(at_a.disconnected, 0); /* idle, but alive */
    p2p_sim_blackhole(world.io[1], true);
    uint64_t start = p2p_sim_now_us(world.sim);
    assert_true(world_until(&world, seen_gone, &at_a, 60000));
    assert_true(p2p_sim_now_us(world.sim) - start <= 41 * 1000 * 1000);
    assert_int_equal(at_a.code, P2P_ETIMEDOUT);
    world_fini(&world);
}

#define SIM_ONLY(test)                                                                             \
    {                                                                                              \
#test "/sim", test, NULL, NULL, (void *)WORLD_SIM                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_connecting_and_connecting_again),
        BOTH(test_malformed_targets_say_what_is_wrong),
        BOTH(test_a_refused_dial_names_the_address),
        BOTH(test_another_peer_than_the_one_asked_for_is_refused),
        BOTH(test_dials_to_one_peer_are_joined),
        BOTH(test_a_known_address_serves_a_bare_peer_id),
        BOTH(test_of_several_addresses_one_that_works_wins),
        BOTH(test_both_sides_dial_at_once),
        BOTH(test_a_closed_connection_is_told_on_both_sides),
        SIM_ONLY(test_a_silent_network_ends_at_the_deadline),
        SIM_ONLY(test_a_working_address_is_tried_30_ms_after_a_silent_one),
        SIM_ONLY(test_Y24_a_vanished_peer_is_noticed_within_forty_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
