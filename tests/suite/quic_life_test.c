/* What happens to a QUIC connection in its life: others see it come from elsewhere, keys are
 * changed, nobody speaks any more, one side says goodbye; and how much it may hold. */
#include "tests/test.h"

#include "tests/world.h"

#ifdef P2P_QUIC

#include "tests/quic_scene.h"

enum {
    BYTES = 4 << 20,
    LIMIT_MS = 60 * 1000,
    RTT_US = 100 * 1000,
};

/* Two hosts, connected over QUIC, a round trip of 100 ms apart. */
struct two {
    struct world world;
    p2p_host *client, *server;
    char addr[256];
    int connected, disconnected, code;
    uint32_t remote_code;
};

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct two *)user)->connected++;
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct two *self = user;
    (void)host, (void)conn;
    self->disconnected++;
    self->code = why->code;
    self->remote_code = why->remote_code;
}

static const p2p_host_events two_events = {
    .size = sizeof(two_events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

static void two_init(struct two *self, const char *const *options)
{
    static const char *const bare[] = {"services=", NULL};
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = RTT_US / 2;
    *self = (struct two){0};
    world_init(&self->world, WORLD_SIM, 11, false);
    assert_int_equal(p2p_sim_path(self->world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path),
                     0);
    self->world.quic = true;
    self->client = world_host(&self->world, options ? options : bare);
    self->server = world_host(&self->world, options ? options : bare);
    p2p_host_set_events(self->client, &two_events, self);
    assert_int_equal(p2p_host_handle(self->server, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->server, self->addr, sizeof(self->addr));
}

static void half_way(struct two *self, struct side *side)
{
    open_echo(self->client, self->addr, side);
    for (int i = 0; i < 1000 && side->got < side->to_send / 4; i++)
        world_run(&self->world, 5);
    assert_true(side->got > 0 && side->got < side->to_send);
}

/* One connection all the time. */
static void went_well(struct two *self, struct side *side)
{
    assert_true(world_until(&self->world, closed, side, LIMIT_MS));
    assert_int_equal(side->close_code, 0);
    assert_int_equal(side->got, side->to_send);
    assert_false(side->check_failed);
    assert_int_equal(self->connected, 1);
    assert_int_equal(self->disconnected, 0);
}

static ngtcp2_conn *conn_of(p2p_host *host, p2p_host *other)
{
    p2p_conn *conn = p2p_host_conn(host, p2p_host_peer(other));
    assert_non_null(conn);
    return quic_of(conn->muxer)->conn;
}

/* ---- a box on the way that forgets ---- */

static void seen_port(const struct two *self, char *out, size_t cap)
{
    p2p_multiaddr addr;
    p2p_conn *conn = p2p_host_conn(self->server, p2p_host_peer(self->client));
    assert_non_null(conn);
    p2p_conn_remote_addr(conn, &addr);
    assert_true(p2p_multiaddr_format(&addr, out, cap) > 0);
}

static void test_rebinding_in_mid_transfer(void **state)
{
    struct two s;
    struct side side = {.to_send = BYTES};
    char before[100], after[100];
    (void)state;
    two_init(&s, NULL);
    half_way(&s, &side);
    seen_port(&s, before, sizeof(before));
    p2p_sim_rebind(s.world.io[0]);
    went_well(&s, &side);
    seen_port(&s, after, sizeof(after));
    assert_string_not_equal(before, after);
    world_fini(&s.world);
}

static void test_rebinding_again_and_again(void **state)
{
    struct two s;
    struct side side = {.to_send = BYTES};
    (void)state;
    two_init(&s, NULL);
    half_way(&s, &side);
    for (int i = 0; i < 10 && !side.closed; i++) {
        p2p_sim_rebind(s.world.io[0]);
        world_run(&s.world, 700);
    }
    went_well(&s, &side);
    world_fini(&s.world);
}

static void test_rebinding_of_an_idle_one(void **state)
{
    struct two s;
    struct side first = {.to_send = 1000}, second = {.to_send = 100000};
    (void)state;
    two_init(&s, NULL);
    open_echo(s.client, s.addr, &first);
    assert_true(world_until(&s.world, closed, &first, LIMIT_MS));
    world_run(&s.world, 5000);
    p2p_sim_rebind(s.world.io[0]);
    open_echo(s.client, s.addr, &second);
    went_well(&s, &second);
    world_fini(&s.world);
}

/* ---- keys ---- */

static void change_keys(p2p_host *host, p2p_host *other)
{
    assert_int_equal(
        ngtcp2_conn_initiate_key_update(conn_of(host, other), quic_ts(p2p_host_now_us(host))), 0);
}

/* Each side in turn, with a transfer under way; nothing is lost. */
static void test_key_updates(void **state)
{
    struct two s;
    struct side side = {.to_send = 4 * BYTES};
    (void)state;
    two_init(&s, NULL);
    half_way(&s, &side);
    for (int i = 0; i < 6 && !side.closed; i++) {
        if (i % 2)
            change_keys(s.client, s.server);
        else
            change_keys(s.server, s.client);
        world_run(&s.world, 5 * RTT_US / 1000);
    }
    went_well(&s, &side);
    world_fini(&s.world);
}

/* By a remote, under each cipher: the one that has keys of our own making, too. */
static void test_key_updates_of_a_remote(void **state)
{
    static const char *const ciphers[] = {"AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"};
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    for (size_t i = 0; i < 3; i++) {
        const struct quic_raw_ways ways = {.cipher = ciphers[i]};
        struct quic_raw *peer = quic_raw_dial(&s.net, s.addr, &ways);
        assert_true(scene_until(&s.scene, quic_raw_is_open, peer, SOON_MS));
        world_run(&s.scene.world, 1000);
        for (int j = 0; j < 4; j++) {
            ngtcp2_tstamp now = quic_ts(s.net.io->ops->now_us(s.net.io));
            quic_raw_inside = peer;
            int rc = ngtcp2_conn_initiate_key_update(peer->conn, now);
            quic_raw_inside = NULL;
            if (rc != 0)
                fail_msg("%s, update %d: %s", ciphers[i], j, ngtcp2_strerror(rc));
            still_serves(&s, peer);
            world_run(&s.scene.world, 1000);
            still_serves(&s, peer); /* the next keys are made by what is sent */
        }
        quic_raw_free(peer);
    }
    quic_fini(&s);
}

/* ---- time ---- */

/* Ten seconds from the first datagram, whatever comes. */
static void test_a_handshake_that_stops(void **state)
{
    struct quic_scene s;
    const struct quic_raw_ways mute = {.mute = true};
    quic_init(&s, kind_of(state));
    (void)quic_raw_dial(&s.net, s.addr, &mute);
    scene_run(&s.scene, HANDSHAKE_MS - 1000);
    assert_int_equal(scene_load(&s.scene).half_open, 1);
    scene_run(&s.scene, 1200);
    assert_int_equal(scene_load(&s.scene).half_open, 0);
    assert_int_equal(s.scene.connected, 0);
    quic_fini(&s);
}

static bool is_disconnected(void *user)
{
    return ((struct two *)user)->disconnected > 0;
}

/* The other side is gone without a word: noticed after keepalive and its timeout, not before. */
static void test_silence(void **state)
{
    static const char *const options[] = {"services=", "keepalive=2s", "keepalive_timeout=3s",
                                          NULL};
    struct two s;
    struct side side = {.to_send = 1000};
    (void)state;
    two_init(&s, options);
    open_echo(s.client, s.addr, &side);
    assert_true(world_until(&s.world, closed, &side, LIMIT_MS));
    world_run(&s.world, 30 * 1000); /* alive all the while */
    assert_int_equal(s.disconnected, 0);
    p2p_sim_blackhole(s.world.io[1], true);
    world_run(&s.world, 2500);
    assert_int_equal(s.disconnected, 0);
    assert_true(world_until(&s.world, is_disconnected, &s, 6000));
    assert_int_equal(s.code, P2P_ETIMEDOUT);
    world_fini(&s.world);
}

/* ---- goodbye ---- */

static void test_goodbye_in_order(void **state)
{
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    p2p_conn *conn = p2p_host_conn(s.scene.victim, p2p_key_peer_id(s.net.key));
    assert_non_null(conn);
    p2p_conn_close(conn);
    assert_true(scene_until(&s.scene, quic_raw_is_over, peer, SOON_MS));
    assert_int_equal(peer->over, NGTCP2_ERR_DRAINING);
    assert_true(peer->app_close);
    assert_int_equal(peer->code, 0);
    quic_fini(&s);
}

/* Whoever opens streams and resets them is told which limit it is (libp2p specs, error codes). */
static void test_goodbye_for_a_limit(void **state)
{
    struct quic_scene s;
    uint8_t frames[1000];
    uint32_t id = 0;
    quic_init(&s, kind_of(state));
    s.scene.heap_slack += 256 * 1024;
    struct quic_raw *peer = quic_open(&s);
    while (!peer->over && id < 4 * 4000) {
        size_t n = 0;
        for (; n + 8 < sizeof(frames); id += 4) {
            frames[n++] = 0x04; /* RESET_STREAM */
            frames[n++] = (uint8_t)(0x80 | id >> 24);
            frames[n++] = (uint8_t)(id >> 16);
            frames[n++] = (uint8_t)(id >> 8);
            frames[n++] = (uint8_t)id;
            frames[n++] = 0;
            frames[n++] = 0;
            for (int64_t ours = -1; ours < (int64_t)id;)
                if (ngtcp2_conn_open_bidi_stream(peer->conn, &ours, NULL) != 0)
                    break;
        }
        quic_raw_inject(peer, QUIC_RAW_SHORT, frames, n);
        scene_run(&s.scene, 60);
    }
    assert_int_equal(peer->over, NGTCP2_ERR_DRAINING);
    assert_true(peer->app_close);
    assert_int_equal(peer->code, 0x1001);
    assert_string_equal(s.scene.limit, "stream_resets");
    quic_fini(&s);
}

/* What the remote says at the end is what the application hears. */
static void test_goodbye_of_a_remote(void **state)
{
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    assert_int_equal(s.scene.connected, 1);
    quic_raw_close(peer, 0x1234);
    assert_true(scene_until(&s.scene, scene_was_told, &s.scene, SOON_MS));
    assert_int_equal(s.scene.code, P2P_ECLOSED);
    assert_int_equal(s.scene.remote_code, 0x1234);
    quic_fini(&s);
}

/* ---- memory ---- */

/* A stream whose one side writes without end, and whose other side reads so much and then no
 * more. */
struct flood {
    size_t eat, eaten, memory;
    bool closed;
    p2p_stream *reader, *writer;
};

static void flood_write(p2p_stream *stream, void *user)
{
    static const uint8_t bytes[16384];
    (void)user;
    while (p2p_stream_write(stream, bytes, sizeof(bytes)) == (int64_t)sizeof(bytes))
        continue;
}

static void flood_read(p2p_stream *stream, void *user)
{
    struct flood *self = user;
    size_t len = 0;
    (void)p2p_stream_peek(stream, &len);
    size_t n = len < self->eat - self->eaten ? len : self->eat - self->eaten;
    self->reader = stream;
    self->eaten += n;
    p2p_stream_consume(stream, n);
}

static void flood_reader_opens(p2p_stream *stream, void *user)
{
    struct flood *self = user;
    self->reader = stream;
    if (self->memory)
        p2p_stream_set_memory(stream, self->memory);
}

static void flood_closes(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why;
    if (user)
        ((struct flood *)user)->closed = true;
}

static const p2p_stream_events writer_events = {
    .size = sizeof(writer_events),
    .on_open = flood_write,
    .on_drain = flood_write,
    .on_close = flood_closes,
};

static const p2p_stream_events reader_events = {
    .size = sizeof(reader_events),
    .on_open = flood_reader_opens,
    .on_read = flood_read,
    .on_close = flood_closes,
};

static size_t unread_of(const struct flood *self)
{
    size_t len = 0;
    if (self->reader)
        (void)p2p_stream_peek(self->reader, &len);
    return len;
}

/* How much is unread in the end, of one stream. up: the server reads. */
static size_t flood(const char *memory_option, size_t memory, size_t eat, bool up)
{
    static const char *protocol = "/test/flood/1";
    const char *options[] = {"services=", memory_option, NULL};
    struct flood flood = {.eat = eat, .memory = memory};
    struct two s;
    two_init(&s, options);
    assert_int_equal(
        p2p_host_handle(s.server, protocol, up ? &reader_events : &writer_events, &flood), 0);
    assert_non_null(p2p_host_open(s.client, s.addr, &protocol, 1, NULL,
                                  up ? &writer_events : &reader_events, &flood));
    world_run(&s.world, 20 * 1000);
    size_t unread = unread_of(&flood);
    assert_int_equal(flood.eaten, eat);
    assert_false(flood.closed);
    world_fini(&s.world);
    return unread;
}

/* A window that is not announced before half of it was read is short of that at most. */
static void holds(size_t unread, size_t limit)
{
    assert_in_range(unread, limit / 2, limit);
}

/* memory_per_stream, without what is set aside for sending (256 KiB): a window fills, and no byte
 * more, also after it had the occasion to grow. */
static void test_memory_of_a_stream(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        holds(flood("memory_per_stream=512K", 0, 0, up), 256 << 10);
        holds(flood("memory_per_stream=512K", 0, 8 << 20, up), 256 << 10);
        holds(flood("memory_per_stream=1M", 0, 0, up), 768 << 10);
        holds(flood("memory_per_stream=1M", 0, 8 << 20, up), 768 << 10);
        holds(flood("memory_per_stream=4M", 0, 0, up), 1 << 20);
        holds(flood("memory_per_stream=4M", 0, 24 << 20, up), 3840 << 10);
    }
}

/* One stream's own limit, above that of all and below it: there its window goes down to three
 * quarters of what the remote was promised at first. */
static void test_memory_that_a_stream_asks_for(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        holds(flood("memory_per_stream=1M", 3 << 20, 24 << 20, up), 2816 << 10);
        /* Wherever its reader stops. */
        for (size_t more = 0; more < 6; more++)
            assert_in_range(
                flood("memory_per_stream=1M", 300 << 10, (8 << 20) + more * (96 << 10), up),
                192 << 10, 576 << 10);
    }
}

static void test_memory_of_a_connection(void **state)
{
    enum { STREAMS = 8 };
    static const char *protocol = "/test/flood/1";
    static const char *const options[] = {"services=", "memory_per_conn=2M", "memory_per_stream=2M",
                                          NULL};
    struct flood floods[STREAMS];
    struct two s;
    size_t unread = 0;
    (void)state;
    two_init(&s, options);
    assert_int_equal(p2p_host_handle(s.server, protocol, &writer_events, NULL), 0);
    for (int i = 0; i < STREAMS; i++) {
        floods[i] = (struct flood){.eat = 1 << 20};
        assert_non_null(
            p2p_host_open(s.client, s.addr, &protocol, 1, NULL, &reader_events, &floods[i]));
    }
    world_run(&s.world, 20 * 1000);
    for (int i = 0; i < STREAMS; i++) {
        assert_false(floods[i].closed); /* what is over the limit does not come */
        unread += unread_of(&floods[i]);
    }
    assert_in_range(unread, 1 << 20, 2 << 20);
    world_fini(&s.world);
}

int main(void)
{
#define SIM(test)                                                                                  \
    {                                                                                              \
#test, test, NULL, NULL, (void *)WORLD_SIM                                                 \
    }
    const struct CMUnitTest tests[] = {
        SIM(test_rebinding_in_mid_transfer),
        SIM(test_rebinding_again_and_again),
        SIM(test_rebinding_of_an_idle_one),
        SIM(test_key_updates),
        SIM(test_key_updates_of_a_remote),
        SIM(test_a_handshake_that_stops),
        SIM(test_silence),
        SIM(test_goodbye_in_order),
        SIM(test_goodbye_for_a_limit),
        SIM(test_goodbye_of_a_remote),
        SIM(test_memory_of_a_stream),
        SIM(test_memory_that_a_stream_asks_for),
        SIM(test_memory_of_a_connection),
    };
    scene_count_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
