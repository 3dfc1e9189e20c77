/* A client whose address changes keeps its QUIC connections (RFC 9000, section 9), and what is
 * under way on them. In the simulator; tests/net/path_test.py does it with the system's network. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/perf.h>

#include "tests/echo.h"

#ifdef P2P_QUIC

enum {
    BYTES = 4 << 20,
    LIMIT_MS = 60 * 1000,
    NAMES = 3, /* of the remote's that a client has to spare */
};

struct scene {
    struct world world;
    p2p_host *client, *server;
    char addr[256], ip[46];
    int connected, disconnected;
};

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct scene *)user)->connected++;
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn, (void)why;
    ((struct scene *)user)->disconnected++;
}

static const p2p_host_events host_events = {
    .size = sizeof(host_events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

static void on_open(void *user, const p2p_error *why)
{
    *(int *)user = why ? why->code : 1;
}

static bool is_set(void *user)
{
    return *(int *)user != 0;
}

/* Connected, from a socket that no address is tied to. */
static void scene_init(struct scene *self, unsigned flags)
{
    static const char *const options[] = {"services=perf", "keepalive=2s", "keepalive_timeout=2s",
                                          NULL};
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    int opened = 0;
    *self = (struct scene){0};
    world_init(&self->world, WORLD_SIM, 7, false);
    self->world.quic = true;
    self->client = world_host(&self->world, options);
    self->server = world_host(&self->world, options);
    assert_int_equal(p2p_host_handle(self->server, ECHO_PROTOCOL, &echo_events, NULL), 0);
    p2p_host_set_events(self->client, &host_events, self);
    world_addr(self->server, self->addr, sizeof(self->addr));
    assert_int_equal(p2p_sim_address(self->world.io[0], 0, self->ip, sizeof(self->ip)), 0);
    opts.flags = flags;
    assert_non_null(p2p_host_connect(self->client, self->addr, &opts, on_open, &opened));
    assert_true(world_until(&self->world, is_set, &opened, 5000));
    assert_int_equal(opened, 1);
}

static void lose(struct scene *self)
{
    assert_int_equal(p2p_sim_remove_address(self->world.io[0], self->ip), 0);
}

static void gain(struct scene *self, const char *ip)
{
    assert_int_equal(p2p_sim_add_address(self->world.io[0], ip), 0);
    snprintf(self->ip, sizeof(self->ip), "%s", ip);
}

static void local_ip_is(const struct scene *self, const char *ip)
{
    p2p_multiaddr addr;
    char text[200], front[64];
    p2p_conn *conn = p2p_host_conn(self->client, p2p_host_peer(self->server));
    assert_non_null(conn);
    p2p_conn_local_addr(conn, &addr);
    assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
    snprintf(front, sizeof(front), "/ip4/%s/udp/", ip);
    assert_memory_equal(text, front, strlen(front));
    conn = p2p_host_conn(self->server, p2p_host_peer(self->client));
    assert_non_null(conn);
    p2p_conn_remote_addr(conn, &addr);
    assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
    assert_memory_equal(text, front, strlen(front));
}

/* One connection all the time. */
static void went_well(struct scene *self, struct side *side)
{
    assert_true(world_until(&self->world, closed, side, LIMIT_MS));
    assert_int_equal(side->close_code, 0);
    assert_int_equal(side->got, BYTES);
    assert_false(side->check_failed);
    assert_int_equal(self->connected, 1);
    assert_int_equal(self->disconnected, 0);
    world_run(&self->world, 200);
}

static void half_way(struct scene *self, struct side *side)
{
    open_echo(self->client, self->addr, side);
    for (int i = 0; i < 1000 && side->got < BYTES / 4; i++)
        world_run(&self->world, 5);
    assert_true(side->got > 0 && side->got < BYTES);
}

static void test_another_address_for_the_one_that_is_gone(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    half_way(&s, &side);
    lose(&s);
    gain(&s, "10.9.9.1");
    went_well(&s, &side);
    local_ip_is(&s, "10.9.9.1");
    world_fini(&s.world);
}

static void test_nothing_for_a_while_and_then_another_address(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    half_way(&s, &side);
    lose(&s);
    world_run(&s.world, 2000);
    gain(&s, "10.9.9.1");
    went_well(&s, &side);
    local_ip_is(&s, "10.9.9.1");
    world_fini(&s.world);
}

static void test_the_new_one_was_there_before(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    half_way(&s, &side);
    char old[46];
    snprintf(old, sizeof(old), "%s", s.ip);
    gain(&s, "10.9.9.1");
    world_run(&s.world, 20);
    local_ip_is(&s, old);
    assert_true(side.got < BYTES);
    assert_int_equal(p2p_sim_remove_address(s.world.io[0], old), 0);
    went_well(&s, &side);
    local_ip_is(&s, "10.9.9.1");
    world_fini(&s.world);
}

/* Each takes one more name of the remote's, which gives new ones. */
static void test_many_moves(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    char ip[46];
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    open_echo(s.client, s.addr, &side);
    for (int i = 1; i <= 20; i++) {
        world_run(&s.world, 100);
        lose(&s);
        snprintf(ip, sizeof(ip), "10.9.9.%d", i);
        gain(&s, ip);
    }
    went_well(&s, &side);
    local_ip_is(&s, ip);
    world_fini(&s.world);
}

/* Each path has its own name of the remote's (RFC 9000, section 9.5). Without a round trip between
 * the moves there are no more of them, and the connection is lost; in time, and a dial helps. */
static void test_more_moves_than_names(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    char ip[46];
    int opened = 0;
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    half_way(&s, &side);
    for (int i = 1; i <= 10; i++) {
        lose(&s);
        snprintf(ip, sizeof(ip), "10.9.9.%d", i);
        gain(&s, ip);
        world_run(&s.world, 1);
    }
    assert_true(world_until(&s.world, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_ETIMEDOUT);
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.flags = P2P_DIAL_NO_REUSE_PORT;
    assert_non_null(p2p_host_connect(s.client, s.addr, &opts, on_open, &opened));
    assert_true(world_until(&s.world, is_set, &opened, 5000));
    assert_int_equal(opened, 1);
    world_run(&s.world, 3000); /* the server, too, has given up the first one */
    local_ip_is(&s, ip);
    world_fini(&s.world);
}

/* All names are used up when one more address comes; but the last one is back, so that the remote
 * can give new ones, and then it moves, although nothing has changed any more. */
static void test_names_come_again(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    char ip[46];
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    half_way(&s, &side);
    for (int i = 1; i <= NAMES; i++) {
        lose(&s);
        snprintf(ip, sizeof(ip), "10.9.9.%d", i);
        gain(&s, ip);
        world_run(&s.world, 1);
    }
    lose(&s);
    gain(&s, "10.9.9.99");
    gain(&s, ip);
    world_run(&s.world, 1);
    went_well(&s, &side);
    world_run(&s.world, 1000);
    local_ip_is(&s, "10.9.9.99");
    world_fini(&s.world);
}

struct perf {
    int done;
    uint64_t bytes;
};

static void on_perf(void *user, const p2p_perf_result *result, const p2p_error *why)
{
    struct perf *self = user;
    self->done = why ? why->code : 1;
    self->bytes = result->download_bytes;
}

/* The client has nothing to send but what says that it moved. */
static void test_only_the_server_sends(void **state)
{
    struct scene s;
    struct perf perf = {0};
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    assert_non_null(p2p_perf_run(s.client, s.addr, 0, BYTES, NULL, on_perf, &perf));
    world_run(&s.world, 300);
    assert_int_equal(perf.done, 0);
    lose(&s);
    gain(&s, "10.9.9.1");
    assert_true(world_until(&s.world, is_set, &perf.done, LIMIT_MS));
    assert_int_equal(perf.done, 1);
    assert_int_equal(perf.bytes, BYTES);
    assert_int_equal(s.connected, 1);
    world_fini(&s.world);
}

/* Nothing is under way: the next stream finds the connection. */
static void test_an_idle_connection(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    world_run(&s.world, 1000);
    lose(&s);
    gain(&s, "10.9.9.1");
    world_run(&s.world, 1000);
    local_ip_is(&s, "10.9.9.1");
    open_echo(s.client, s.addr, &side);
    went_well(&s, &side);
    world_fini(&s.world);
}

/* It has no way to say so. The client notices in time, and so does the server. */
static void test_the_server_cannot_move(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES};
    p2p_multiaddr any;
    (void)state;
    scene_init(&s, P2P_DIAL_NO_REUSE_PORT);
    p2p_conn_close(p2p_host_conn(s.client, p2p_host_peer(s.server)));
    world_run(&s.world, 1000);
    assert_int_equal(p2p_multiaddr_parse("/ip4/0.0.0.0/udp/4001/quic-v1", &any), 0);
    assert_int_equal(p2p_host_listen(s.server, &any, NULL), 0);
    char ip[46], peer[P2P_PEER_ID_TEXT_MAX];
    assert_int_equal(p2p_sim_address(s.world.io[1], 0, ip, sizeof(ip)), 0);
    assert_true(p2p_peer_id_format(p2p_host_peer(s.server), peer, sizeof(peer)) > 0);
    snprintf(s.addr, sizeof(s.addr), "/ip4/%s/udp/4001/quic-v1/p2p/%s", ip, peer);
    half_way(&s, &side);
    assert_int_equal(p2p_sim_add_address(s.world.io[1], "10.9.9.1"), 0);
    assert_int_equal(p2p_sim_remove_address(s.world.io[1], ip), 0);
    assert_true(world_until(&s.world, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_ETIMEDOUT);
    world_run(&s.world, 5000);
    assert_null(p2p_host_conn_at(s.server, 0));
    world_fini(&s.world);
}

/* A socket that is tied to the address that is gone: an error in time, and a dial helps. */
static void test_a_socket_with_one_address(void **state)
{
    struct scene s;
    struct side side = {.to_send = BYTES}, again = {.to_send = BYTES};
    (void)state;
    scene_init(&s, 0);
    half_way(&s, &side);
    lose(&s);
    gain(&s, "10.9.9.1");
    assert_true(world_until(&s.world, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_ETIMEDOUT);
    const char *protocol = ECHO_PROTOCOL;
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.flags = P2P_DIAL_NO_REUSE_PORT;
    again.stream = p2p_host_open(s.client, s.addr, &protocol, 1, &opts, &client_events, &again);
    assert_non_null(again.stream);
    pump(&again);
    assert_true(world_until(&s.world, closed, &again, LIMIT_MS));
    assert_int_equal(again.close_code, 0);
    assert_int_equal(again.got, BYTES);
    world_fini(&s.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_address_for_the_one_that_is_gone),
        cmocka_unit_test(test_nothing_for_a_while_and_then_another_address),
        cmocka_unit_test(test_the_new_one_was_there_before),
        cmocka_unit_test(test_many_moves),
        cmocka_unit_test(test_more_moves_than_names),
        cmocka_unit_test(test_names_come_again),
        cmocka_unit_test(test_only_the_server_sends),
        cmocka_unit_test(test_an_idle_connection),
        cmocka_unit_test(test_the_server_cannot_move),
        cmocka_unit_test(test_a_socket_with_one_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
