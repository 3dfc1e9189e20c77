/* The rows Q of the catalogue of attacks: whoever shakes hands with a host over QUIC and then keeps
 * to no rules, or never meant to. tests/cli/quic_test.py has those that need no keys. */
#include "tests/test.h"

#include "tests/world.h"

#ifdef P2P_QUIC

#include "tests/quic_scene.h"

/* ---- before an address is proven ---- */

static void test_Q02_never_acknowledges(void **state)
{
    struct quic_scene s;
    const struct quic_raw_ways mute = {.mute = true};
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_raw_dial(&s.net, s.addr, &mute);
    assert_int_equal(peer->sent, 1200);
    scene_run(&s.scene, kind_of(state) == WORLD_SIM ? HANDSHAKE_MS : 2500);
    assert_true(peer->got > 0);
    assert_true(peer->got <= 3 * peer->sent);
    assert_int_equal(s.scene.connected, 0);
    quic_fini(&s);
}

/* ---- Retry ---- */

/* So many handshakes from unproven addresses of this machine that the next must prove its own. */
static void fill_up(struct quic_scene *self)
{
    const struct quic_raw_ways mute = {.mute = true};
    for (int i = 0; i < QUIC_UNPROVEN_PER_IP; i++)
        (void)quic_raw_dial(&self->net, self->addr, &mute);
    world_run(&self->scene.world, 200);
}

struct retry {
    uint8_t token[256];
    size_t token_len;
    ngtcp2_cid scid;
};

/* RFC 9000, section 17.2.5. */
static void read_retry(const struct quic_raw *peer, struct retry *out)
{
    const uint8_t *p = peer->first;
    assert_true(peer->first_len > 40 && (p[0] & 0xf0) == 0xf0);
    size_t at = 6 + p[5];
    ngtcp2_cid_init(&out->scid, p + at + 1, p[at]);
    at += 1 + p[at];
    out->token_len = peer->first_len - 16 - at;
    assert_true(out->token_len <= sizeof(out->token));
    memcpy(out->token, p + at, out->token_len);
}

static void get_retry(struct quic_scene *self, const struct io_addr *from, struct retry *out,
                      struct io_addr *local)
{
    const struct quic_raw_ways mute = {.mute = true, .from = from};
    struct quic_raw *peer = quic_raw_dial(&self->net, self->addr, &mute);
    assert_true(world_until(&self->scene.world, quic_raw_has_news, peer, SOON_MS));
    assert_int_equal(peer->datagrams, 1);
    read_retry(peer, out);
    *local = peer->local;
    quic_raw_free(peer);
}

static struct quic_raw *use_retry(struct quic_scene *self, const struct retry *retry,
                                  const struct io_addr *from)
{
    const struct quic_raw_ways ways = {
        .token = retry->token, .token_len = retry->token_len, .dcid = &retry->scid, .from = from};
    return quic_raw_dial(&self->net, self->addr, &ways);
}

/* A token is good for the address that it was given to, for ten seconds. */
static void test_Q04_token_of_another_address(void **state)
{
    struct quic_scene s;
    struct retry retry;
    struct io_addr local, other;
    char ip[46];
    quic_init(&s, kind_of(state));
    assert_int_equal(p2p_sim_address(s.net.io, 0, ip, sizeof(ip)), 0);
    assert_int_equal(p2p_sim_add_address(s.net.io, "10.7.7.7"), 0);
    quic_raw_ip("10.7.7.7", &other);
    fill_up(&s);
    get_retry(&s, NULL, &retry, &local);
    other.port = local.port;
    ended_with(&s, use_retry(&s, &retry, &other), NGTCP2_INVALID_TOKEN, "another IP address");
    assert_int_equal(s.scene.connected, 0);
    quic_fini(&s);
}

static void test_Q04_token_changed_by_a_bit(void **state)
{
    struct quic_scene s;
    struct retry retry;
    struct io_addr local;
    quic_init(&s, kind_of(state));
    fill_up(&s);
    get_retry(&s, NULL, &retry, &local);
    for (size_t i = 1; i < retry.token_len; i += 16) {
        struct retry changed = retry;
        changed.token[i] ^= 1;
        ended_with(&s, use_retry(&s, &changed, &local), NGTCP2_INVALID_TOKEN, "a bit");
        quic_raw_free(P2P__CONTAINER(s.net.peers.prev, struct quic_raw, all));
    }
    quic_fini(&s);
}

static bool completes(struct quic_scene *self, struct quic_raw *peer)
{
    (void)world_until(&self->scene.world, quic_raw_is_open, peer, SOON_MS);
    /* A client that had no Retry of its own takes offence at the server's parameters: the server
     * has gone on with the handshake. */
    return peer->over == NGTCP2_ERR_TRANSPORT_PARAM || peer->over == NGTCP2_ERR_CRYPTO ||
           peer->over == NGTCP2_ERR_CALLBACK_FAILURE || peer->completed;
}

static void test_Q04_token_expired(void **state)
{
    struct quic_scene s;
    struct retry retry, later;
    struct io_addr local, later_local;
    quic_init(&s, kind_of(state));
    fill_up(&s);
    get_retry(&s, NULL, &retry, &local);
    get_retry(&s, NULL, &later, &later_local);
    world_run(&s.scene.world, QUIC_TOKEN_S * 1000 - 1000);
    struct quic_raw *peer = use_retry(&s, &retry, &local);
    assert_true(completes(&s, peer));
    assert_int_not_equal(peer->code, NGTCP2_INVALID_TOKEN);
    quic_raw_free(peer);
    world_run(&s.scene.world, 1500);
    ended_with(&s, use_retry(&s, &later, &later_local), NGTCP2_INVALID_TOKEN, "expired");
    quic_fini(&s);
}

static void test_a_client_that_answers_the_retry(void **state)
{
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    fill_up(&s);
    struct quic_raw *peer = quic_raw_dial(&s.net, s.addr, NULL);
    assert_true(world_until(&s.scene.world, quic_raw_is_open, peer, SOON_MS));
    assert_int_equal(peer->retries, 1);
    assert_int_equal(peer->over, 0);
    still_serves(&s, peer);
    quic_fini(&s);
}

/* ---- 0-RTT ---- */

static size_t early_packet(uint8_t *out, const ngtcp2_cid *dcid)
{
    size_t n = 0;
    out[n++] = 0xd3;
    memcpy(out + n, "\0\0\0\1", 4);
    n += 4;
    out[n++] = (uint8_t)dcid->datalen;
    memcpy(out + n, dcid->data, dcid->datalen);
    n += dcid->datalen;
    out[n++] = 0;
    size_t rest = 1200 - n - 2;
    out[n++] = (uint8_t)(0x40 | rest >> 8);
    out[n++] = (uint8_t)rest;
    memset(out + n, 0x5a, 1200 - n);
    return 1200;
}

static void test_Q05_early_data(void **state)
{
    struct quic_scene s;
    uint8_t packet[1200];
    ngtcp2_cid nobody = {.datalen = 18};
    quic_init(&s, kind_of(state));
    struct quic_raw *stranger = quic_raw_bind(&s.net, s.addr, NULL);
    for (int i = 0; i < 1000; i++) {
        nobody.data[0] = (uint8_t)i;
        nobody.data[1] = (uint8_t)(i >> 8);
        quic_raw_send(stranger, packet, early_packet(packet, &nobody));
        if (i % 100 == 99)
            scene_run(&s.scene, 50);
    }
    assert_int_equal(stranger->datagrams, 0);
    assert_int_equal(scene_load(&s.scene).half_open, 0);
    /* In a handshake: it goes on, and nothing is kept. */
    struct quic_raw *peer = quic_raw_dial(&s.net, s.addr, NULL);
    ngtcp2_cid dcid = *ngtcp2_conn_get_client_initial_dcid(peer->conn);
    for (int i = 0; i < 100; i++)
        quic_raw_send(peer, packet, early_packet(packet, &dcid));
    assert_true(scene_until(&s.scene, quic_raw_is_open, peer, SOON_MS));
    for (int i = 0; i < 100; i++)
        quic_raw_send(peer, packet, early_packet(packet, &dcid));
    still_serves(&s, peer);
    quic_fini(&s);
}

/* ---- who shakes hands ---- */

static void refused(struct quic_scene *self, const struct quic_raw_ways *ways, int alert,
                    const char *name)
{
    struct quic_raw *peer = quic_raw_dial(&self->net, self->addr, ways);
    ended_with(self, peer, NGTCP2_CRYPTO_ERROR | (uint64_t)alert, name);
    assert_int_equal(self->scene.connected, 0);
    quic_raw_free(peer);
}

static void test_Q06_no_certificate(void **state)
{
    struct quic_scene s;
    struct quic_raw_ways ways = {0};
    quic_init(&s, kind_of(state));
    assert_int_equal(gnutls_certificate_allocate_credentials(&ways.credentials), 0);
    refused(&s, &ways, 116, "certificate_required");
    gnutls_certificate_free_credentials(ways.credentials);
    quic_fini(&s);
}

static void test_Q06_certificate_of_another_time(void **state)
{
    const int64_t year_s = 366 * 86400;
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    int64_t now_s = quic_raw_wall_s(&s.net);
    struct quic_raw_ways ways = {.credentials =
                                     quic_raw_credentials(s.net.key, now_s - 101 * year_s)};
    refused(&s, &ways, 45, "expired");
    gnutls_certificate_free_credentials(ways.credentials);
    ways.credentials = quic_raw_credentials(s.net.key, now_s + 7200);
    refused(&s, &ways, 42, "not yet valid");
    gnutls_certificate_free_credentials(ways.credentials);
    quic_fini(&s);
}

static void test_Q06_another_protocol(void **state)
{
    static const char *const alpns[] = {"h3", "libp2", "libp2p2", ""};
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    for (size_t i = 0; i < sizeof(alpns) / sizeof(alpns[0]); i++) {
        const struct quic_raw_ways ways = {.alpn = alpns[i]};
        refused(&s, &ways, 120, alpns[i]);
    }
    quic_fini(&s);
}

static void test_Q06_another_server(void **state)
{
    struct quic_scene s;
    struct side side = {.to_send = 10};
    char addr[256], other[P2P_PEER_ID_TEXT_MAX];
    quic_init(&s, kind_of(state));
    assert_true(p2p_peer_id_format(p2p_host_peer(s.scene.honest), other, sizeof(other)) > 0);
    snprintf(addr, sizeof(addr), "%.*s/p2p/%s", (int)(strstr(s.addr, "/p2p/") - s.addr), s.addr,
             other);
    open_echo(s.guest, addr, &side);
    assert_true(scene_until(&s.scene, closed, &side, SOON_MS));
    assert_int_equal(side.close_code, P2P_EPEERID);
    assert_int_equal(side.got, 0);
    quic_fini(&s);
}

/* ---- frames ---- */

static void test_Q08_path_challenges(void **state)
{
    struct quic_scene s;
    uint8_t frames[9 * 120];
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    for (size_t i = 0; i < sizeof(frames); i++)
        frames[i] = i % 9 == 0 ? 0x1a : (uint8_t)(i / 9);
    size_t sent = peer->sent, got = peer->got;
    for (int i = 0; i < 500; i++) {
        quic_raw_inject(peer, QUIC_RAW_SHORT, frames, sizeof(frames));
        if (i % 5 == 4)
            scene_run(&s.scene, 60);
    }
    assert_true(peer->path_responses > 0);
    assert_true(peer->path_responses <= 500);
    assert_true(peer->got - got <= (peer->sent - sent) * 11 / 10);
    still_serves(&s, peer);
    quic_fini(&s);
}

#define BYTES(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define ACCEPTED   QUIC_RAW_NOT_SAID

struct frame_case {
    const char *name;
    uint8_t frames[32];
    size_t len;
    uint64_t code;
    enum quic_raw_level level;
};

static void feed(struct quic_scene *self, const struct frame_case *it, bool alone)
{
    bool open = it->level == QUIC_RAW_SHORT;
    struct quic_raw *peer = open ? quic_open(self) : quic_raw_dial(&self->net, self->addr, NULL);
    int64_t id;
    if (open) /* what the server says of it is no surprise */
        assert_int_equal(ngtcp2_conn_open_bidi_stream(peer->conn, &id, NULL), 0);
    /* The second Initial: the first one, if it is no ClientHello, leaves no trace. Anybody on the
     * way can make an Initial, so that a bad one is nothing that ends a handshake. */
    peer->deaf = it->level == QUIC_RAW_INITIAL;
    if (alone)
        quic_raw_packet(peer, it->frames, it->len);
    else
        quic_raw_inject(peer, it->level, it->frames, it->len);
    if (it->level == QUIC_RAW_INITIAL)
        assert_true(scene_until(&self->scene, quic_raw_is_open, peer, SOON_MS));
    if (it->code == ACCEPTED) {
        world_run(&self->scene.world, 300);
        if (peer->over)
            fail_msg("%s: %s, 0x%llx", it->name, ngtcp2_strerror(peer->over),
                     (unsigned long long)peer->code);
        if (!alone)
            still_serves(self, peer);
    } else {
        ended_with(self, peer, it->code, it->name);
    }
    if (!alone)
        assert_int_equal(peer->injected, it->code == ACCEPTED ? 2 : 1);
    quic_raw_free(peer);
    world_run(&self->scene.world, 200);
}

static void feed_all(struct quic_scene *self, const struct frame_case *cases, size_t count,
                     bool alone)
{
    for (size_t i = 0; i < count; i++)
        feed(self, &cases[i], alone);
}

#define FEED_ALL(s, cases, alone) feed_all(s, cases, sizeof(cases) / sizeof((cases)[0]), alone)

/* 0x06, an offset, a length, bytes. */
static void test_Q09_crypto_far_ahead(void **state)
{
    static const struct frame_case cases[] = {
        {"offset 2^40", BYTES(0x06, 0xc0, 0, 1, 0, 0, 0, 0, 0, 1, 0x61),
         NGTCP2_CRYPTO_BUFFER_EXCEEDED, QUIC_RAW_SHORT},
        {"offset 2^40 in an Initial", BYTES(0x06, 0xc0, 0, 1, 0, 0, 0, 0, 0, 1, 0x61), ACCEPTED,
         QUIC_RAW_INITIAL},
        {"offset 2^62-1", BYTES(0x06, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x61),
         NGTCP2_FRAME_ENCODING_ERROR, QUIC_RAW_SHORT},
    };
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    FEED_ALL(&s, cases, false);
    quic_fini(&s);
}

static void test_Q09_crypto_without_end(void **state)
{
    struct quic_scene s;
    uint8_t frames[1000] = {0x06, 0x80, 0, 0, 0, 0x43, 0xe0};
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    size_t len = sizeof(frames) - 7, fed = 0;
    frames[5] = (uint8_t)(0x40 | len >> 8);
    frames[6] = (uint8_t)len;
    for (; fed < 64u << 20 && !peer->over; fed += len) {
        frames[1] = (uint8_t)(0x80 | fed >> 24);
        frames[2] = (uint8_t)(fed >> 16);
        frames[3] = (uint8_t)(fed >> 8);
        frames[4] = (uint8_t)fed;
        quic_raw_inject(peer, QUIC_RAW_SHORT, frames, sizeof(frames));
        scene_run(&s.scene, 60);
    }
    ended_with(&s, peer, NGTCP2_CRYPTO_BUFFER_EXCEEDED, "64 MiB");
    assert_true(fed >= QUIC_LATE_CRYPTO_MAX && fed <= QUIC_LATE_CRYPTO_MAX + 2 * sizeof(frames));
    quic_fini(&s);
}

static void test_Q13_frames(void **state)
{
    static const struct frame_case cases[] = {
        {"unknown type", BYTES(0x21), NGTCP2_FRAME_ENCODING_ERROR, QUIC_RAW_SHORT},
        {"unknown type of two bytes", BYTES(0x60, 0x00), NGTCP2_FRAME_ENCODING_ERROR,
         QUIC_RAW_SHORT},
        {"unknown type in an Initial", BYTES(0x21), ACCEPTED, QUIC_RAW_INITIAL},
        {"HANDSHAKE_DONE of a client", BYTES(0x1e), NGTCP2_PROTOCOL_VIOLATION, QUIC_RAW_SHORT},
        {"NEW_TOKEN of a client", BYTES(0x07, 1, 0x55), NGTCP2_PROTOCOL_VIOLATION, QUIC_RAW_SHORT},
        {"ACK of what was not sent", BYTES(0x02, 0x80, 0x0f, 0x42, 0x40, 0, 0, 0),
         NGTCP2_PROTOCOL_VIOLATION, QUIC_RAW_SHORT},
        {"ACK below zero", BYTES(0x02, 1, 0, 0, 2), NGTCP2_FRAME_ENCODING_ERROR, QUIC_RAW_SHORT},
        {"RETIRE_CONNECTION_ID of none", BYTES(0x19, 0x3f), NGTCP2_PROTOCOL_VIOLATION,
         QUIC_RAW_SHORT},
        {"STREAM in an Initial", BYTES(0x0a, 0, 1, 0x61), ACCEPTED, QUIC_RAW_INITIAL},
        {"PATH_CHALLENGE in an Initial", BYTES(0x1a, 1, 2, 3, 4, 5, 6, 7, 8), ACCEPTED,
         QUIC_RAW_INITIAL},
        {"HANDSHAKE_DONE in an Initial", BYTES(0x1e), ACCEPTED, QUIC_RAW_INITIAL},
        {"DATAGRAM in an Initial", BYTES(0x31, 1, 0x61), ACCEPTED, QUIC_RAW_INITIAL},
        {"an application's close in an Initial", BYTES(0x1d, 0, 0), ACCEPTED, QUIC_RAW_INITIAL},
        {"STREAM in a Handshake", BYTES(0x0a, 0, 1, 0x61), NGTCP2_PROTOCOL_VIOLATION,
         QUIC_RAW_HANDSHAKE},
        {"padding only", BYTES(0x00), ACCEPTED, QUIC_RAW_SHORT},
        {"PATH_RESPONSE to nothing", BYTES(0x1b, 1, 2, 3, 4, 5, 6, 7, 8), ACCEPTED, QUIC_RAW_SHORT},
        {"PING", BYTES(0x01), ACCEPTED, QUIC_RAW_SHORT},
    };
    static const struct frame_case alone[] = {
        {"STREAM longer than its packet", BYTES(0x0a, 0, 0x7f, 0xff), NGTCP2_FRAME_ENCODING_ERROR,
         QUIC_RAW_SHORT},
        {"half a frame", BYTES(0, 0, 0, 0, 0x10), NGTCP2_FRAME_ENCODING_ERROR, QUIC_RAW_SHORT},
    };
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    FEED_ALL(&s, cases, false);
    FEED_ALL(&s, alone, true);
    quic_fini(&s);
}

/* The first packet of a client is what it should be, or there is no connection. */
static void test_Q13_a_first_packet_of_nonsense(void **state)
{
    static const uint8_t frames[][16] = {
        {0x21}, {0x0a, 0, 1, 'a'}, {0}, {0x01}, {0x06, 0xc0, 0, 1, 0, 0, 0, 0, 0, 1, 'a'}};
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct quic_raw *peer = quic_raw_bind(&s.net, s.addr, NULL);
        quic_raw_start(peer);
        quic_raw_inject(peer, QUIC_RAW_INITIAL, frames[i], sizeof(frames[i]));
        scene_run(&s.scene, 500);
        assert_int_equal(peer->injected, 1);
        assert_int_equal(peer->datagrams, 0);
        assert_int_equal(scene_load(&s.scene).half_open, 0);
        quic_raw_free(peer);
    }
    quic_fini(&s);
}

/* RFC 9000, section 12.4. */
static void test_Q13_no_frame_at_all(void **state)
{
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    quic_raw_packet(peer, "", 0);
    ended_with(&s, peer, NGTCP2_PROTOCOL_VIOLATION, "an empty payload");
    quic_fini(&s);
}

static void test_Q16_streams(void **state)
{
#define FAR 255, 255, 255, 255, 255, 255, 255, 255
    static const struct frame_case cases[] = {
        {"data behind the end", BYTES(0x0b, 0, 2, 'a', 'b', 0x0e, 0, 4, 1, 'c'),
         NGTCP2_FINAL_SIZE_ERROR, QUIC_RAW_SHORT},
        {"an end before what came", BYTES(0x0a, 0, 4, 'a', 'b', 'c', 'd', 0x0b, 0, 1, 'a'),
         NGTCP2_FINAL_SIZE_ERROR, QUIC_RAW_SHORT},
        {"another end", BYTES(0x0f, 0, 9, 1, 'a', 0x0f, 0, 8, 1, 'a'), NGTCP2_FINAL_SIZE_ERROR,
         QUIC_RAW_SHORT},
        {"RESET_STREAM with another end", BYTES(0x0b, 0, 2, 'a', 'b', 0x04, 0, 0, 1),
         NGTCP2_FINAL_SIZE_ERROR, QUIC_RAW_SHORT},
        {"offset 2^62-1", BYTES(0x0e, 0, FAR, 1, 'a'), NGTCP2_FLOW_CONTROL_ERROR, QUIC_RAW_SHORT},
        {"a byte over the window", BYTES(0x0e, 0, 0x80, 0x10, 0, 0, 1, 'a'),
         NGTCP2_FLOW_CONTROL_ERROR, QUIC_RAW_SHORT},
        {"RESET_STREAM over the window", BYTES(0x04, 0, 0, 0x80, 0x10, 0, 1),
         NGTCP2_FLOW_CONTROL_ERROR, QUIC_RAW_SHORT},
        {"MAX_STREAMS over 2^60", BYTES(0x12, 0xd0, 0, 0, 0, 0, 0, 0, 1),
         NGTCP2_FRAME_ENCODING_ERROR, QUIC_RAW_SHORT},
        {"MAX_STREAMS of 2^60", BYTES(0x12, 0xd0, 0, 0, 0, 0, 0, 0, 0), ACCEPTED, QUIC_RAW_SHORT},
        {"a stream too many", BYTES(0x0a, 0x80, 0x0f, 0x42, 0x40, 1, 'a'),
         NGTCP2_STREAM_LIMIT_ERROR, QUIC_RAW_SHORT},
        {"a stream of one direction", BYTES(0x0a, 2, 1, 'a'), NGTCP2_STREAM_LIMIT_ERROR,
         QUIC_RAW_SHORT},
        {"a stream of ours that is not", BYTES(0x0a, 0x40, 0x41, 1, 'a'), NGTCP2_STREAM_STATE_ERROR,
         QUIC_RAW_SHORT},
        {"STOP_SENDING of one of ours that is not", BYTES(0x05, 0x40, 0x41, 0),
         NGTCP2_STREAM_STATE_ERROR, QUIC_RAW_SHORT},
        {"MAX_STREAM_DATA likewise", BYTES(0x11, 0x40, 0x41, 9), NGTCP2_STREAM_STATE_ERROR,
         QUIC_RAW_SHORT},
        {"RESET_STREAM after the end", BYTES(0x0b, 0, 2, 'a', 'b', 0x04, 0, 0, 2), ACCEPTED,
         QUIC_RAW_SHORT},
        {"RESET_STREAM twice", BYTES(0x04, 0, 0, 0, 0x04, 0, 0, 0), ACCEPTED, QUIC_RAW_SHORT},
        {"STOP_SENDING of what is closed",
         BYTES(0x04, 0, 0, 0, 0x05, 0, 0, 0x05, 0, 7, 0x11, 0, 0x80, 0x10, 0, 0), ACCEPTED,
         QUIC_RAW_SHORT},
        {"MAX_DATA back", BYTES(0x10, 0), ACCEPTED, QUIC_RAW_SHORT},
    };
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    FEED_ALL(&s, cases, false);
    quic_fini(&s);
}

static void count_datagram(p2p_conn *conn, const uint8_t *bytes, size_t len, void *user)
{
    (void)conn, (void)bytes, (void)len;
    ++*(size_t *)user;
}

/* Empty ones, 540 in a packet: what waits for the reader has a cap, and costs no connection. */
static void test_datagrams_faster_than_their_reader(void **state)
{
    static const p2p_conn_events events = {.size = sizeof(events), .on_datagram = count_datagram};
    struct quic_scene s;
    uint8_t frames[1080];
    size_t came = 0;
    quic_init(&s, kind_of(state));
    struct quic_raw *peer = quic_open(&s);
    p2p_conn *conn = p2p_host_conn(s.scene.victim, p2p_key_peer_id(s.net.key));
    assert_non_null(conn);
    p2p_conn_set_events(conn, &events, &came);
    for (size_t i = 0; i < sizeof(frames); i++)
        frames[i] = i % 2 ? 0 : 0x31;
    int before = peer->injected;
    for (int i = 0; i < 12; i++)
        quic_raw_inject(peer, QUIC_RAW_SHORT, frames, sizeof(frames));
    size_t sent = (size_t)(peer->injected - before) * (sizeof(frames) / 2);
    scene_run(&s.scene, 1000);
    assert_true(came >= QUIC_DATAGRAM_QUEUE / sizeof(struct quic_datagram) && came < sent);
    p2p_conn_set_events(conn, NULL, NULL);
    peer->inject_len = 0;
    still_serves(&s, peer);
    quic_fini(&s);
}

/* ---- transport parameters ---- */

static size_t append(uint8_t *params, size_t len, size_t cap, const void *more, size_t more_len)
{
    assert_true(len + more_len <= cap);
    memcpy(params + len, more, more_len);
    return len + more_len;
}

#define PARAMS(name, ...)                                                                          \
    static size_t name(uint8_t *params, size_t len, size_t cap)                                    \
    {                                                                                              \
        static const uint8_t more[] = {__VA_ARGS__};                                               \
        return append(params, len, cap, more, sizeof(more));                                       \
    }
PARAMS(twice, 0x04, 1, 5)
PARAMS(unknown_twice, 0x2f, 0, 0x2f, 0)
PARAMS(empty_number, 0x0a, 0)
PARAMS(long_number, 0x0a, 2, 1, 0)
PARAMS(short_packets, 0x03, 2, 0x44, 0xaf)
PARAMS(delay_exponent, 0x0a, 1, 21)
PARAMS(ack_delay, 0x0b, 4, 0x80, 0, 0x40, 0)
PARAMS(too_many_streams, 0x09, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1)
PARAMS(one_name, 0x0e, 1, 1)
PARAMS(cut, 0x2f, 5, 0)
PARAMS(servers_name, 0x00, 0)
PARAMS(servers_token, 0x02, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
PARAMS(servers_retry, 0x10, 0)
PARAMS(idle_for_ever, 0x01, 8, FAR)
PARAMS(unknown, 0x7f, 0xfe, 3, 1, 2, 3)

static size_t none(uint8_t *params, size_t len, size_t cap)
{
    (void)params, (void)len, (void)cap;
    return 0;
}

static size_t another_name(uint8_t *params, size_t len, size_t cap)
{
    (void)cap;
    for (size_t at = 0; at + 2 < len;) {
        uint64_t id = quic_raw_varint(params, len, &at), n = quic_raw_varint(params, len, &at);
        if (id == 0x0f)
            params[at] ^= 1;
        at += (size_t)n;
    }
    return len;
}

static void test_Q14_parameters(void **state)
{
    static const struct {
        const char *name;
        size_t (*change)(uint8_t *, size_t, size_t);
        uint64_t code; /* ACCEPTED, or 0: TRANSPORT_PARAMETER_ERROR */
    } cases[] = {
        {"one twice", twice, 0},
        {"an unknown one twice", unknown_twice, 0},
        {"a number without bytes", empty_number, 0},
        {"a number with bytes behind it", long_number, 0},
        {"packets of 1,199 bytes", short_packets, 0},
        {"ack_delay_exponent 21", delay_exponent, 0},
        {"max_ack_delay 2^14", ack_delay, 0},
        {"more than 2^60 streams", too_many_streams, 0},
        {"one connection id", one_name, 0},
        {"the last one is cut", cut, 0},
        {"original_destination_connection_id of a client", servers_name, 0},
        {"stateless_reset_token of a client", servers_token, 0},
        {"retry_source_connection_id of a client", servers_retry, 0},
        {"none at all", none, NGTCP2_CRYPTO_ERROR | 109},
        {"another source connection id", another_name, 0},
        {"idle 2^62-1", idle_for_ever, ACCEPTED},
        {"unknown ones", unknown, ACCEPTED},
    };
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct quic_raw_ways ways = {.params = cases[i].change};
        struct quic_raw *peer = quic_raw_dial(&s.net, s.addr, &ways);
        if (cases[i].code == ACCEPTED) {
            assert_true(scene_until(&s.scene, quic_raw_is_open, peer, SOON_MS));
            still_serves(&s, peer);
        } else {
            ended_with(&s, peer, cases[i].code ? cases[i].code : NGTCP2_TRANSPORT_PARAMETER_ERROR,
                       cases[i].name);
            assert_int_equal(s.scene.connected, 0);
        }
        quic_raw_free(peer);
        world_run(&s.scene.world, 200);
        s.scene.connected = 0;
    }
    quic_fini(&s);
}

/* The other way round: a host that dials ends it, and says why. */
static void test_Q14_parameters_of_a_server(void **state)
{
    static const struct {
        size_t (*change)(uint8_t *, size_t, size_t);
        int code;
    } cases[] = {
        {none, P2P_EHANDSHAKE},
        {twice, P2P_EHANDSHAKE},
        {cut, P2P_EHANDSHAKE},
        {short_packets, P2P_EHANDSHAKE},
        {too_many_streams, P2P_EHANDSHAKE},
        {another_name, P2P_EHANDSHAKE},
        {unknown, 0},
    };
    struct quic_scene s;
    quic_init(&s, kind_of(state));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct side side = {.to_send = 10};
        quic_raw_server_params = cases[i].change;
        open_echo(s.guest, s.addr, &side);
        assert_true(scene_until(&s.scene, closed, &side, 12000));
        quic_raw_server_params = NULL;
        if ((side.close_code != 0) != (cases[i].code != 0))
            fail_msg("case %zu: %d, %s", i, side.close_code, side.message);
        assert_int_equal(side.got, cases[i].code ? 0 : 10);
        p2p_conn *conn = p2p_host_conn(s.guest, p2p_host_peer(s.scene.victim));
        assert_int_equal(conn != NULL, cases[i].code == 0);
        if (conn)
            p2p_conn_close(conn);
        world_run(&s.scene.world, 30000); /* the address is tried again */
    }
    quic_fini(&s);
}

/* ---- many ---- */

/* Each a client's first flight, from another port of one of 40 addresses. */
static void test_Q17_ten_thousand_clients(void **state)
{
    enum { CLIENTS = 10000, ADDRESSES = 40, AT_ONCE = 250 };
    struct quic_scene s;
    const struct quic_raw_ways mute = {.mute = true};
    struct quic_raw_ways ways = mute;
    struct quic_raw *peers[AT_ONCE] = {NULL};
    struct io_addr from[ADDRESSES];
    size_t served = 0, retried = 0;
    uint64_t worst_ms = 0, began_ms;
    quic_init(&s, kind_of(state));
    for (unsigned i = 0; i < ADDRESSES; i++) {
        char ip[46];
        snprintf(ip, sizeof(ip), "10.20.%u.1", i);
        assert_int_equal(p2p_sim_add_address(s.net.io, ip), 0);
        quic_raw_ip(ip, &from[i]);
    }
    began_ms = scene_now_ms(&s.scene);
    for (int i = 0; i < CLIENTS; i += AT_ONCE) {
        for (int j = 0; j < AT_ONCE; j++) {
            ways.from = &from[(i + j) % ADDRESSES];
            peers[j] = quic_raw_dial(&s.net, s.addr, &ways);
        }
        scene_run(&s.scene, 150);
        if (i % 2500 == 0) {
            uint64_t took_ms = guest_visits(&s);
            worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        }
        for (int j = 0; j < AT_ONCE; j++) {
            bool retry = peers[j]->first_len && (peers[j]->first[0] & 0xf0) == 0xf0;
            served += peers[j]->first_len && !retry;
            retried += retry;
            assert_true(peers[j]->got <= 3 * peers[j]->sent);
            quic_raw_free(peers[j]);
        }
    }
    uint64_t took_ms = scene_now_ms(&s.scene) - began_ms;
    assert_true(served >= QUIC_UNPROVEN_MAX);
    assert_true(served <= QUIC_UNPROVEN_MAX * (took_ms / HANDSHAKE_MS + 1));
    assert_true(retried > CLIENTS / 2);
    assert_true(worst_ms <= 2000);
    assert_true(s.scene.heap_peak - s.scene.before.heap <= 4 << 20);
    assert_int_equal(s.scene.disconnected, s.scene.connected);
    quic_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SIM(test) {#test "/sim", test, NULL, NULL, (void *)WORLD_SIM}
        SIM(test_Q02_never_acknowledges),
        SIM(test_Q04_token_of_another_address),
        SIM(test_Q04_token_changed_by_a_bit),
        SIM(test_Q04_token_expired),
        SIM(test_a_client_that_answers_the_retry),
        SIM(test_Q05_early_data),
        BOTH(test_Q06_no_certificate),
        SIM(test_Q06_certificate_of_another_time),
        SIM(test_Q06_another_protocol),
        BOTH(test_Q06_another_server),
        SIM(test_Q08_path_challenges),
        SIM(test_Q09_crypto_far_ahead),
        SIM(test_Q09_crypto_without_end),
        SIM(test_Q13_frames),
        SIM(test_Q13_a_first_packet_of_nonsense),
        SIM(test_Q13_no_frame_at_all),
        SIM(test_Q14_parameters),
        SIM(test_Q14_parameters_of_a_server),
        SIM(test_Q16_streams),
        SIM(test_datagrams_faster_than_their_reader),
        SIM(test_Q17_ten_thousand_clients),
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
