/* The rows S and N of the catalogue of attacks against a whole host: what comes before there is a
 * connection. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/scene.h"

enum {
    DEADLINE_MS = 10000,
    SLACK_MS = 500,
};

static const char header[] = "\x13/multistream/1.0.0\n";

/* ---- multistream-select, as the first bytes of a connection and of a stream ---- */

struct bytes {
    const char *name;
    const char *bytes;
    size_t len;
};

#define BYTES(name, text)                                                                          \
    {                                                                                              \
        name, text, sizeof(text) - 1                                                               \
    }

/* Each of these ends what it came on at once. */
static const struct bytes forbidden[] = {
    BYTES("S01 length of 2^63-1", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    BYTES("S01 endless length", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
    BYTES("S01 behind the header", "\x13/multistream/1.0.0\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    BYTES("S02 header without newline", "\x12/multistream/1.0.0"),
    BYTES("S02 length 0", "\0"),
    BYTES("S02 length 0 behind the header", "\x13/multistream/1.0.0\n\0"),
    BYTES("S04 ls first", "\x03ls\n"),
    BYTES("S04 another version", "\x13/multistream/2.0.0\n"),
    BYTES("S04 a Noise message first", "\x00\x20"
                                       "0123456789abcdef0123456789abcdef"),
    BYTES("S05 line of 1,025 bytes", "\x13/multistream/1.0.0\n\x81\x08"),
};

static void forbidden_first(struct scene *s, const struct bytes *bytes)
{
    struct raw_peer *peer = raw_dial(&s->net, s->victim);
    raw_send(peer, bytes->bytes, bytes->len);
    if (!scene_until(s, raw_is_gone, peer, 1000))
        fail_msg("%s: still connected", bytes->name);
    raw_free(peer);
}

static void forbidden_in_stream(struct scene *s, struct raw_peer *peer, uint32_t id,
                                const struct bytes *bytes)
{
    raw_data(peer, YAMUX_SYN, id, bytes->bytes, bytes->len);
    raw_push(peer);
    scene_run(s, s->world.kind == WORLD_SIM ? 200 : 20);
    for (int i = 0; i < 100 && !raw_was_reset(peer, id) && !peer->gone; i++)
        scene_run(s, 20);
    if (!raw_was_reset(peer, id))
        fail_msg("%s: the stream was not reset", bytes->name);
    assert_false(peer->gone);
}

static void test_S01_S02_S04_S05_forbidden_bytes_end_it_at_once(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
        forbidden_first(&s, &forbidden[i]);
    assert_int_equal(s.connected, 0);
    struct raw_peer *peer = scene_raw(&s);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
        forbidden_in_stream(&s, peer, 1 + 2 * (uint32_t)i, &forbidden[i]);
    assert_int_equal(s.disconnected, 0);
    scene_fini(&s);
}

/* The longest line is refused in words, and the refused one may try again until its time is up. */
static void test_S05_longest_line_is_answered(void **state)
{
    struct scene s;
    uint8_t line[1100];
    char name[1024];
    scene_init(&s, kind_of(state), NULL, false);
    memset(name, 'x', sizeof(name));
    name[1023] = 0;
    name[0] = '/';
    struct raw_peer *peer = raw_dial(&s.net, s.victim);
    raw_send(peer, header, sizeof(header) - 1);
    raw_send(peer, line, raw_line(name, line));
    scene_run(&s, 200);
    static const char expected[] = "\x13/multistream/1.0.0\n\x03na\n";
    assert_false(peer->gone);
    assert_int_equal(peer->got_len, sizeof(expected) - 1);
    assert_memory_equal(peer->got, expected, sizeof(expected) - 1);
    assert_true(raw_upgrade(peer) || peer->failed); /* it may, but sends the header twice */
    scene_fini(&s);
}

/* Unknown protocols by the thousand; deaf: the answers are not read. */
static void proposals(struct scene *s, bool deaf, const char *only)
{
    struct raw_peer *peer = raw_dial(&s->net, s->victim);
    uint8_t line[64];
    char name[32];
    peer->deaf = deaf;
    raw_send(peer, header, sizeof(header) - 1);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "/unknown/%d", i);
        raw_grow(&peer->batch, &peer->batch_len, &peer->batch_cap, line,
                 raw_line(only ? only : name, line));
    }
    raw_send(peer, peer->batch, peer->batch_len);
    scene_run(s, 1000);
    assert_int_equal(scene_load(s).conns, s->before.conns); /* long before the deadline */
    if (!deaf) {
        assert_true(peer->gone);
        assert_true(peer->got_len <= sizeof(header) - 1 + 65 * 4);
    }
    raw_free(peer);
}

static void test_S06_S07_S09_proposals_by_the_thousand(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    proposals(&s, false, NULL);
    proposals(&s, true, NULL);
    proposals(&s, false, "ls");
    assert_true(s.pool_peak <= s.before.pool + (256 << 10));
    scene_fini(&s);
}

/* A byte a second, each from a machine of its own; they end ten seconds after they came. */
enum {
    SLOW = 32, /* half of half_open: beyond that idle ones may end earlier */
    SLOW_MANY = 500,
};

static struct io_addr far_away(struct scene *s, uint32_t number)
{
    struct io_addr addr = {.family = 4, .ip = {11, 0, (uint8_t)(number >> 8), (uint8_t)number}};
    char text[32];
    snprintf(text, sizeof(text), "11.0.%u.%u", number >> 8, number & 255);
    assert_int_equal(p2p_sim_add_address(s->net.io, text), 0);
    return addr;
}

static void test_S08_a_byte_a_second(void **state)
{
    struct scene s;
    struct raw_peer *slow[SLOW];
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    for (uint32_t i = 0; i < SLOW; i++) {
        struct io_addr from = far_away(&s, i);
        slow[i] = raw_dial_from(&s.net, s.victim, &from);
    }
    uint64_t start_ms = scene_now_ms(&s);
    for (size_t sent = 0; sent < 9; sent++) {
        scene_run(&s, 1000);
        for (int i = 0; i < SLOW; i++) {
            assert_false(slow[i]->gone);
            raw_send(slow[i], header + sent, 1);
        }
        assert_int_equal(scene_load(&s).half_open, SLOW);
    }
    assert_true(scene_until(&s, raw_is_gone, slow[SLOW - 1], 2000));
    uint64_t took_ms = scene_now_ms(&s) - start_ms;
    assert_true(took_ms >= DEADLINE_MS && took_ms <= DEADLINE_MS + SLACK_MS);
    scene_run(&s, 100);
    for (int i = 0; i < SLOW; i++)
        assert_true(slow[i]->gone);
    scene_fini(&s);
}

static void test_S08_five_hundred_at_once_keep_nobody_out(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    struct io_addr from[SLOW_MANY];
    p2p_host *late = world_host(&s.world, NULL);
    for (uint32_t i = 0; i < SLOW_MANY; i++)
        from[i] = far_away(&s, i);
    scene_measure(&s);
    s.heap_slack = 1 << 20; /* the simulator's tables of so many sockets */
    for (uint32_t i = 0; i < SLOW_MANY; i++) {
        struct raw_peer *peer = raw_dial_from(&s.net, s.victim, &from[i]);
        raw_send(peer, header, 1);
    }
    scene_run(&s, 1000);
    assert_true(scene_load(&s).half_open <= 64);
    struct side side = {.to_send = 1000};
    open_echo(late, s.addr, &side);
    assert_true(scene_until(&s, closed, &side, 2000));
    assert_int_equal(side.close_code, 0);
    p2p_conn_close(p2p_host_conn(late, p2p_host_peer(s.victim)));
    scene_run(&s, 11000);
    assert_int_equal(scene_load(&s).half_open, 0);
    scene_fini(&s);
}

/* Streams that stop in the middle: each is reset in time, and its place is free again. */
static void test_S16_streams_that_stop_in_the_middle(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, true);
    struct raw_peer *peer = scene_raw(&s);
    raw_frame(peer, YAMUX_PING, YAMUX_ACK, 0, 1); /* the keep-alive is not what ends this */
    for (uint32_t i = 0; i < 256; i++)
        raw_data(peer, YAMUX_SYN, 1 + 2 * i, header, i % (sizeof(header) - 1));
    raw_push(peer);
    scene_run(&s, DEADLINE_MS - SLACK_MS);
    for (uint32_t i = 0; i < 256; i++)
        assert_false(raw_was_reset(peer, 1 + 2 * i));
    scene_run(&s, 2 * SLACK_MS);
    for (uint32_t i = 0; i < 256; i++)
        assert_true(raw_was_reset(peer, 1 + 2 * i));
    assert_false(peer->gone);
    raw_forget(peer);
    for (uint32_t i = 256; i < 256 + 8; i++)
        raw_stream(peer, 1 + 2 * i, ECHO_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 500);
    uint8_t bytes[64];
    for (uint32_t i = 256; i < 256 + 8; i++)
        assert_true(raw_bytes(peer, 1 + 2 * i, bytes, sizeof(bytes)) > sizeof(header) - 1);
    scene_fini(&s);
}

/* ---- Noise ---- */

static void test_N05_another_peer_answers(void **state)
{
    struct scene s;
    char addr[256];
    scene_init(&s, kind_of(state), NULL, false);
    p2p_key *asked = world_key(99, 500);
    raw_listen(&s.net, asked, addr, sizeof(addr));
    scene_measure(&s);
    struct side side = {.to_send = 10};
    open_echo(s.victim, addr, &side);
    assert_true(scene_until(&s, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_EPEERID);
    assert_non_null(strstr(side.message, "expected peer"));
    assert_int_equal(side.attempts, 1);
    assert_false(side.opened);
    assert_int_equal(s.connected, 0);
    assert_null(p2p__peer_find(s.victim, p2p_key_peer_id(asked)));
    assert_null(p2p__peer_find(s.victim, p2p_key_peer_id(s.net.key)));
    p2p_key_free(asked);
    scene_fini(&s);
}

/* A raw peer that answers a dial, up to a stage and no further. */
static void answered_up_to(enum raw_stage stop, int code, int at_least_ms, int at_most_ms)
{
    struct scene s;
    char addr[256];
    scene_init(&s, WORLD_SIM, NULL, false);
    raw_listen(&s.net, s.net.key, addr, sizeof(addr));
    scene_measure(&s);
    struct side side = {.to_send = 10};
    uint64_t start_ms = scene_now_ms(&s);
    open_echo(s.victim, addr, &side);
    while (!s.net.accepted)
        scene_run(&s, 10);
    s.net.accepted->stop = stop;
    assert_true(scene_until(&s, closed, &side, 60000));
    uint64_t took_ms = scene_now_ms(&s) - start_ms;
    assert_int_equal(side.close_code, code);
    assert_true(took_ms >= (uint64_t)at_least_ms && took_ms <= (uint64_t)at_most_ms);
    scene_fini(&s);
}

static void test_N19_a_listener_that_stops(void **state)
{
    (void)state;
    answered_up_to(RAW_SELECT, P2P_ETIMEDOUT, DEADLINE_MS, DEADLINE_MS + SLACK_MS);
    answered_up_to(RAW_HANDSHAKE, P2P_ETIMEDOUT, DEADLINE_MS, DEADLINE_MS + SLACK_MS);
}

/* The dialer's part up to some byte of the handshake, then a byte a second, or none. */
static void dialer_stops(struct scene *s, const void *bytes, size_t len, bool drip)
{
    struct raw_peer *peer = raw_dial(&s->net, s->victim);
    uint64_t start_ms = scene_now_ms(s);
    raw_send(peer, bytes, len);
    for (int i = 0; i < 9; i++) {
        scene_run(s, 1000);
        assert_false(peer->gone);
        if (drip)
            raw_send(peer, "\0", 1);
        assert_true(scene_load(s).pool <= s->before.pool + (64 << 10) + 4096);
    }
    assert_true(scene_until(s, raw_is_gone, peer, 3000));
    uint64_t took_ms = scene_now_ms(s) - start_ms;
    assert_true(took_ms >= DEADLINE_MS && took_ms <= DEADLINE_MS + SLACK_MS);
    assert_int_equal(s->connected, 0);
    raw_free(peer);
}

static void test_N09_N19_a_dialer_that_stops(void **state)
{
    struct scene s;
    uint8_t bytes[256], huge[60000];
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    size_t n = raw_proposal("/noise", bytes);
    dialer_stops(&s, bytes, n, false);
    bytes[n] = bytes[n + 1] = 0xff; /* the longest of messages is announced */
    dialer_stops(&s, bytes, n + 2, false);
    dialer_stops(&s, bytes, n + 2, true);
    memset(huge, 0xff, sizeof(huge));
    memcpy(huge, bytes, n);
    dialer_stops(&s, huge, sizeof(huge), false);
    memset(bytes + n, 9, sizeof(bytes) - n); /* a first message that is one */
    bytes[n] = 0;
    bytes[n + 1] = 32;
    dialer_stops(&s, bytes, n + 2 + 32, false);
    scene_fini(&s);
}

/* Proven, but no muxer is ever agreed; and with empty records for as long. */
static void test_N19_a_dialer_that_stops_before_the_muxer(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    s.net.lying_muxers = 0;
    for (int empty = 0; empty < 2; empty++) {
        struct raw_peer *peer = raw_dial(&s.net, s.victim);
        uint64_t start_ms = scene_now_ms(&s);
        raw_begin(peer, RAW_MUXER);
        for (int i = 0; i < 90; i++) {
            scene_run(&s, 100);
            assert_false(peer->gone);
            if (empty && i > 2)
                raw_record(peer, "", 0);
        }
        assert_int_equal(peer->stage, RAW_MUXER);
        assert_true(scene_until(&s, raw_is_gone, peer, 3000));
        uint64_t took_ms = scene_now_ms(&s) - start_ms;
        assert_true(took_ms >= DEADLINE_MS && took_ms <= DEADLINE_MS + SLACK_MS);
        raw_free(peer);
    }
    assert_int_equal(s.connected, 0);
    scene_fini(&s);
}

/* Half a record is no sign of life. */
static void test_N09_half_a_record(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, WORLD_SIM, NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    uint64_t start_ms = scene_now_ms(&s);
    raw_send(peer, "\xff\xff", 2);
    for (int i = 0; i < 45 && !peer->gone; i++) {
        raw_send(peer, "\0", 1);
        scene_run(&s, 1000);
        assert_true(scene_load(&s).pool <= s.before.pool + (64 << 10) + 4096);
    }
    assert_true(peer->gone);
    assert_true(scene_now_ms(&s) - start_ms <= 42000);
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_ETIMEDOUT);
    scene_fini(&s);
}

/* The remote ends TCP within a record, between records, with and without a farewell. */
static void ended_after(enum world_kind kind, const char *tail, size_t tail_len, bool farewell,
                        int code)
{
    struct scene s;
    struct side side = {.to_send = 100};
    scene_init(&s, kind, NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    const char *protocol = ECHO_PROTOCOL;
    while (!p2p_host_conn(s.victim, p2p_key_peer_id(s.net.key)))
        scene_run(&s, 10);
    side.stream = p2p_conn_open(p2p_host_conn(s.victim, p2p_key_peer_id(s.net.key)), &protocol, 1,
                                NULL, &client_events, &side);
    pump(&side);
    scene_run(&s, 200);
    if (farewell) {
        raw_frame(peer, YAMUX_GOAWAY, 0, 0, 0);
        raw_push(peer);
    }
    raw_send(peer, tail, tail_len);
    scene_run(&s, 200);
    peer->link->ops->shutdown(peer->link);
    assert_true(scene_until(&s, closed, &side, 2000));
    assert_false(side.eof);
    assert_int_equal(side.close_code, code);
    scene_fini(&s);
}

static void test_N21_cut_off_is_not_an_orderly_end(void **state)
{
    ended_after(kind_of(state), "\x01\x00xyz", 5, false, P2P_ETRUNCATED);
    ended_after(kind_of(state), "\x01", 1, false, P2P_ETRUNCATED);
    ended_after(kind_of(state), "", 0, false, P2P_ETRUNCATED);
    ended_after(kind_of(state), "\x01\x00xyz", 5, true, P2P_ETRUNCATED);
    ended_after(kind_of(state), "", 0, true, P2P_ECLOSED);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        BOTH(test_S01_S02_S04_S05_forbidden_bytes_end_it_at_once),
        BOTH(test_S05_longest_line_is_answered),
        BOTH(test_S06_S07_S09_proposals_by_the_thousand),
        cmocka_unit_test(test_S08_a_byte_a_second),
        cmocka_unit_test(test_S08_five_hundred_at_once_keep_nobody_out),
        cmocka_unit_test(test_S16_streams_that_stop_in_the_middle),
        BOTH(test_N05_another_peer_answers),
        cmocka_unit_test(test_N19_a_listener_that_stops),
        cmocka_unit_test(test_N09_N19_a_dialer_that_stops),
        cmocka_unit_test(test_N19_a_dialer_that_stops_before_the_muxer),
        cmocka_unit_test(test_N09_half_a_record),
        BOTH(test_N21_cut_off_is_not_an_orderly_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
