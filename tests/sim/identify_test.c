/* Identify and its push between whole hosts in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/pair.h"

#include <p2p/echo.h>
#include <p2p/identify.h>
#include <p2p/ping.h>

static const char *const no_services[] = {"services=", NULL};

static const p2p_identity *known(p2p_host *host, p2p_host *peer)
{
    return p2p_identify_peer(host, p2p_host_peer(peer));
}

static void assert_listens(const p2p_identity *identity, p2p_host *host)
{
    char text[P2P_MULTIADDR_TEXT_MAX], id[P2P_PEER_ID_TEXT_MAX + 5] = "/p2p/";
    p2p_multiaddr addr, peer;
    assert_int_equal(identity->addr_count, 1);
    assert_int_equal(p2p_identity_addr_at(identity, 0, &addr), 0);
    assert_true(p2p_peer_id_format(p2p_host_peer(host), id + 5, P2P_PEER_ID_TEXT_MAX) > 0);
    assert_int_equal(p2p_multiaddr_parse(id, &peer), 0);
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &peer), 0);
    assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
    char want[256];
    assert_string_equal(text, world_addr(host, want, sizeof(want)));
}

static void test_both_sides_know_each_other(void **state)
{
    (void)state;
    struct pair p;
    static const char *const options[] = {"agent=somebody/7", "services=identify,ping,echo", NULL};
    pair_init(&p, NULL, options);
    assert_null(known(p.a, p.b));
    connect_pair(&p);
    world_run(&p.world, 200);

    const p2p_identity *b = known(p.a, p.b), *a = known(p.b, p.a);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(p2p_peer_id_equal(&b->peer, p2p_host_peer(p.b)));
    assert_string_equal(b->agent, "somebody/7");
    assert_string_equal(b->protocol_version, "ipfs/0.1.0");
    assert_int_equal(b->protocol_count, 4);
    assert_string_equal(b->protocols[0], "/ipfs/id/1.0.0");
    assert_string_equal(b->protocols[1], "/ipfs/id/push/1.0.0");
    assert_string_equal(b->protocols[2], "/ipfs/ping/1.0.0");
    assert_string_equal(b->protocols[3], "/p2p/echo/1.0.0");
    assert_listens(b, p.b);
    assert_int_equal(b->signed_record, 1);
    assert_true(b->record_seq >= UINT64_C(1767225600000000));

    char agent[64];
    snprintf(agent, sizeof(agent), "libp2p-c/%s", p2p_version());
    assert_string_equal(a->agent, agent);
    assert_listens(a, p.a);
    p2p_multiaddr here;
    p2p_conn_local_addr(p2p_host_conn(p.a, p2p_host_peer(p.b)), &here);
    assert_int_equal(b->observed_addr.len, here.len);
    assert_memory_equal(b->observed_addr.bytes, here.bytes, here.len);

    p2p_conn_close(p2p_host_conn(p.a, p2p_host_peer(p.b)));
    world_run(&p.world, 1500);
    /* Remembered, with what it said. */
    assert_null(p2p_host_conn(p.a, p2p_host_peer(p.b)));
    assert_listens(known(p.a, p.b), p.b);
    assert_listens(known(p.b, p.a), p.a);
    world_fini(&p.world);
}

/* ---- requests ---- */

struct answer {
    int calls, code;
    size_t attempts, protocol_count;
    uint64_t at_us;
    char agent[1100];
    p2p_host *host;
};

static void on_answer(void *user, const p2p_identity *identity, const p2p_error *why)
{
    struct answer *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
    self->attempts = why ? why->attempt_count : 0;
    self->at_us = self->host ? p2p_host_now_us(self->host) : 0;
    assert_true((identity != NULL) == (why == NULL));
    if (identity) {
        snprintf(self->agent, sizeof(self->agent), "%s", identity->agent);
        self->protocol_count = identity->protocol_count;
    }
}

static bool answered(void *user)
{
    return ((struct answer *)user)->calls > 0;
}

static void test_request(void **state)
{
    (void)state;
    for (int serving = 0; serving < 2; serving++) {
        struct pair p;
        struct answer answer = {0}, refused = {0}, unserved = {0}, closing = {0};
        char addr[256];
        pair_init(&p, serving ? NULL : no_services, NULL);
        assert_int_equal(p2p_identify_request(p.a, p.addr, NULL, on_answer, &answer), 0);
        assert_true(world_until(&p.world, answered, &answer, 5000));
        assert_int_equal(answer.code, 0);
        assert_int_equal(answer.protocol_count, 3);
        assert_memory_equal(answer.agent, "libp2p-c/", 9);
        world_run(&p.world, 200);
        assert_true((known(p.a, p.b) != NULL) == serving);

        world_addr(p.a, addr, sizeof(addr));
        assert_int_equal(p2p_identify_request(p.b, addr, NULL, on_answer, &unserved), 0);
        assert_true(world_until(&p.world, answered, &unserved, 5000));
        assert_int_equal(unserved.code, serving ? 0 : P2P_ENOPROTO);

        p2p_host *c = world_host(&p.world, NULL);
        p2p_sim_refuse(p.world.io[1], true);
        assert_int_equal(p2p_identify_request(c, p.addr, NULL, on_answer, &refused), 0);
        assert_true(world_until(&p.world, answered, &refused, 5000));
        assert_int_equal(refused.code, P2P_ECONN);
        assert_int_equal(refused.attempts, 1);
        assert_int_equal(p2p_identify_request(p.a, p.addr, NULL, on_answer, &closing), 0);
        world_fini(&p.world);
        assert_int_equal(answer.calls, 1);
        assert_int_equal(refused.calls, 1);
        assert_int_equal(closing.calls, 1);
        assert_int_equal(closing.code, P2P_ECANCELED);
    }
}

/* A peer that answers with given bytes, and then ends its side or not. */
struct liar {
    const uint8_t *bytes;
    size_t len;
    size_t a_time; /* bytes each 10 ms; 0: all */
    bool stays;
    int streams, open;
};

struct liar_stream {
    struct liar *liar;
    p2p_stream *stream;
    p2p_op *timer;
    size_t sent;
};

static void liar_free(struct liar_stream *self)
{
    if (!self->stream && !self->timer)
        free(self);
}

static void liar_go_on(void *user, const p2p_error *why)
{
    struct liar_stream *self = user;
    const struct liar *liar = self->liar;
    size_t n = liar->len - self->sent;
    self->timer = NULL;
    if (!why && self->stream) {
        n = liar->a_time && n > liar->a_time ? liar->a_time : n;
        int64_t taken = p2p_stream_write(self->stream, liar->bytes + self->sent, n);
        self->sent += taken > 0 ? (size_t)taken : 0;
        if (self->sent < liar->len)
            self->timer = p2p_host_after(p2p_stream_host(self->stream), 10, liar_go_on, self);
        else if (!liar->stays)
            p2p_stream_close_write(self->stream);
    }
    liar_free(self);
}

static void liar_open(p2p_stream *stream, void *user)
{
    struct liar *liar = user;
    struct liar_stream *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    liar->streams++;
    liar->open++;
    *self = (struct liar_stream){liar, stream, NULL, 0};
    p2p_stream_set_user(stream, self);
    self->timer = p2p_host_after(p2p_stream_host(stream), 0, liar_go_on, self);
}

static void liar_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct liar_stream *self = user;
    (void)stream, (void)why;
    self->stream = NULL;
    self->liar->open--;
    liar_free(self);
}

static const p2p_stream_events lying = {
    .size = sizeof(lying), .on_open = liar_open, .on_close = liar_close};

/* What host a makes of it, once by itself and once asked. */
static int lied_to(struct liar *liar, const char *agent, uint64_t *after_us)
{
    struct pair p;
    pair_init(&p, NULL, no_services);
    assert_int_equal(p2p_host_handle(p.b, P2P_IDENTIFY_PROTOCOL, &lying, liar), 0);
    assert_int_equal(p2p_echo_serve(p.b), 0);
    connect_pair(&p);
    uint64_t from_us = p2p_host_now_us(p.a);
    struct answer answer = {.host = p.a};
    assert_int_equal(p2p_identify_request(p.a, p.addr, NULL, on_answer, &answer), 0);
    /* Other protocols do not wait. */
    struct raw raw = {0};
    raw_dial(&raw, p.a, p.addr, P2P_ECHO_PROTOCOL);
    p2p_stream_write(raw.stream, "hello", 5);
    p2p_stream_close_write(raw.stream);
    assert_true(world_until(&p.world, raw_is_closed, &raw, 200));
    assert_int_equal(raw.got, 5);
    assert_true(world_until(&p.world, answered, &answer, 10000));
    world_run(&p.world, 100);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(liar->streams, 2);
    assert_int_equal(liar->open, 0); /* not the one of its own accord either */
    assert_true((known(p.a, p.b) != NULL) == (answer.code == 0));
    assert_non_null(p2p_host_conn(p.a, p2p_host_peer(p.b)));
    if (agent)
        assert_string_equal(answer.agent, agent);
    if (after_us)
        *after_us = answer.at_us - from_us;
    world_fini(&p.world);
    return answer.code;
}

static void test_I11_silence(void **state)
{
    (void)state;
    uint64_t after_us;
    struct liar liar = {.bytes = (const uint8_t *)"", .stays = true};
    assert_int_equal(lied_to(&liar, NULL, &after_us), P2P_ETIMEDOUT);
    assert_in_range(after_us, 4900000, 5200000);
}

static void test_I11_one_byte_at_a_time(void **state)
{
    (void)state;
    uint64_t after_us;
    static uint8_t slow[2000] = {0xce, 0x0f, 0x32, 0xcb, 0x0f};
    struct liar liar = {.bytes = slow, .len = 2000, .a_time = 1};
    assert_int_equal(lied_to(&liar, NULL, &after_us), P2P_ETIMEDOUT);
    assert_in_range(after_us, 4900000, 5200000);
    /* The same message in time. */
    liar = (struct liar){.bytes = slow, .len = 2000, .a_time = 100};
    assert_int_equal(lied_to(&liar, NULL, NULL), 0);
}

static void test_I01_too_long_too_many(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    struct liar liar = {.bytes = bytes, .len = 11}; /* eleven empty parts */
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_ETOOBIG);
    liar = (struct liar){.bytes = bytes, .len = 10};
    assert_int_equal(lied_to(&liar, "", NULL), 0);
    liar = (struct liar){.bytes = bytes, .len = 100000, .stays = true};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_ETOOBIG);
    static const uint8_t announced[] = {0x81, 0x40};
    liar = (struct liar){.bytes = announced, .len = 2, .stays = true};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_ETOOBIG);
}

static void test_malformed_and_cut(void **state)
{
    (void)state;
    struct liar liar = {.bytes = (const uint8_t *)"", .len = 0};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_ETRUNCATED);
    liar = (struct liar){.bytes = (const uint8_t *)"\x05\x32\x03"
                                                   "ab",
                         .len = 5};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_ETRUNCATED);
    liar = (struct liar){.bytes = (const uint8_t *)"\x01\x07", .len = 2};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_EPROTO);
    liar = (struct liar){.bytes = (const uint8_t *)"\x05\x32\x03\x1b[m", .len = 6};
    assert_int_equal(lied_to(&liar, "\\x1b[m", NULL), 0);
}

static void test_I03_another_peers_key(void **state)
{
    (void)state;
    size_t key_len;
    uint8_t bytes[64] = {0};
    p2p_key *key = world_key(99, 9);
    const uint8_t *public_key = p2p_key_public(key, &key_len);
    bytes[0] = (uint8_t)(key_len + 2);
    bytes[1] = 0x0a;
    bytes[2] = (uint8_t)key_len;
    memcpy(bytes + 3, public_key, key_len);
    struct liar liar = {.bytes = bytes, .len = key_len + 3};
    assert_int_equal(lied_to(&liar, NULL, NULL), P2P_EPEERID);
    p2p_key_free(key);
}

/* ---- push ---- */

struct news {
    int count;
    bool heard;
    uint64_t at_us;
};

static void on_identified(p2p_host *host, const p2p_identity *identity, void *user)
{
    struct news *news = user;
    news->count++;
    news->heard = p2p_identity_supports(identity, "/news/9");
    news->at_us = p2p_host_now_us(host);
    assert_ptr_equal(identity, p2p_identify_peer(host, &identity->peer));
}

static const p2p_identify_events news_events = {.size = sizeof(news_events),
                                                .on_identified = on_identified};

static const p2p_stream_events nothing = {.size = sizeof(nothing), .on_close = ignore_close};

static void test_push_of_a_new_protocol(void **state)
{
    (void)state;
    struct pair p;
    struct news news = {0};
    pair_init(&p, NULL, NULL);
    assert_int_equal(p2p_identify_set_events(p.a, &news_events, &news), 0);
    connect_pair(&p);
    world_run(&p.world, 1000);
    assert_int_equal(news.count, 1);
    uint64_t seq = known(p.a, p.b)->record_seq;

    uint64_t from_us = p2p_host_now_us(p.b);
    assert_int_equal(p2p_host_handle(p.b, "/news/9", &nothing, NULL), 0);
    assert_int_equal(p2p_host_handle(p.b, "/prefix/*", &nothing, NULL), 0);
    world_run(&p.world, 100);
    assert_int_equal(news.count, 2);
    assert_true(news.heard);
    assert_in_range(news.at_us - from_us, 90000,
                    95000); /* the end follows the protocol's agreement */
    const p2p_identity *b = known(p.a, p.b);
    assert_int_equal(b->protocol_count, 4); /* a prefix is nothing that could be told */
    assert_true(p2p_identity_supports(b, "/news/9"));
    assert_string_equal(b->protocol_version, "ipfs/0.1.0");
    assert_int_equal(b->signed_record, 1);
    assert_true(b->record_seq > seq);
    assert_listens(b, p.b);
    assert_non_null(known(p.b, p.a));

    /* A hundred changes in a second are told in one or two messages, and the last one is. */
    for (int i = 0; i < 100; i++) {
        assert_int_equal(i % 2 ? p2p_host_handle(p.b, "/news/9", &nothing, NULL)
                               : p2p_host_unhandle(p.b, "/news/9"),
                         0);
        world_run(&p.world, 10);
    }
    assert_int_equal(p2p_host_unhandle(p.b, "/news/9"), 0);
    world_run(&p.world, 3000);
    assert_in_range(news.count, 3, 5);
    assert_false(p2p_identity_supports(known(p.a, p.b), "/news/9"));
    int count = news.count;
    world_run(&p.world, 10000);
    assert_int_equal(news.count, count);
    world_fini(&p.world);
}

static void test_push_of_a_new_address(void **state)
{
    (void)state;
    struct pair p;
    p2p_multiaddr addr;
    char ip[64], text[128];
    pair_init(&p, NULL, NULL);
    connect_pair(&p);
    world_run(&p.world, 1000);
    assert_int_equal(p2p_sim_address(p.world.io[1], 0, ip, sizeof(ip)), 0);
    snprintf(text, sizeof(text), "/ip4/%s/tcp/4242", ip);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    assert_int_equal(p2p_host_listen(p.b, &addr, NULL), 0);
    world_run(&p.world, 200);
    const p2p_identity *b = known(p.a, p.b);
    assert_int_equal(b->addr_count, 2);
    assert_int_equal(b->signed_record, 1);
    assert_int_equal(b->addrs[1].len, addr.len);
    assert_memory_equal(b->addrs[1].bytes, addr.bytes, addr.len);
    world_fini(&p.world);
}

/* The change comes while the peer is being identified: at no moment may it be lost. */
static void test_push_while_identifying(void **state)
{
    (void)state;
    for (int at_ms = 0; at_ms <= 400; at_ms += 5) {
        struct pair p;
        struct end end = {0};
        pair_init(&p, NULL, NULL);
        assert_non_null(p2p_host_connect(p.a, p.addr, NULL, on_end, &end));
        world_run(&p.world, at_ms);
        assert_int_equal(p2p_host_handle(p.a, "/news/9", &nothing, NULL), 0);
        assert_int_equal(p2p_host_handle(p.b, "/news/9", &nothing, NULL), 0);
        world_run(&p.world, 3000);
        assert_true(p2p_identity_supports(known(p.a, p.b), "/news/9"));
        assert_true(p2p_identity_supports(known(p.b, p.a), "/news/9"));
        world_fini(&p.world);
    }
}

/* The round trip is longer than the pause between pushes: one is under way when the next is due. */
static void test_push_on_a_long_path(void **state)
{
    (void)state;
    struct pair p;
    struct news news = {0};
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    pair_init(&p, NULL, NULL);
    path.latency_us = 800000;
    assert_int_equal(p2p_sim_path(p.world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path), 0);
    struct end end = {0};
    assert_non_null(p2p_host_connect(p.a, p.addr, NULL, on_end, &end));
    world_run(&p.world, 15000);
    assert_int_equal(p2p_identify_set_events(p.a, &news_events, &news), 0);
    assert_int_equal(p2p_host_handle(p.b, "/news/8", &nothing, NULL), 0);
    world_run(&p.world, 100);
    assert_int_equal(p2p_host_handle(p.b, "/news/9", &nothing, NULL), 0);
    world_run(&p.world, 10000);
    assert_true(news.heard);
    assert_int_equal(news.count, 2);
    world_fini(&p.world);
}

static void count_open(p2p_stream *stream, void *user)
{
    (void)stream;
    ++*(int *)user;
}

/* A peer that never ends a push gets no second one until the first is given up. */
static void test_push_to_one_who_does_not_take_it(void **state)
{
    (void)state;
    static const p2p_stream_events counting = {
        .size = sizeof(counting), .on_open = count_open, .on_close = ignore_close};
    static const uint8_t message[] = "\x15\x1a\x13/ipfs/id/push/1.0.0";
    struct pair p;
    int streams = 0;
    struct liar liar = {.bytes = message, .len = sizeof(message) - 1};
    pair_init(&p, NULL, no_services);
    assert_int_equal(p2p_host_handle(p.b, P2P_IDENTIFY_PROTOCOL, &lying, &liar), 0);
    assert_int_equal(p2p_host_handle(p.b, P2P_IDENTIFY_PUSH_PROTOCOL, &counting, &streams), 0);
    connect_pair(&p);
    world_run(&p.world, 500);
    assert_true(p2p_identity_supports(known(p.a, p.b), P2P_IDENTIFY_PUSH_PROTOCOL));
    for (int i = 0; i < 4; i++) {
        char name[] = "/news/0";
        name[6] = (char)('0' + i);
        assert_int_equal(p2p_host_handle(p.a, name, &nothing, NULL), 0);
        world_run(&p.world, 1100);
    }
    assert_int_equal(streams, 1);
    world_run(&p.world, 2000);
    assert_int_equal(streams, 2);
    world_fini(&p.world);
}

/* Pushes of one message each, every `gap_ms`; how many were heard. */
static int push_flood(int pushes, int gap_ms, bool *alive)
{
    static const uint8_t message[] = {0x09, 0x1a, 0x07, '/', 'n', 'e', 'w', 's', '/', '9'};
    struct pair p;
    struct news news = {0};
    struct raw raw[300] = {{0}};
    assert_true(pushes <= 300);
    pair_init(&p, no_services, NULL);
    assert_int_equal(p2p_identify_set_events(p.b, &news_events, &news), 0);
    connect_pair(&p);
    for (int i = 0; i < pushes; i++) {
        raw_dial(&raw[i], p.a, p.addr, P2P_IDENTIFY_PUSH_PROTOCOL);
        p2p_stream_write(raw[i].stream, message, sizeof(message));
        p2p_stream_close_write(raw[i].stream);
        world_run(&p.world, gap_ms);
        if (!p2p_host_conn(p.a, p2p_host_peer(p.b)))
            break;
    }
    world_run(&p.world, 500);
    *alive = p2p_host_conn(p.a, p2p_host_peer(p.b)) != NULL;
    world_fini(&p.world);
    return news.count;
}

static void test_I09_push_flood(void **state)
{
    (void)state;
    bool alive;
    assert_int_equal(push_flood(8, 5, &alive), 8);
    assert_true(alive);
    assert_int_equal(push_flood(60, 5, &alive), 8);
    assert_true(alive);
    assert_int_equal(push_flood(300, 5, &alive), 8);
    assert_false(alive);
    assert_int_equal(push_flood(30, 1000, &alive), 30); /* as we do ourselves */
    assert_true(alive);
    assert_in_range(push_flood(250, 500, &alive), 125, 140);
    assert_true(alive); /* too fast, but no flood */
}

static void test_push_that_is_none(void **state)
{
    (void)state;
    struct pair p;
    struct raw cut = {0}, big = {0}, silent = {0};
    pair_init(&p, NULL, NULL);
    connect_pair(&p);
    world_run(&p.world, 200);
    raw_dial(&cut, p.a, p.addr, P2P_IDENTIFY_PUSH_PROTOCOL);
    p2p_stream_write(cut.stream, "\x05\x32", 2);
    p2p_stream_close_write(cut.stream);
    raw_dial(&big, p.a, p.addr, P2P_IDENTIFY_PUSH_PROTOCOL);
    p2p_stream_write(big.stream, "\x81\x40", 2);
    raw_dial(&silent, p.a, p.addr, P2P_IDENTIFY_PUSH_PROTOCOL);
    world_run(&p.world, 500);
    assert_true(cut.closed && big.closed && !silent.closed);
    assert_int_equal(cut.code, P2P_ERESET);
    assert_int_equal(big.code, P2P_ERESET);
    world_run(&p.world, 5000);
    assert_int_equal(silent.code, P2P_ERESET);
    assert_memory_equal(known(p.b, p.a)->agent, "libp2p-c/", 9);
    world_fini(&p.world);
}

static void test_events_need_the_service(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, no_services, NULL);
    assert_int_equal(p2p_identify_set_events(p.a, &news_events, NULL), P2P_ENOENT);
    assert_null(known(p.a, p.b));
    world_fini(&p.world);
}

/* Two connections with one peer are one acquaintance, until the last one ends. */
static void test_two_connections(void **state)
{
    (void)state;
    struct pair p;
    struct end end = {0};
    const p2p_dial_opts fresh = {sizeof(fresh), 0, P2P_DIAL_NEW_CONN | P2P_DIAL_NO_REUSE_PORT};
    pair_init(&p, NULL, NULL);
    connect_pair(&p);
    assert_non_null(p2p_host_connect(p.a, p.addr, &fresh, on_end, &end));
    assert_true(world_until(&p.world, ended, &end, 5000));
    assert_int_equal(end.code, 0);
    world_run(&p.world, 500);
    assert_non_null(p2p_host_conn_at(p.a, 1));
    p2p_conn_close(p2p_host_conn_at(p.a, 0));
    world_run(&p.world, 2000);
    assert_non_null(known(p.a, p.b));
    assert_non_null(known(p.b, p.a));
    p2p_conn_close(p2p_host_conn_at(p.a, 0));
    world_run(&p.world, 2000);
    /* Remembered, with what it said. */
    assert_null(p2p_host_conn(p.a, p2p_host_peer(p.b)));
    assert_listens(known(p.a, p.b), p.b);
    assert_listens(known(p.b, p.a), p.a);
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_know_each_other),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_I11_silence),
        cmocka_unit_test(test_I11_one_byte_at_a_time),
        cmocka_unit_test(test_I01_too_long_too_many),
        cmocka_unit_test(test_malformed_and_cut),
        cmocka_unit_test(test_I03_another_peers_key),
        cmocka_unit_test(test_push_of_a_new_protocol),
        cmocka_unit_test(test_push_of_a_new_address),
        cmocka_unit_test(test_push_while_identifying),
        cmocka_unit_test(test_push_on_a_long_path),
        cmocka_unit_test(test_push_to_one_who_does_not_take_it),
        cmocka_unit_test(test_I09_push_flood),
        cmocka_unit_test(test_push_that_is_none),
        cmocka_unit_test(test_events_need_the_service),
        cmocka_unit_test(test_two_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
