/* The rows Y of the catalogue of attacks against a whole host, by a peer that is authenticated and
 * then makes up its frames. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/identify.h>
#include <p2p/perf.h>

#include <p2p/limits.h>

#include "tests/scene.h"

static const char *const serves_all[] = {"services=identify,ping,perf,echo", NULL};

/* ---- many streams ---- */

static uint32_t live_streams(const struct scene *s)
{
    return (uint32_t)(scene_load(s).streams - s->before.streams);
}

/* 100,000 streams opened, a burst at a time; the replies are read, or not. */
static void open_many(struct scene *s, struct raw_peer *peer, uint32_t count, uint32_t burst)
{
    for (uint32_t i = 0; i < count && !peer->gone; i++) {
        raw_frame(peer, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * i, 0);
        if (i % burst == burst - 1) {
            raw_push(peer);
            scene_run(s, s->world.kind == WORLD_SIM ? 60 : 2);
            assert_true(live_streams(s) <= 256 + 1); /* and our own, that asks who it is */
        }
    }
    raw_push(peer);
}

static void test_Y12_streams_beyond_the_limit(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    open_many(&s, peer, 100000, 2000);
    /* Our own stream, that asks who it is, is given up. */
    scene_run(&s, s.world.kind == WORLD_SIM ? 6000 : 500);
    assert_false(peer->gone);
    assert_true(live_streams(&s) <= 256 + (s.world.kind == WORLD_UV));
    size_t resets = raw_count(peer, YAMUX_WINDOW, YAMUX_RST, 0);
    assert_true(resets == 100000 - 256 || resets == 100000 - 255);
    assert_in_range(p2p_host_refusals(s.victim, "streams_in"), 100000 - 256, 100000 - 255);
    assert_true(s.pool_peak <= s.before.pool + (256 << 10));
    scene_fini(&s);
}

static void test_Y13_replies_that_nobody_reads(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    peer->deaf = true;
    /* The kernels' buffers take some megabytes of replies first. */
    for (uint32_t round = 0; round < 50 && s.disconnected == 0; round++) {
        for (uint32_t i = 0; i < 20000; i++)
            raw_frame(peer, YAMUX_WINDOW, YAMUX_SYN, 1 + 2 * (20000 * round + i), 0);
        raw_push(peer);
        scene_run(&s, 100);
    }
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_ELIMIT);
    assert_true(s.pool_peak <= s.before.pool + (512 << 10));
    scene_fini(&s);
}

static void test_Y14_pings_without_reading(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    peer->deaf = true;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 50000; i++)
            raw_frame(peer, YAMUX_PING, YAMUX_SYN, 0, i);
        raw_push(peer);
        scene_run(&s, 60);
    }
    scene_run(&s, 1000);
    assert_true(s.pool_peak <= s.before.pool + (512 << 10));
    scene_fini(&s);
}

/* ---- small frames ---- */

static void test_Y15_pings_out_of_place(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    for (uint32_t i = 0; i < 1000; i++)
        raw_frame(peer, YAMUX_PING, YAMUX_ACK, 0, i * 7919);
    raw_push(peer);
    scene_run(&s, 200);
    assert_false(peer->gone);
    raw_frame(peer, YAMUX_PING, YAMUX_SYN, 7, 1);
    raw_push(peer);
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_EPROTO);
    assert_int_equal(raw_count(peer, YAMUX_GOAWAY, 0, 0), 1);
    scene_fini(&s);
}

static void test_Y16_goaway(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    scene_run(&s, 200);
    for (uint32_t i = 0; i < 100000; i++)
        raw_frame(peer, YAMUX_GOAWAY, 0, 0, i ? i : 0xdeadbeef);
    raw_stream(peer, 1, P2P_PING_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 500);
    assert_true(raw_was_reset(peer, 1));
    p2p_conn *conn = NULL;
    for (size_t i = 0; (conn = p2p_host_conn_at(s.victim, i)); i++)
        if (p2p_peer_id_equal(p2p_conn_peer(conn), p2p_key_peer_id(s.net.key)))
            break;
    if (conn)
        assert_int_equal(conn->muxer->remote_code, 0xdeadbeef);
    else
        assert_true(s.disconnected);
    scene_fini(&s);
}

/* An identify request, and reset before the answer: a handler's start for 60 bytes. */
static int identify_starts;

static void counted_open(p2p_stream *stream, void *user)
{
    (void)stream, (void)user;
    identify_starts++;
}

static void test_Y17_rapid_reset(void **state)
{
    static const p2p_stream_events counted = {
        .size = sizeof(counted), .on_open = counted_open, .on_close = echo_close};
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    assert_int_equal(p2p_host_handle(s.victim, "/counted", &counted, NULL), 0);
    scene_measure(&s);
    struct raw_peer *peer = scene_raw(&s);
    uint64_t start_ms = scene_now_ms(&s);
    identify_starts = 0;
    for (uint32_t i = 0; i < 100000 && s.disconnected == 0; i++) {
        raw_stream(peer, 1 + 2 * i, "/counted");
        raw_frame(peer, YAMUX_WINDOW, YAMUX_RST, 1 + 2 * i, 0);
        if (i % 500 == 499) {
            raw_push(peer);
            scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 2);
        }
    }
    assert_true(scene_until(&s, scene_was_told, &s, 3000));
    uint64_t took_ms = scene_now_ms(&s) - start_ms;
    assert_int_equal(s.code, P2P_ELIMIT);
    assert_true((uint64_t)identify_starts <= MUXER_RESETS_BURST + took_ms / 5 + 1);
    scene_fini(&s);
}

static void open_and_reset(struct scene *s, struct raw_peer *peer, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        raw_stream(peer, 1 + 2 * i, "/counted");
        raw_frame(peer, YAMUX_WINDOW, YAMUX_RST, 1 + 2 * i, 0);
    }
    raw_push(peer);
    scene_run(s, s->world.kind == WORLD_SIM ? 60 : 5);
}

/* What one peer may throw away it may throw away once, over however many connections. The rate is
 * so low that the time which passes earns nothing. */
static void test_Y17_rapid_reset_over_several_connections(void **state)
{
    static const p2p_stream_events counted = {
        .size = sizeof(counted), .on_open = counted_open, .on_close = echo_close};
    static const char *const options[] = {"stream_resets=1", NULL};
    enum { CONNS = 4, EACH = MUXER_RESETS_BURST / CONNS };
    struct scene s;
    struct raw_peer *peer[CONNS];
    scene_init(&s, kind_of(state), options, false);
    assert_int_equal(p2p_host_handle(s.victim, "/counted", &counted, NULL), 0);
    scene_measure(&s);
    identify_starts = 0;
    for (int i = 0; i < CONNS; i++)
        peer[i] = scene_raw(&s);
    for (int i = 0; i < CONNS; i++)
        open_and_reset(&s, peer[i], 0, EACH);
    assert_int_equal(s.disconnected, 0);
    assert_int_equal(p2p_host_refusals(s.victim, "stream_resets"), 0);
    for (int i = 0; i < CONNS; i++)
        open_and_reset(&s, peer[i], EACH, 40); /* what 40 seconds earn */
    scene_run(&s, 1000);
    assert_int_equal(s.disconnected, CONNS);
    assert_int_equal(s.code, P2P_ELIMIT);
    assert_int_equal(p2p_host_refusals(s.victim, "stream_resets"), CONNS);
    assert_string_equal(s.limit, "stream_resets");
    assert_true(identify_starts <= MUXER_RESETS_BURST + 40);
    scene_fini(&s);
}

/* Data, resets and ends in every order that makes no sense. */
static void test_Y22_ends_in_any_order(void **state)
{
    static const uint32_t flags[] = {0, YAMUX_SYN, YAMUX_ACK, YAMUX_FIN, YAMUX_RST};
    enum { FLAGS = sizeof(flags) / sizeof(*flags) };
    struct scene s;
    uint8_t ping[32] = {1};
    scene_init(&s, kind_of(state), serves_all, false);
    struct raw_peer *peer = scene_raw(&s);
    uint32_t id = 1;
    /* Three frames behind the opening one: 125 mixtures on a protocol that answers. */
    for (uint32_t mix = 0; mix < FLAGS * FLAGS * FLAGS; mix++) {
        raw_stream(peer, id, mix % 2 ? P2P_PING_PROTOCOL : P2P_ECHO_PROTOCOL);
        for (uint32_t n = 0, rest = mix; n < 3; n++, rest /= FLAGS) {
            uint32_t flag = flags[rest % FLAGS];
            if (flag == YAMUX_SYN) /* on a new id: on this one it ends the connection */
                raw_frame(peer, YAMUX_WINDOW, YAMUX_SYN | YAMUX_FIN | YAMUX_RST, id += 2, 0);
            else
                raw_data(peer, flag, id, ping, n % 2 ? sizeof(ping) : 0);
        }
        raw_frame(peer, YAMUX_WINDOW, YAMUX_RST, id, 3);
        raw_data(peer, 0, id, ping, sizeof(ping));
        raw_frame(peer, YAMUX_WINDOW, YAMUX_ACK, 2 * mix + 4, 0);
        id += 2;
        raw_push(peer);
        scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 5);
    }
    assert_false(peer->gone);
    assert_int_equal(s.disconnected, 0);
    scene_fini(&s);
}

/* ---- a peer that takes nothing ---- */

/* It asks for 1 GiB and gives no credit beyond the first window. */
static void test_Y19_no_credit(void **state)
{
    static const uint8_t gib[8] = {0, 0, 0, 0, 0x40, 0, 0, 0};
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, serves_all, true);
    struct raw_peer *peer = scene_raw(&s);
    for (uint32_t i = 0; i < 20; i++) {
        raw_stream(peer, 1 + 2 * i, P2P_PERF_PROTOCOL);
        raw_data(peer, YAMUX_FIN, 1 + 2 * i, gib, sizeof(gib));
    }
    raw_push(peer);
    uint64_t start_ms = scene_now_ms(&s);
    while (!raw_was_reset(peer, 39) && scene_now_ms(&s) - start_ms < 100000) {
        scene_run(&s, 1000);
        raw_frame(peer, YAMUX_PING, YAMUX_ACK, 0, 1);
        raw_push(peer); /* alive otherwise */
        assert_false(peer->gone);
    }
    assert_true(raw_was_reset(peer, 39)); /* the stream's deadline */
    assert_true(s.pool_peak <= s.before.pool + 20 * (256 << 10) + (1 << 20));
    scene_fini(&s);
}

/* It sends on every stream that echoes and reads nothing of what comes back, over as many
 * connections as a peer may have. */
static void test_Y19_echoes_that_nobody_reads(void **state)
{
    struct scene s;
    uint8_t bytes[16384] = {0};
    (void)state;
    scene_init(&s, WORLD_SIM, serves_all, true);
    for (int conn = 0; conn < 4; conn++) {
        struct raw_peer *peer = scene_raw(&s);
        peer->deaf = true;
        for (uint32_t i = 0; i < 64; i++)
            raw_stream(peer, 1 + 2 * i, P2P_ECHO_PROTOCOL);
        for (uint32_t i = 0; i < 64; i++)
            for (size_t sent = 0; sent < 245000; sent += sizeof(bytes))
                raw_data(peer, 0, 1 + 2 * i, bytes, sizeof(bytes));
        raw_push(peer);
        scene_run(&s, 3000);
    }
    scene_run(&s, 20000);
    assert_true(s.pool_peak > s.before.pool + (8 << 20));
    assert_true(s.pool_peak <= s.before.pool + SCENE_PEER_BYTES_MAX + (2 << 20));
    scene_fini(&s);
}

static void test_Y24_keepalive_unanswered(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    uint64_t start_ms = scene_now_ms(&s);
    assert_true(scene_until(&s, raw_is_gone, peer, 60000));
    assert_true(scene_now_ms(&s) - start_ms <= 40500);
    assert_true(raw_count(peer, YAMUX_PING, YAMUX_SYN, 0) > 0);
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_ETIMEDOUT);
    scene_fini(&s);
}

/* ---- the end of it all ---- */

static int opens, closes;

static void ends_open(p2p_stream *stream, void *user)
{
    static const uint8_t bytes[20000];
    (void)user;
    opens++;
    p2p_stream_write(stream, bytes, sizeof(bytes));
    if (opens % 3 == 0)
        p2p_stream_close(stream);
    else if (opens % 3 == 1)
        p2p_stream_close_write(stream);
}

static void ends_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why, (void)user;
    closes++;
}

static void test_Y27_each_stream_ends_once(void **state)
{
    static const p2p_stream_events ends = {
        .size = sizeof(ends), .on_open = ends_open, .on_close = ends_close};
    for (int how = 0; how < 4; how++) {
        struct scene s;
        scene_init(&s, kind_of(state), NULL, false);
        assert_int_equal(p2p_host_handle(s.victim, "/ends", &ends, NULL), 0);
        assert_int_equal(p2p_host_handle_limit(s.victim, "/ends", 256), 0);
        scene_measure(&s);
        opens = closes = 0;
        struct raw_peer *peer = scene_raw(&s);
        for (uint32_t i = 0; i < 256; i++)
            raw_stream(peer, 1 + 2 * i, "/ends");
        raw_push(peer);
        for (int i = 0; i < 100 && opens < 256; i++)
            scene_run(&s, 20);
        assert_int_equal(opens, 256);
        assert_int_equal(closes, 0);
        if (how == 0) {
            raw_close(peer, true);
        } else if (how == 1) {
            raw_frame(peer, YAMUX_GOAWAY, 0, 0, 0);
            raw_push(peer);
            peer->link->ops->shutdown(peer->link);
        } else if (how == 2) {
            raw_frame(peer, 9, 0, 0, 0);
            raw_push(peer);
        } else {
            raw_send(peer, "\x00\x20nothing that ever was sealed....", 34);
        }
        assert_true(scene_until(&s, scene_was_told, &s, 3000));
        assert_int_equal(closes, 256);
        scene_fini(&s);
        assert_int_equal(closes, 256);
    }
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        BOTH(test_Y12_streams_beyond_the_limit),
        BOTH(test_Y13_replies_that_nobody_reads),
        BOTH(test_Y14_pings_without_reading),
        BOTH(test_Y15_pings_out_of_place),
        BOTH(test_Y16_goaway),
        BOTH(test_Y17_rapid_reset),
        BOTH(test_Y17_rapid_reset_over_several_connections),
        cmocka_unit_test(test_Y19_no_credit),
        cmocka_unit_test(test_Y19_echoes_that_nobody_reads),
        BOTH(test_Y22_ends_in_any_order),
        cmocka_unit_test(test_Y24_keepalive_unanswered),
        BOTH(test_Y27_each_stream_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
