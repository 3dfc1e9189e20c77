#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/key.h"
#include "codec/peer_record.h"
#include "codec/protobuf.h"
#include "codec/varint.h"
#include "services/identify_msg.h"

enum {
    WIRE_MAX = 128 * 1024,
};

static uint8_t wire[WIRE_MAX];
static uint8_t body[WIRE_MAX];

static p2p_key *key_of(uint8_t seed)
{
    uint8_t bytes[P2P__ED25519_SEED_LEN] = {seed};
    p2p_key *key;
    assert_int_equal(p2p__key_from_seed(bytes, &key), 0);
    return key;
}

static struct p2p__const_iov iov(const void *base, size_t len)
{
    return (struct p2p__const_iov){base, len};
}

static p2p_multiaddr addr_of(const char *text)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return addr;
}

/* Puts a body in a frame behind what `wire` holds; the new length. */
static size_t frame(size_t at, const struct pb_out *pb)
{
    assert_false(pb->overflow);
    at += p2p__varint_encode(pb->len, wire + at);
    memcpy(wire + at, pb->base, pb->len);
    return at + pb->len;
}

static struct pb_out body_begin(void)
{
    return p2p__pb_out(body, sizeof(body));
}

static size_t encode_all(const struct identify_own *own, size_t *parts)
{
    struct identify_cursor cursor = {0};
    size_t at = 0, len;
    *parts = 0;
    while ((len = p2p__identify_encode(own, &cursor, wire + at)) > 0) {
        assert_true(len <= IDENTIFY_OWN_PART_MAX);
        at += len;
        ++*parts;
    }
    return at;
}

/* Decoded from memory that ends where the message does. */
static int decode(size_t len, const p2p_key *key, struct identity_parts *out)
{
    return p2p__identify_decode(wire, len, p2p_key_peer_id(key), out);
}

static p2p_identity *merge(const p2p_identity *known, const struct identity_parts *msg,
                           const p2p_key *key)
{
    p2p_identity *identity = p2p__identity_merge(known, msg, p2p_key_peer_id(key));
    assert_non_null(identity);
    return identity;
}

static void assert_addr(const p2p_identity *identity, size_t index, const char *text)
{
    p2p_multiaddr want = addr_of(text), got;
    assert_int_equal(p2p_identity_addr_at(identity, index, &got), 0);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.bytes, want.bytes, want.len);
}

static size_t seal(const p2p_key *key, uint64_t seq, const char *text, uint8_t *out, size_t cap)
{
    p2p_multiaddr addr = addr_of(text);
    struct p2p__const_iov one = iov(addr.bytes, addr.len);
    int64_t len = p2p__peer_record_seal(key, seq, &one, 1, out, cap);
    assert_true(len > 0);
    return (size_t)len;
}

static void test_round_trip(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    p2p_multiaddr one = addr_of("/ip4/192.0.2.1/tcp/4001"), two = addr_of("/ip6/::1/tcp/9"),
                  seen = addr_of("/ip4/198.51.100.7/tcp/50000");
    struct p2p__const_iov addrs[] = {iov(one.bytes, one.len), iov(two.bytes, two.len)};
    const char *protocols[] = {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"};
    uint8_t record[512];
    size_t record_len = (size_t)p2p__peer_record_seal(key, 77, addrs, 2, record, sizeof(record));
    struct identify_own own = {.protocol_version = "ipfs/0.1.0",
                               .agent = "test/1",
                               .addrs = addrs,
                               .addr_count = 2,
                               .protocols = protocols,
                               .protocol_count = 2,
                               .observed = iov(seen.bytes, seen.len),
                               .record = iov(record, record_len)};
    own.public_key.base = p2p_key_public(key, &own.public_key.len);
    size_t parts;
    size_t len = encode_all(&own, &parts);
    assert_int_equal(parts, 1);
    struct identity_parts msg;
    assert_int_equal(decode(len, key, &msg), 0);
    p2p_identity *identity = merge(NULL, &msg, key);
    assert_int_equal(identity->size, sizeof(*identity));
    assert_true(p2p_peer_id_equal(&identity->peer, p2p_key_peer_id(key)));
    assert_string_equal(identity->agent, "test/1");
    assert_string_equal(identity->protocol_version, "ipfs/0.1.0");
    assert_int_equal(identity->protocol_count, 2);
    assert_string_equal(identity->protocols[0], "/ipfs/id/1.0.0");
    assert_string_equal(identity->protocols[1], "/ipfs/ping/1.0.0");
    assert_true(p2p_identity_supports(identity, "/ipfs/ping/1.0.0"));
    assert_false(p2p_identity_supports(identity, "/ipfs/ping/1.0"));
    assert_int_equal(identity->addr_count, 2);
    assert_addr(identity, 0, "/ip4/192.0.2.1/tcp/4001");
    assert_addr(identity, 1, "/ip6/::1/tcp/9");
    p2p_multiaddr none;
    assert_int_equal(p2p_identity_addr_at(identity, 2, &none), P2P_ENOENT);
    assert_int_equal(identity->observed_addr.len, seen.len);
    assert_memory_equal(identity->observed_addr.bytes, seen.bytes, seen.len);
    assert_int_equal(identity->signed_record, 1);
    assert_int_equal(identity->record_seq, 77);
    p2p__free(identity);
    p2p_key_free(key);
}

/* go-libp2p's and rust-libp2p's readers decide how much fits in a part. */
static void test_long_messages_are_split(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    static char names[P2P_IDENTITY_PROTOCOLS_MAX][256];
    const char *protocols[P2P_IDENTITY_PROTOCOLS_MAX];
    for (size_t i = 0; i < P2P_IDENTITY_PROTOCOLS_MAX; i++) {
        memset(names[i], 'x', 255);
        names[i][0] = '/';
        names[i][1] = (char)('A' + i / 16);
        names[i][2] = (char)('A' + i % 16);
        protocols[i] = names[i];
    }
    uint8_t record[512];
    struct identify_own own = {.agent = "test/1", .protocols = protocols};
    own.record = iov(record, seal(key, 5, "/ip4/192.0.2.1/tcp/4001", record, sizeof(record)));
    static const size_t counts[] = {8, 14, 15, 16, 100, 135, 256};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        own.protocol_count = counts[i];
        size_t parts;
        size_t len = encode_all(&own, &parts);
        assert_true(parts >= 1 && parts <= IDENTIFY_PARTS_MAX);
        struct identity_parts msg;
        assert_int_equal(decode(len, key, &msg), 0);
        assert_true(msg.signed_record);
        if (counts[i] <= 100)
            assert_int_equal(msg.protocol_count, counts[i]);
        else
            assert_true(msg.protocol_count >= 100 && msg.protocol_count <= counts[i]);
        for (size_t k = 0; k < msg.protocol_count; k++)
            assert_memory_equal(msg.protocols[k].base, protocols[k], 255);
    }
    size_t parts;
    own.protocol_count = 256;
    encode_all(&own, &parts);
    assert_int_equal(parts, IDENTIFY_PARTS_MAX);
    p2p_key_free(key);
}

/* Both sides of a part's size: 4,094 bytes and a prefix of two. */
static void test_a_field_that_fits_in_no_part_is_left_out(void **state)
{
    (void)state;
    static char agent[5000];
    struct identify_cursor cursor = {0};
    struct identify_own own = {.agent = agent};
    size_t fits = IDENTIFY_OWN_PART_MAX - 2 - 3;
    memset(agent, 'a', fits);
    assert_int_equal(p2p__identify_encode(&own, &cursor, wire), IDENTIFY_OWN_PART_MAX);
    assert_int_equal(p2p__identify_encode(&own, &cursor, wire), 0);
    agent[fits] = 'a';
    cursor = (struct identify_cursor){0};
    assert_int_equal(p2p__identify_encode(&own, &cursor, wire), 0);
}

static size_t zeros_frame(size_t at, size_t len)
{
    at += p2p__varint_encode(len, wire + at);
    memset(wire + at, 0, len);
    return at + len;
}

static void test_I01_part_size(void **state)
{
    (void)state;
    size_t len = zeros_frame(0, IDENTIFY_PART_MAX);
    assert_int_equal(p2p__identify_check(wire, len, true), 0);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(p2p__identify_check(wire, cut, false), 0);
        assert_int_equal(p2p__identify_check(wire, cut, true), P2P_ETRUNCATED);
    }
    zeros_frame(0, IDENTIFY_PART_MAX + 1);
    assert_int_equal(p2p__identify_check(wire, 1, false), 0);
    assert_int_equal(p2p__identify_check(wire, 2, false), P2P_ETOOBIG);
    memset(wire, 0xff, 9);
    assert_int_equal(p2p__identify_check(wire, 9, false), P2P_EPROTO);
}

static void test_I01_part_count(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    size_t len = 0;
    for (int i = 0; i < IDENTIFY_PARTS_MAX; i++) {
        struct pb_out pb = body_begin();
        char name[] = "/protocol/x";
        name[10] = (char)('a' + i);
        p2p__pb_put_text(&pb, 3, name);
        len = frame(len, &pb);
        assert_int_equal(p2p__identify_check(wire, len, true), 0);
    }
    struct identity_parts msg;
    assert_int_equal(decode(len, key, &msg), 0);
    assert_int_equal(msg.protocol_count, IDENTIFY_PARTS_MAX);
    assert_memory_equal(msg.protocols[9].base, "/protocol/j", 11);
    wire[len] = 0;
    assert_int_equal(p2p__identify_check(wire, len + 1, false), P2P_ETOOBIG);
    assert_int_equal(decode(len + 1, key, &msg), P2P_ETOOBIG);
    p2p_key_free(key);
}

static void test_I02_many_addresses_and_protocols(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    size_t len = 0;
    for (unsigned part = 0; part < 5; part++) {
        struct pb_out pb = body_begin();
        for (unsigned i = 0; i < 400; i++) {
            const uint8_t addr[] = {4, 10, 0, (uint8_t)part, (uint8_t)i, 6, 15, 161};
            char name[] = "/p/000";
            name[3] = (char)('0' + part);
            name[4] = (char)('0' + i / 64);
            name[5] = (char)('0' + i % 64);
            p2p__pb_put_bytes(&pb, 2, addr, sizeof(addr));
            p2p__pb_put_text(&pb, 3, name);
        }
        len = frame(len, &pb);
    }
    struct identity_parts msg;
    assert_int_equal(decode(len, key, &msg), 0);
    assert_int_equal(msg.addr_count, 128);
    assert_int_equal(msg.protocol_count, 256);
    p2p_identity *identity = merge(NULL, &msg, key);
    assert_int_equal(identity->addr_count, 128);
    assert_int_equal(identity->protocol_count, 256);
    assert_string_equal(identity->protocols[0], "/p/000");
    assert_addr(identity, 127, "/ip4/10.0.0.127/tcp/4001");
    p2p__free(identity);
    p2p_key_free(key);
}

static void test_P10_empty_entries_cost_nothing(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    for (size_t i = 0; i < 4096; i++) {
        body[2 * i] = i % 2 ? 0x12 : 0x1a;
        body[2 * i + 1] = 0;
    }
    struct pb_out pb = {body, 8192, sizeof(body), false};
    size_t len = frame(0, &pb);
    struct identity_parts msg;
    assert_int_equal(decode(len, key, &msg), 0);
    assert_int_equal(msg.addr_count, 0);
    assert_int_equal(msg.protocol_count, 0);
    assert_true(msg.any_addrs && msg.any_protocols);
    p2p_key_free(key);
}

static void test_I03_key_of_another_peer(void **state)
{
    (void)state;
    p2p_key *key = key_of(1), *other = key_of(2);
    size_t key_len;
    const uint8_t *bytes = p2p_key_public(other, &key_len);
    struct pb_out pb = body_begin();
    p2p__pb_put_text(&pb, 6, "liar/1");
    p2p__pb_put_bytes(&pb, 1, bytes, key_len);
    size_t len = frame(0, &pb);
    struct identity_parts msg;
    assert_int_equal(decode(len, key, &msg), P2P_EPEERID);
    assert_int_equal(decode(len, other, &msg), 0);
    pb = body_begin();
    p2p__pb_put_bytes(&pb, 1, "\x08\x01", 2);
    assert_int_equal(decode(frame(0, &pb), key, &msg), P2P_EKEY);
    p2p_key_free(key);
    p2p_key_free(other);
}

/* A message of `key` with this record and one unsigned address; what is kept of its record. */
static bool record_counts(const p2p_key *key, const uint8_t *record, size_t record_len)
{
    p2p_multiaddr plain = addr_of("/ip4/192.0.2.9/tcp/1");
    struct pb_out pb = body_begin();
    p2p__pb_put_bytes(&pb, 2, plain.bytes, plain.len);
    p2p__pb_put_bytes(&pb, 8, record, record_len);
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *identity = merge(NULL, &msg, key);
    bool counts = identity->signed_record;
    assert_int_equal(identity->addr_count, 1);
    assert_addr(identity, 0, counts ? "/ip4/192.0.2.1/tcp/4001" : "/ip4/192.0.2.9/tcp/1");
    p2p__free(identity);
    return counts;
}

static void test_I04_record_of_another_peer(void **state)
{
    (void)state;
    p2p_key *key = key_of(1), *other = key_of(2);
    uint8_t record[512];
    size_t len = seal(other, 1, "/ip4/192.0.2.1/tcp/4001", record, sizeof(record));
    assert_false(record_counts(key, record, len));
    assert_true(record_counts(other, record, len));
    p2p_key_free(key);
    p2p_key_free(other);
}

static void test_I05_record_that_does_not_verify(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    uint8_t record[512];
    size_t len = seal(key, 1, "/ip4/192.0.2.1/tcp/4001", record, sizeof(record));
    assert_true(record_counts(key, record, len));
    for (size_t i = 0; i < len; i++) {
        record[i] ^= 1;
        assert_false(record_counts(key, record, len));
        record[i] ^= 1;
    }
    assert_false(record_counts(key, record, len - 1));
    assert_false(record_counts(key, record, 0));
    p2p_key_free(key);
}

static void test_I10_agent_is_cut_and_escaped(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    char agent[4096];
    memset(agent, 'a', sizeof(agent));
    memcpy(agent, "\x1b[2J\0\xc3\xa9\\", 8);
    memcpy(agent + 254, "\xe2\x82\xac", 3); /* would be cut in the middle */
    struct pb_out pb = body_begin();
    p2p__pb_put_bytes(&pb, 6, agent, sizeof(agent));
    p2p__pb_put_bytes(&pb, 5, "\xff\x07", 2);
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *identity = merge(NULL, &msg, key);
    static const char begin[] = "\\x1b[2J\\x00\xc3\xa9\\\\aaa";
    assert_memory_equal(identity->agent, begin, sizeof(begin) - 1);
    assert_int_equal(strlen(identity->agent), 254 + 3 + 3 + 1);
    assert_string_equal(identity->protocol_version, "\\xff\\x07");

    /* Both sides of the limit, and the longest that escaping can make of it. */
    for (size_t len = 255; len <= 257; len++) {
        memset(agent, 1, sizeof(agent));
        pb = body_begin();
        p2p__pb_put_bytes(&pb, 6, agent, len);
        assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
        p2p_identity *longest = merge(identity, &msg, key);
        assert_int_equal(strlen(longest->agent), 4 * (len < 256 ? len : 256));
        p2p__free(longest);
    }
    p2p__free(identity);
    p2p_key_free(key);
}

static void test_P12_protocol_names_that_are_no_text(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    char longest[256];
    memset(longest, 'x', sizeof(longest));
    struct pb_out pb = body_begin();
    p2p__pb_put_bytes(&pb, 3, "/a\0b", 4);
    p2p__pb_put_bytes(&pb, 3, "/\x1b[2J", 5);
    p2p__pb_put_bytes(&pb, 3, "/\xff", 2);
    p2p__pb_put_bytes(&pb, 3, "", 0);
    p2p__pb_put_bytes(&pb, 3, longest, 256);
    p2p__pb_put_bytes(&pb, 3, longest, 255);
    p2p__pb_put_text(&pb, 3, "/ok");
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    assert_int_equal(msg.protocol_count, 2);
    assert_int_equal(msg.protocols[0].len, 255);
    assert_memory_equal(msg.protocols[1].base, "/ok", 3);
    p2p_key_free(key);
}

static void test_addresses_of_use_only(void **state)
{
    (void)state;
    p2p_key *key = key_of(1), *other = key_of(2);
    char id[P2P_PEER_ID_TEXT_MAX], other_id[P2P_PEER_ID_TEXT_MAX], text[256];
    assert_true(p2p_peer_id_format(p2p_key_peer_id(key), id, sizeof(id)) > 0);
    assert_true(p2p_peer_id_format(p2p_key_peer_id(other), other_id, sizeof(other_id)) > 0);
    struct pb_out pb = body_begin();
    p2p__pb_put_bytes(&pb, 2, "\x04\x7f\x00", 3); /* P13 */
    p2p__pb_put_bytes(&pb, 2, "", 0);
    snprintf(text, sizeof(text), "/ip4/10.0.0.1/tcp/1/p2p/%s", id);
    p2p_multiaddr addr = addr_of(text);
    p2p__pb_put_bytes(&pb, 2, addr.bytes, addr.len);
    snprintf(text, sizeof(text), "/ip4/10.0.0.2/tcp/1/p2p/%s", other_id);
    addr = addr_of(text);
    p2p__pb_put_bytes(&pb, 2, addr.bytes, addr.len);
    snprintf(text, sizeof(text), "/ip4/10.0.0.3/tcp/1/p2p/%s/p2p-circuit", other_id);
    addr = addr_of(text);
    p2p__pb_put_bytes(&pb, 2, addr.bytes, addr.len);
    snprintf(text, sizeof(text), "/p2p/%s", id);
    p2p_multiaddr bare = addr_of(text);
    p2p__pb_put_bytes(&pb, 2, bare.bytes, bare.len);
    p2p__pb_put_bytes(&pb, 4, "\x04\x7f\x00", 3);
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *identity = merge(NULL, &msg, key);
    assert_int_equal(identity->addr_count, 2);
    assert_addr(identity, 0, "/ip4/10.0.0.1/tcp/1");
    p2p_multiaddr circuit;
    assert_int_equal(p2p_identity_addr_at(identity, 1, &circuit), 0);
    assert_int_equal(circuit.len, addr.len);
    assert_int_equal(identity->observed_addr.len, 0);
    p2p__free(identity);
    p2p_key_free(key);
    p2p_key_free(other);
}

static void test_P08_unknown_fields(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    struct pb_out pb = body_begin();
    p2p__pb_put_varint(&pb, 3, 5); /* a known number of another kind */
    p2p__pb_put_i64(&pb, 99, 5);
    p2p__pb_put_text(&pb, 6, "agent");
    p2p__pb_put_i32(&pb, 7, 5);
    p2p__pb_put_text(&pb, 1000, "?");
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    assert_memory_equal(msg.agent.base, "agent", 5);
    assert_false(msg.any_protocols);
    /* P07 */
    body[pb.len++] = 0x0e;
    assert_int_equal(decode(frame(0, &pb), key, &msg), P2P_EPROTO);
    p2p_key_free(key);
}

static void test_missing_is_not_empty(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    p2p_multiaddr addr = addr_of("/ip4/10.0.0.1/tcp/1"), seen = addr_of("/ip4/10.0.0.9/tcp/9");
    struct pb_out pb = body_begin();
    p2p__pb_put_text(&pb, 6, "agent");
    p2p__pb_put_text(&pb, 5, "version");
    p2p__pb_put_text(&pb, 3, "/a");
    p2p__pb_put_text(&pb, 3, "/b");
    p2p__pb_put_bytes(&pb, 2, addr.bytes, addr.len);
    p2p__pb_put_bytes(&pb, 4, seen.bytes, seen.len);
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *first = merge(NULL, &msg, key);

    pb = body_begin();
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0); /* nothing at all is a message too */
    p2p_identity *same = merge(first, &msg, key);
    assert_string_equal(same->agent, "agent");
    assert_string_equal(same->protocol_version, "version");
    assert_int_equal(same->protocol_count, 2);
    assert_string_equal(same->protocols[1], "/b");
    assert_int_equal(same->addr_count, 1);
    assert_addr(same, 0, "/ip4/10.0.0.1/tcp/1");
    assert_int_equal(same->observed_addr.len, seen.len);
    p2p__free(first);

    pb = body_begin();
    p2p__pb_put_text(&pb, 6, "");
    p2p__pb_put_text(&pb, 3, "/c");
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *changed = merge(same, &msg, key);
    p2p__free(same);
    assert_string_equal(changed->agent, "");
    assert_string_equal(changed->protocol_version, "version");
    assert_int_equal(changed->protocol_count, 1);
    assert_string_equal(changed->protocols[0], "/c");
    assert_addr(changed, 0, "/ip4/10.0.0.1/tcp/1");
    p2p__free(changed);
    p2p_key_free(key);
}

static p2p_identity *merge_record(p2p_identity *known, const p2p_key *key, uint64_t seq,
                                  const char *addr)
{
    uint8_t record[512];
    struct pb_out pb = body_begin();
    p2p__pb_put_bytes(&pb, 8, record, seal(key, seq, addr, record, sizeof(record)));
    struct identity_parts msg;
    assert_int_equal(decode(frame(0, &pb), key, &msg), 0);
    p2p_identity *identity = merge(known, &msg, key);
    p2p__free(known);
    return identity;
}

static void test_an_older_record_changes_nothing(void **state)
{
    (void)state;
    p2p_key *key = key_of(1);
    p2p_identity *identity = merge_record(NULL, key, 5, "/ip4/10.0.0.5/tcp/1");
    identity = merge_record(identity, key, 4, "/ip4/10.0.0.4/tcp/1");
    assert_addr(identity, 0, "/ip4/10.0.0.5/tcp/1");
    assert_int_equal(identity->record_seq, 5);
    assert_int_equal(identity->signed_record, 1);
    identity = merge_record(identity, key, 6, "/ip4/10.0.0.6/tcp/1");
    assert_addr(identity, 0, "/ip4/10.0.0.6/tcp/1");
    assert_int_equal(identity->record_seq, 6);
    p2p__free(identity);
    p2p_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_messages_are_split),
        cmocka_unit_test(test_a_field_that_fits_in_no_part_is_left_out),
        cmocka_unit_test(test_I01_part_size),
        cmocka_unit_test(test_I01_part_count),
        cmocka_unit_test(test_I02_many_addresses_and_protocols),
        cmocka_unit_test(test_P10_empty_entries_cost_nothing),
        cmocka_unit_test(test_I03_key_of_another_peer),
        cmocka_unit_test(test_I04_record_of_another_peer),
        cmocka_unit_test(test_I05_record_that_does_not_verify),
        cmocka_unit_test(test_I10_agent_is_cut_and_escaped),
        cmocka_unit_test(test_P12_protocol_names_that_are_no_text),
        cmocka_unit_test(test_addresses_of_use_only),
        cmocka_unit_test(test_P08_unknown_fields),
        cmocka_unit_test(test_missing_is_not_empty),
        cmocka_unit_test(test_an_older_record_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
