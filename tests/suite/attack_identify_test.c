/* The rows I of the catalogue of attacks against a whole host with its services. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/identify.h>
#include <p2p/peerstore.h>

#include "codec/key.h"
#include "codec/peer_record.h"
#include "codec/protobuf.h"
#include "tests/scene.h"

enum {
    FIELD_KEY = 1,
    FIELD_ADDR = 2,
    FIELD_PROTOCOL = 3,
    FIELD_OBSERVED = 4,
    FIELD_AGENT = 6,
    FIELD_RECORD = 8,
    PART_MAX = 8192,
    PARTS_MAX = 10,
};

static const uint8_t an_addr[] = {4, 1, 2, 3, 4, 6, 0x10, 0x00}; /* /ip4/1.2.3.4/tcp/4096 */

/* ---- a message in the making ---- */

struct message {
    uint8_t bytes[1 << 18];
    struct pb_out pb;
    size_t mark;
};

static void message_part(struct message *self)
{
    self->mark = p2p__pb_frame_begin(&self->pb);
}

static void message_part_end(struct message *self)
{
    p2p__pb_frame_end(&self->pb, self->mark);
}

static void message_init(struct message *self)
{
    self->pb = p2p__pb_out(self->bytes, sizeof(self->bytes));
    message_part(self);
}

static void message_put(struct message *self, uint32_t field, const void *bytes, size_t len)
{
    p2p__pb_put_bytes(&self->pb, field, bytes, len);
}

/* A part of len bytes that means nothing. */
static void message_fill(struct message *self, size_t len)
{
    static const uint8_t zeros[2 * PART_MAX];
    size_t n = len - 3;
    while (p2p__pb_bytes_size(100, n) > len)
        n--;
    message_put(self, 100, zeros, n);
}

/* ---- the victim asks, we answer ---- */

/* The first stream that the victim opened to ask us; 0: none yet. */
static uint32_t asking_stream(const struct raw_peer *peer)
{
    struct raw_seen f;
    size_t at = 0;
    while (raw_next(peer, &at, &f))
        if ((f.flags & YAMUX_SYN) && f.id && f.id % 2 == 0)
            return f.id;
    return 0;
}

static uint32_t await_question(struct scene *s, struct raw_peer *peer)
{
    for (int i = 0; i < 100 && !asking_stream(peer); i++)
        scene_run(s, 10);
    uint32_t id = asking_stream(peer);
    uint8_t agreed[64];
    size_t n = raw_proposal(P2P_IDENTIFY_PROTOCOL, agreed);
    assert_int_not_equal(id, 0);
    raw_data(peer, YAMUX_ACK, id, agreed, n);
    return id;
}

static struct raw_peer *answer_as(struct scene *s, struct raw_peer *peer,
                                  const struct message *message)
{
    uint32_t id = await_question(s, peer);
    raw_data(peer, YAMUX_FIN, id, message->bytes, message->pb.len);
    raw_push(peer);
    for (int i = 0; i < 20; i++)
        scene_run(s, 10);
    if (s->world.kind == WORLD_SIM)
        scene_run(s, 200);
    assert_false(peer->gone);
    return peer;
}

static struct raw_peer *answer(struct scene *s, const struct message *message)
{
    return answer_as(s, scene_raw(s), message);
}

static const p2p_identity *known(const struct scene *s)
{
    return p2p_identify_peer(s->victim, p2p_key_peer_id(s->net.key));
}

static void await_gone(struct scene *s, struct raw_peer *peer)
{
    raw_free(peer);
    for (int i = 0; i < 300 && p2p_host_conn(s->victim, p2p_key_peer_id(s->net.key)); i++)
        scene_run(s, 10);
    (void)p2p_host_forget(s->victim, p2p_key_peer_id(s->net.key));
    assert_null(known(s));
}

/* ---- rows ---- */

static void too_big(struct scene *s, size_t parts, size_t part_len, bool end, bool reset)
{
    struct message *message = malloc(sizeof(*message));
    message->pb = p2p__pb_out(message->bytes, sizeof(message->bytes));
    for (size_t i = 0; i < parts; i++) {
        message_part(message);
        message_fill(message, part_len);
        message_part_end(message);
    }
    struct raw_peer *peer = scene_raw(s);
    uint32_t id = await_question(s, peer);
    raw_data(peer, end ? YAMUX_FIN : 0, id, message->bytes, message->pb.len);
    raw_push(peer);
    for (int i = 0; i < 100 && !raw_was_reset(peer, id) && !(known(s) && end); i++)
        scene_run(s, 10);
    assert_int_equal(raw_was_reset(peer, id), reset);
    assert_int_equal(known(s) != NULL, !reset);
    assert_false(peer->gone);
    await_gone(s, peer);
    free(message);
}

static void test_I01_parts_too_long_or_too_many(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), NULL, false);
    too_big(&s, PARTS_MAX, PART_MAX, true, false);
    too_big(&s, 1, PART_MAX + 1, false, true);
    too_big(&s, PARTS_MAX + 1, 10, true, true);
    too_big(&s, PARTS_MAX + 1, 10, false, true);
    too_big(&s, PARTS_MAX + 1, PART_MAX, false, true);
    scene_fini(&s);
}

static void test_I02_many_addresses_and_protocols(void **state)
{
    struct scene s;
    struct message *message = malloc(sizeof(*message));
    char name[32];
    scene_init(&s, kind_of(state), NULL, false);
    message_init(message);
    for (int i = 0; i < 2000; i++) {
        uint8_t addr[sizeof(an_addr)];
        memcpy(addr, an_addr, sizeof(addr));
        addr[6] = (uint8_t)(i >> 8);
        addr[7] = (uint8_t)i;
        snprintf(name, sizeof(name), "/flood/%d", i);
        message_put(message, FIELD_ADDR, addr, sizeof(addr));
        message_put(message, FIELD_PROTOCOL, name, strlen(name));
        if (message->pb.len - message->mark > PART_MAX - 100) {
            message_part_end(message);
            message_part(message);
        }
    }
    message_part_end(message);
    struct raw_peer *peer = answer(&s, message);
    const p2p_identity *identity = known(&s);
    assert_non_null(identity);
    assert_int_equal(identity->addr_count, P2P_IDENTITY_ADDRS_MAX);
    assert_int_equal(identity->protocol_count, P2P_IDENTITY_PROTOCOLS_MAX);
    await_gone(&s, peer);
    free(message);
    scene_fini(&s);
}

static void test_I03_key_of_another_peer(void **state)
{
    struct scene s;
    struct message *message = malloc(sizeof(*message));
    scene_init(&s, kind_of(state), NULL, false);
    p2p_key *other = world_key(5, 77);
    size_t len = 0;
    const uint8_t *encoded = p2p_peer_id_public_key(p2p_key_peer_id(other), &len);
    message_init(message);
    message_put(message, FIELD_AGENT, "liar", 4);
    message_put(message, FIELD_KEY, encoded, len);
    message_part_end(message);
    struct raw_peer *peer = answer(&s, message);
    assert_null(known(&s));
    raw_free(peer);
    p2p_key_free(other);
    free(message);
    scene_fini(&s);
}

/* Pushes: the whole message in one, with whatever id comes next. */
static void push(struct raw_peer *peer, uint32_t id, const struct message *message)
{
    raw_stream(peer, id, P2P_IDENTIFY_PUSH_PROTOCOL);
    raw_data(peer, YAMUX_FIN, id, message->bytes, message->pb.len);
    raw_push(peer);
}

static size_t make_record(const p2p_key *key, uint8_t *out, size_t cap)
{
    const struct p2p__const_iov addr = {an_addr, sizeof(an_addr)};
    int64_t len = p2p__peer_record_seal(key, 99, &addr, 1, out, cap);
    assert_true(len > 0);
    return (size_t)len;
}

static void test_I04_I05_records_that_are_not_its_own(void **state)
{
    struct scene s;
    struct message *message = malloc(sizeof(*message));
    uint8_t record[1024];
    scene_init(&s, kind_of(state), NULL, false);
    p2p_key *other = world_key(5, 78);
    for (int bad = 0; bad < 3; bad++) {
        size_t len = make_record(bad ? s.net.key : other, record, sizeof(record));
        if (bad == 1)
            record[len - 3] ^= 1; /* the signature */
        message_init(message);
        message_put(message, FIELD_AGENT, "x", 1);
        message_put(message, FIELD_RECORD, record, len);
        message_part_end(message);
        struct raw_peer *peer = answer(&s, message);
        assert_non_null(known(&s));
        assert_int_equal(known(&s)->signed_record, bad == 2);
        assert_int_equal(known(&s)->addr_count, bad == 2);
        await_gone(&s, peer);
    }
    assert_null(p2p__peer_find(s.victim, p2p_key_peer_id(other)));
    p2p_key_free(other);
    free(message);
    scene_fini(&s);
}

/* As fast as pushes are taken, until the host has had enough of them; how many that were. */
static uint32_t push_until_cut_off(struct scene *s, const struct message *message)
{
    struct raw_peer *peer = scene_raw(s);
    uint32_t pushes = 0;
    s->disconnected = 0;
    for (; pushes < 2000 && !raw_count(peer, YAMUX_GOAWAY, 0, 0); pushes++) {
        push(peer, 1 + 2 * pushes, message);
        if (pushes % 8 == 7)
            scene_run(s, s->world.kind == WORLD_SIM ? 60 : 2);
    }
    assert_true(pushes < 2000);
    assert_true(scene_until(s, scene_was_told, s, 2000));
    raw_free(peer);
    return pushes;
}

/* Records of others by the hundred thousand; who is cut off comes again. */
static void test_I04_I09_push_flood(void **state)
{
    struct scene s;
    struct message *message = malloc(sizeof(*message));
    uint8_t record[1024];
    scene_init(&s, kind_of(state), NULL, true);
    p2p_key *other = world_key(5, 79);
    size_t len = make_record(other, record, sizeof(record));
    message_init(message);
    message_put(message, FIELD_RECORD, record, len);
    message_part_end(message);
    uint32_t pushes = 0, goal = s.world.kind == WORLD_SIM ? 100000 : 1;
    while (pushes < goal)
        pushes += push_until_cut_off(&s, message);
    assert_true(s.pool_peak <= s.before.pool + (2 << 20));
    assert_null(p2p__peer_find(s.victim, p2p_key_peer_id(other)));
    p2p_key_free(other);
    free(message);
    scene_fini(&s);
}

/* ---- what peers call us ---- */

static const uint8_t an_alias[] = {4, 203, 0, 113, 9, 6, 0x0f, 0xa1}; /* tcp/4001 */

/* One more peer, at that address, says where it sees us. */
static void observe_from(struct scene *s, const char *ip, int number)
{
    struct message *message = malloc(sizeof(*message));
    struct io_addr from = {.family = 4};
    unsigned b[4];
    assert_int_equal(sscanf(ip, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]), 4);
    for (int i = 0; i < 4; i++)
        from.ip[i] = (uint8_t)b[i];
    assert_int_equal(p2p_sim_add_address(s->net.io, ip), 0);
    struct raw_peer *peer = raw_dial_from(&s->net, s->victim, &from);
    assert_non_null(peer);
    p2p_key *key = world_key(9, number);
    peer->key = key;
    assert_true(raw_upgrade(peer));
    message_init(message);
    message_put(message, FIELD_OBSERVED, an_alias, sizeof(an_alias));
    message_part_end(message);
    (void)answer_as(s, peer, message);
    p2p_key_free(key);
    free(message);
}

static unsigned networks_that_agree(const struct scene *s, int *believed)
{
    p2p_observed seen = P2P_OBSERVED_INIT;
    *believed = 0;
    if (p2p_identify_observed(s->victim, 0, &seen) < 0)
        return 0;
    assert_int_equal(p2p_identify_observed(s->victim, 1, &seen), P2P_ENOENT);
    *believed = seen.believed;
    assert_int_equal(seen.addr.len, sizeof(an_alias));
    assert_memory_equal(seen.addr.bytes, an_alias, sizeof(an_alias));
    return seen.networks;
}

static bool is_told(const struct scene *s)
{
    const p2p_identity *identity = p2p_identify_peer(s->honest, p2p_host_peer(s->victim));
    assert_non_null(identity);
    for (size_t i = 0; i < identity->addr_count; i++)
        if (identity->addrs[i].len == sizeof(an_alias) &&
            memcmp(identity->addrs[i].bytes, an_alias, sizeof(an_alias)) == 0)
            return true;
    return false;
}

static void test_I07_observed_addresses_need_four_networks(void **state)
{
    static const char *const options[] = {"conn_interval=0", "conns_per_subnet=100", NULL};
    struct scene s;
    char ip[32];
    int believed, peers = 0;
    (void)state;
    scene_init(&s, WORLD_SIM, options, true);
    for (; peers < 50; peers++) { /* all of one network */
        snprintf(ip, sizeof(ip), "198.51.100.%d", peers + 1);
        observe_from(&s, ip, peers);
    }
    assert_int_equal(networks_that_agree(&s, &believed), 1);
    assert_false(believed);
    observe_from(&s, "198.51.101.1", peers++);
    observe_from(&s, "192.168.7.1", peers++); /* it sees us from within */
    observe_from(&s, "198.51.102.1", peers++);
    assert_int_equal(networks_that_agree(&s, &believed), 3);
    assert_false(believed);
    scene_run(&s, 10000);
    assert_false(is_told(&s));
    observe_from(&s, "198.51.103.1", peers++);
    assert_int_equal(networks_that_agree(&s, &believed), 4);
    assert_true(believed);
    scene_run(&s, 10000); /* changes are told, but not one by one */
    assert_true(is_told(&s));
    /* They leave, and half an hour later their word is worth nothing any more. */
    raw_net_close_peers(&s.net);
    scene_run(&s, 29 * 60 * 1000);
    assert_int_equal(networks_that_agree(&s, &believed), 4);
    assert_true(believed);
    scene_run(&s, 3 * 60 * 1000);
    assert_int_equal(networks_that_agree(&s, &believed), 0);
    assert_false(is_told(&s));
    scene_fini(&s);
}

static void test_I10_agent_is_cut_and_escaped(void **state)
{
    struct scene s;
    struct message *message = malloc(sizeof(*message));
    char agent[4096];
    scene_init(&s, kind_of(state), NULL, false);
    for (size_t i = 0; i < sizeof(agent); i++)
        agent[i] = "\x1b[2Jowned\r\n\0"[i % 12];
    message_init(message);
    message_put(message, FIELD_AGENT, agent, sizeof(agent));
    message_part_end(message);
    struct raw_peer *peer = answer(&s, message);
    const p2p_identity *identity = known(&s);
    assert_non_null(identity);
    assert_true(strlen(identity->agent) > 0);
    assert_true(strlen(identity->agent) <= 4 * P2P_IDENTITY_AGENT_MAX);
    for (const char *c = identity->agent; *c; c++)
        assert_true((uint8_t)*c >= 0x20 && *c != 0x7f);
    await_gone(&s, peer);
    free(message);
    scene_fini(&s);
}

/* Silence, or a byte a second, where an answer is due. */
static void slow_answer(int drip)
{
    struct scene s;
    scene_init(&s, WORLD_SIM, NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    uint64_t start_ms = scene_now_ms(&s);
    uint32_t id = await_question(&s, peer);
    if (drip < 0)
        peer->batch_len = 0; /* not even the protocol is agreed */
    raw_push(peer);
    bool served = false;
    for (int i = 0; i < 70 && !raw_was_reset(peer, id); i++) {
        if (drip > 0 && i % 10 == 9)
            raw_data(peer, 0, id, i < 10 ? "\x7f" : "\x08", 1);
        if (i == 5)
            raw_stream(peer, 1, P2P_PING_PROTOCOL); /* other protocols go on meanwhile */
        raw_push(peer);
        scene_run(&s, 100);
        served = served || raw_count(peer, YAMUX_DATA, 0, 1) > 0;
    }
    uint64_t took_ms = scene_now_ms(&s) - start_ms;
    assert_true(raw_was_reset(peer, id));
    assert_true(served);
    assert_true(took_ms >= 5000 && took_ms <= 5600);
    assert_null(known(&s));
    scene_fini(&s);
}

static void test_I11_no_answer_or_a_byte_a_second(void **state)
{
    (void)state;
    slow_answer(-1);
    slow_answer(0);
    slow_answer(1);
}

static void test_I13_hundred_ping_streams(void **state)
{
    struct scene s;
    uint8_t bytes[64];
    scene_init(&s, kind_of(state), NULL, false);
    struct raw_peer *peer = scene_raw(&s);
    for (uint32_t i = 0; i < 100; i++)
        raw_stream(peer, 1 + 2 * i, P2P_PING_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 500);
    uint32_t served = 0;
    for (uint32_t i = 0; i < 100; i++)
        served += !raw_was_reset(peer, 1 + 2 * i) &&
                  raw_bytes(peer, 1 + 2 * i, bytes, sizeof(bytes)) > 30;
    assert_int_equal(served, 2);
    assert_false(peer->gone);
    scene_fini(&s);
}

/* A million pings on one stream take their turn like everybody's bytes. */
static void test_I13_a_million_pings(void **state)
{
    struct scene s;
    uint8_t *pings = calloc(1, 250000);
    scene_init(&s, kind_of(state), NULL, true);
    struct raw_peer *peer = scene_raw(&s);
    raw_stream(peer, 1, P2P_PING_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 200);
    size_t sent = 0, window = 256 * 1024 - 4096;
    size_t goal = s.world.kind == WORLD_SIM ? 32 * 1000 * 1000 : 4 * 1000 * 1000;
    for (int round = 0; round < 1000 && sent < goal; round++) {
        /* As much as the credit allows, and credit for what comes back. */
        struct raw_seen f;
        size_t at = 0, credit = 0, echoed = 0;
        while (raw_next(peer, &at, &f)) {
            if (f.id == 1 && f.type == YAMUX_WINDOW)
                credit += f.length;
            if (f.id == 1 && f.type == YAMUX_DATA)
                echoed += f.length;
        }
        memmove(peer->got, peer->got + at, peer->got_len - at);
        peer->got_len -= at;
        window += credit;
        if (echoed)
            raw_frame(peer, YAMUX_WINDOW, 0, 1, (uint32_t)echoed);
        size_t n = window < 250000 ? window : 250000;
        n -= n % 32;
        if (n)
            raw_data(peer, 0, 1, pings, n);
        window -= n;
        sent += n;
        raw_push(peer);
        scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 1);
    }
    assert_true(sent >= goal);
    assert_false(peer->gone);
    assert_true(s.pool_peak <= s.before.pool + (2 << 20));
    free(pings);
    scene_fini(&s);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        BOTH(test_I01_parts_too_long_or_too_many),
        BOTH(test_I02_many_addresses_and_protocols),
        BOTH(test_I03_key_of_another_peer),
        BOTH(test_I04_I05_records_that_are_not_its_own),
        BOTH(test_I04_I09_push_flood),
        cmocka_unit_test(test_I07_observed_addresses_need_four_networks),
        BOTH(test_I10_agent_is_cut_and_escaped),
        cmocka_unit_test(test_I11_no_answer_or_a_byte_a_second),
        BOTH(test_I13_hundred_ping_streams),
        BOTH(test_I13_a_million_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
