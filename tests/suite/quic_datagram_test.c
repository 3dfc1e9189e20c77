/* Datagrams beside the streams of a QUIC connection (RFC 9221), as an application has them. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

#ifdef P2P_QUIC

#include "transport/quic/quic.h"

enum {
    SOON_MS = 5000,
    QUEUE_BYTES = QUIC_DATAGRAM_QUEUE,
};

struct inbox {
    size_t count, bytes, wrong;
    size_t last_len;
    uint32_t last; /* the number in it */
    bool ordered, echoes, closed;
};

struct scene {
    struct world world;
    p2p_host *client, *server;
    p2p_conn *to_server, *to_client;
    struct inbox at_server, at_client;
    char addr[256];
};

static void fill(uint8_t *bytes, size_t len, uint32_t number)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = i < 4 ? (uint8_t)(number >> (8 * i)) : (uint8_t)(number * 31 + i);
}

static void on_datagram(p2p_conn *conn, const uint8_t *bytes, size_t len, void *user)
{
    struct inbox *self = user;
    uint8_t expected[1500];
    uint32_t number = 0;
    assert_true(len <= sizeof(expected));
    for (size_t i = 0; i < 4 && i < len; i++)
        number |= (uint32_t)bytes[i] << (8 * i);
    fill(expected, len, number);
    self->wrong += len && memcmp(expected, bytes, len) != 0;
    self->ordered = self->count == 0 || (self->ordered && number > self->last);
    self->last = number;
    self->last_len = len;
    self->count++;
    self->bytes += len;
    if (self->echoes)
        assert_int_equal(p2p_conn_send_datagram(conn, bytes, len), 0);
}

static void on_closed(p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)conn, (void)why;
    ((struct inbox *)user)->closed = true;
}

static const p2p_conn_events conn_events = {
    .size = sizeof(conn_events), .on_closed = on_closed, .on_datagram = on_datagram};

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct scene *self = user;
    (void)host;
    self->to_client = conn;
    p2p_conn_set_events(conn, &conn_events, &self->at_server);
}

static const p2p_host_events host_events = {.size = sizeof(host_events),
                                            .on_connected = on_connected};

static void on_dialed(void *user, const p2p_error *why)
{
    *(int *)user = why ? why->code : 1;
}

static bool is_set(void *user)
{
    return *(int *)user != 0;
}

static void scene_init(struct scene *self, enum world_kind kind, bool quic)
{
    static const char *const options[] = {"services=", NULL};
    int dialed = 0;
    *self = (struct scene){0};
    world_init(&self->world, kind, 3, false);
    self->world.quic = quic;
    self->client = world_host(&self->world, options);
    self->server = world_host(&self->world, options);
    assert_int_equal(p2p_host_handle(self->server, ECHO_PROTOCOL, &echo_events, NULL), 0);
    p2p_host_set_events(self->server, &host_events, self);
    world_addr(self->server, self->addr, sizeof(self->addr));
    assert_non_null(p2p_host_connect(self->client, self->addr, NULL, on_dialed, &dialed));
    assert_true(world_until(&self->world, is_set, &dialed, SOON_MS));
    assert_int_equal(dialed, 1);
    self->to_server = p2p_host_conn(self->client, p2p_host_peer(self->server));
    assert_non_null(self->to_server);
    p2p_conn_set_events(self->to_server, &conn_events, &self->at_client);
    world_run(&self->world, 300);
    assert_non_null(self->to_client);
}

static int send_one(p2p_conn *conn, size_t len, uint32_t number)
{
    uint8_t bytes[2000];
    fill(bytes, len, number);
    return p2p_conn_send_datagram(conn, bytes, len);
}

static void test_of_every_length(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), true);
    size_t max = p2p_conn_max_datagram(s.to_server), lens[] = {0, 1, 2, 3, 4, 63, 64, 1000, max};
    size_t count = sizeof(lens) / sizeof(lens[0]);
    assert_in_range(max, 1100, QUIC_PACKET_MAX);
    s.at_server.echoes = true;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(send_one(s.to_server, lens[i], (uint32_t)i), 0);
        world_run(&s.world, 300);
        assert_int_equal(s.at_server.count, i + 1);
        assert_int_equal(s.at_server.last_len, lens[i]);
        assert_int_equal(s.at_client.count, i + 1);
        assert_int_equal(s.at_client.last_len, lens[i]);
    }
    assert_int_equal(s.at_server.wrong + s.at_client.wrong, 0);
    world_fini(&s.world);
}

static void test_too_long(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), true);
    size_t max = p2p_conn_max_datagram(s.to_server);
    assert_int_equal(send_one(s.to_server, max + 1, 1), P2P_ETOOBIG);
    assert_int_equal(send_one(s.to_server, max, 2), 0);
    world_run(&s.world, 300);
    assert_int_equal(s.at_server.count, 1);
    assert_int_equal(s.at_server.last, 2);
    world_fini(&s.world);
}

/* What waits to leave has a cap; what was refused is the caller's to count as lost. */
static void test_more_than_may_wait(void **state)
{
    struct scene s;
    uint32_t taken = 0;
    int rc = 0;
    scene_init(&s, kind_of(state), true);
    while ((rc = send_one(s.to_server, 1000, taken + 1)) == 0)
        assert_true(++taken <= QUEUE_BYTES / 1000);
    assert_int_equal(rc, P2P_EAGAIN);
    assert_true(taken >= QUEUE_BYTES / 1100);
    world_run(&s.world, 2000);
    assert_in_range(s.at_server.count, 1, taken);
    assert_int_equal(s.at_server.wrong, 0);
    /* There is room again. */
    size_t before = s.at_server.count;
    assert_int_equal(send_one(s.to_server, 1000, 1000), 0);
    world_run(&s.world, 300);
    assert_int_equal(s.at_server.count, before + 1);
    assert_int_equal(s.at_server.last, 1000);
    world_fini(&s.world);
}

/* Streams and datagrams share the connection: neither starves the other. */
static void test_beside_a_transfer(void **state)
{
    struct scene s;
    struct side side = {.to_send = 4 << 20};
    uint32_t taken = 0;
    scene_init(&s, kind_of(state), true);
    open_echo(s.client, s.addr, &side);
    for (int i = 0; i < 2000 && !side.closed; i++) {
        taken += send_one(s.to_server, 200, taken + 1) == 0;
        world_run(&s.world, 5);
    }
    assert_true(world_until(&s.world, closed, &side, 20000));
    world_run(&s.world, 300);
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, side.to_send);
    assert_false(side.check_failed);
    assert_true(taken > 0);
    assert_in_range(s.at_server.count, taken - taken / 10, taken);
    assert_int_equal(s.at_server.wrong, 0);
    world_fini(&s.world);
}

/* Nobody listens: they are dropped, and the connection goes on. */
static void test_to_nobody(void **state)
{
    struct scene s;
    struct side side = {.to_send = 1000};
    scene_init(&s, kind_of(state), true);
    p2p_conn_set_events(s.to_client, NULL, NULL);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(send_one(s.to_server, 500, i), 0);
    world_run(&s.world, 500);
    p2p_conn_set_events(s.to_client, &conn_events, &s.at_server);
    world_run(&s.world, 500);
    assert_int_equal(s.at_server.count, 0);
    assert_int_equal(send_one(s.to_server, 500, 77), 0);
    open_echo(s.client, s.addr, &side);
    assert_true(world_until(&s.world, closed, &side, SOON_MS));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(s.at_server.count, 1);
    assert_int_equal(s.at_server.last, 77);
    world_fini(&s.world);
}

/* More than may wait for their reader come at once: the latest are lost, the others are in order.
 */
static void test_a_reader_that_is_behind(void **state)
{
    struct scene s;
    uint32_t taken = 0;
    scene_init(&s, kind_of(state), true);
    /* With what it is kept in, one of four bytes takes about thirty. */
    while (send_one(s.to_server, 4, taken + 1) == 0)
        taken++;
    assert_true(taken > QUEUE_BYTES / 40);
    world_run(&s.world, 2000);
    assert_in_range(s.at_server.count, 256 + 1, taken);
    assert_true(s.at_server.ordered);
    assert_int_equal(s.at_server.wrong, 0);
    world_fini(&s.world);
}

static void test_not_over_a_link(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), false);
    assert_int_equal(p2p_conn_max_datagram(s.to_server), 0);
    assert_int_equal(send_one(s.to_server, 1, 1), P2P_ENOTSUP);
    world_fini(&s.world);
}

static void test_not_after_the_end(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), true);
    p2p_conn_close(s.to_server);
    assert_int_equal(send_one(s.to_server, 1, 1), P2P_ECLOSED);
    assert_int_equal(p2p_conn_max_datagram(s.to_server), 0);
    world_run(&s.world, 500);
    assert_true(s.at_client.closed && s.at_server.closed);
    assert_int_equal(s.at_server.count, 0);
    world_fini(&s.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_of_every_length),    BOTH(test_too_long),
        BOTH(test_more_than_may_wait), BOTH(test_beside_a_transfer),
        BOTH(test_to_nobody),          BOTH(test_a_reader_that_is_behind),
        BOTH(test_not_over_a_link),    BOTH(test_not_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
