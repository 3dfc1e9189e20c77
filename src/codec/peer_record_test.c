#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "codec/envelope.h"
#include "codec/peer_record.h"
#include "codec/protobuf.h"

enum {
    OUT_MAX = 70000,
};

static uint8_t out[OUT_MAX];
static struct p2p__peer_record record;

static int key_make(void **state)
{
    p2p_key *key = NULL;
    int code = p2p_key_generate(P2P_KEY_ED25519, &key);
    *state = key;
    return code;
}

static int key_drop(void **state)
{
    p2p_key_free(*state);
    return 0;
}

static int open_out(int64_t size)
{
    assert_true(size > 0);
    memset(&record, 0xff, sizeof record);
    int code = p2p__peer_record_open(out, (size_t)size, &record);
    if (code != P2P_OK) {
        static const struct p2p__peer_record NOTHING;
        assert_memory_equal(&record, &NOTHING, sizeof NOTHING);
    }
    return code;
}

static int64_t seal_payload(const p2p_key *key, const char *domain, const void *type,
                            size_t type_len, const struct pb_out *payload)
{
    struct p2p__envelope_kind kind = {domain, type, type_len};
    assert_false(payload->overflow);
    return p2p__envelope_seal(key, &kind, payload->base, payload->len, out, sizeof out);
}

static int64_t seal_new(const p2p_key *key, const struct pb_out *payload)
{
    return seal_payload(key, "libp2p-peer-record", "\x03\x01", 2, payload);
}

static void test_seal_and_open(void **state)
{
    static const uint8_t ADDR[] = {4, 127, 0, 0, 1, 6, 0x0f, 0xa1};
    struct p2p__const_iov addrs[P2P__PEER_RECORD_ADDRS_MAX + 1];
    for (size_t i = 0; i <= P2P__PEER_RECORD_ADDRS_MAX; i++) {
        addrs[i] = (struct p2p__const_iov){ADDR, sizeof ADDR};
    }
    const uint64_t seqs[] = {0, 1, UINT64_MAX};
    for (size_t count = 0; count <= P2P__PEER_RECORD_ADDRS_MAX; count += 64) {
        for (size_t i = 0; i < 3; i++) {
            int64_t size = p2p__peer_record_seal(*state, seqs[i], addrs, count, out, sizeof out);
            assert_int_equal(open_out(size), P2P_OK);
            assert_true(p2p_peer_id_equal(&record.peer, p2p_key_peer_id(*state)));
            assert_int_equal(record.seq, seqs[i]);
            assert_int_equal(record.addr_count, count);
            for (size_t k = 0; k < count; k++) {
                assert_int_equal(record.addrs[k].len, sizeof ADDR);
                assert_memory_equal(record.addrs[k].base, ADDR, sizeof ADDR);
            }
            assert_int_equal(
                p2p__peer_record_seal(*state, seqs[i], addrs, count, out, (size_t)size - 1),
                P2P_ETOOBIG);
        }
    }
    assert_int_equal(
        p2p__peer_record_seal(*state, 1, addrs, P2P__PEER_RECORD_ADDRS_MAX + 1, out, sizeof out),
        P2P_EINVAL);
    static uint8_t long_addr[1000];
    for (size_t i = 0; i < 9; i++) {
        addrs[i] = (struct p2p__const_iov){long_addr, sizeof long_addr};
    }
    assert_true(p2p__peer_record_seal(*state, 1, addrs, 8, out, sizeof out) > 0);
    assert_int_equal(p2p__peer_record_seal(*state, 1, addrs, 9, out, sizeof out), P2P_ETOOBIG);
}

static struct pb_out payload_begin(uint8_t *room, size_t cap, const p2p_peer_id *id)
{
    struct pb_out pb = p2p__pb_out(room, cap);
    p2p__pb_put_bytes(&pb, 1, id->bytes, id->len);
    p2p__pb_put_varint(&pb, 2, 7);
    return pb;
}

static void address_put(struct pb_out *pb, const void *addr, size_t len)
{
    size_t mark = p2p__pb_begin(pb, 3);
    p2p__pb_put_bytes(pb, 1, addr, len);
    p2p__pb_end(pb, mark);
}

static void test_domain_and_type_new_and_stale_but_not_mixed(void **state)
{
    static const char STALE[] = "/libp2p/routing-state-record";
    uint8_t room[256];
    struct pb_out pb = payload_begin(room, sizeof room, p2p_key_peer_id(*state));
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_OK);
    assert_int_equal(record.seq, 7);
    assert_int_equal(
        open_out(seal_payload(*state, "libp2p-routing-state", STALE, strlen(STALE), &pb)), P2P_OK);
    assert_int_equal(record.seq, 7);
    assert_int_equal(
        open_out(seal_payload(*state, "libp2p-peer-record", STALE, strlen(STALE), &pb)), P2P_ESIG);
    assert_int_equal(open_out(seal_payload(*state, "libp2p-routing-state", "\x03\x01", 2, &pb)),
                     P2P_ESIG);
    assert_int_equal(open_out(seal_payload(*state, "libp2p-relay-rsvp", "\x03\x02", 2, &pb)),
                     P2P_EPROTO);
    /* What we write is the new one. */
    int64_t size = p2p__peer_record_seal(*state, 1, NULL, 0, out, sizeof out);
    static const uint8_t FIELD[] = {0x12, 0x02, 0x03, 0x01, 0x1a};
    assert_true(size > 45);
    assert_memory_equal(out + 2 + 36, FIELD, sizeof FIELD);
}

static void test_I05_record_of_another_peer_than_the_signer(void **state)
{
    p2p_key *other = NULL;
    uint8_t room[256];
    assert_int_equal(p2p_key_generate(P2P_KEY_SECP256K1, &other), P2P_OK);
    struct pb_out pb = payload_begin(room, sizeof room, p2p_key_peer_id(other));
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_EPEERID);
    assert_int_equal(open_out(seal_new(other, &pb)), P2P_OK);
    p2p_key_free(other);

    pb = p2p__pb_out(room, sizeof room); /* of nobody */
    p2p__pb_put_varint(&pb, 2, 7);
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_EPEERID);
    p2p__pb_put_bytes(&pb, 1, "\x12\x20short", 7);
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_EPROTO);
}

static void test_I05_a_payload_is_not_parsed_before_its_signature_holds(void **state)
{
    uint8_t room[256];
    struct pb_out pb = payload_begin(room, sizeof room, p2p_key_peer_id(*state));
    p2p__pb_put_raw(&pb, "\xff\xff\xff", 3); /* no protobuf */
    int64_t size = seal_new(*state, &pb);
    assert_int_equal(open_out(size), P2P_EPROTO);
    out[size - 1] ^= 1;
    assert_int_equal(open_out(size), P2P_ESIG);
}

static void test_P10_addresses_above_the_cap_empty_or_too_long(void **state)
{
    static uint8_t room[OUT_MAX], addr[P2P__PEER_RECORD_ADDR_LEN_MAX + 1];
    struct pb_out pb = payload_begin(room, sizeof room, p2p_key_peer_id(*state));
    for (size_t i = 0; i < 5000; i++) {
        p2p__pb_put_raw(&pb, "\x1a\x00", 2);
    }
    address_put(&pb, addr, 0);
    address_put(&pb, addr, P2P__PEER_RECORD_ADDR_LEN_MAX + 1);
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_OK);
    assert_int_equal(record.addr_count, 0);
    address_put(&pb, addr, P2P__PEER_RECORD_ADDR_LEN_MAX);
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_OK);
    assert_int_equal(record.addr_count, 1);
    for (uint8_t i = 1; i < 200; i++) {
        address_put(&pb, &i, 1);
        assert_int_equal(open_out(seal_new(*state, &pb)), P2P_OK);
        size_t want = i + 1u < P2P__PEER_RECORD_ADDRS_MAX ? i + 1u : P2P__PEER_RECORD_ADDRS_MAX;
        assert_int_equal(record.addr_count, want); /* the first ones stay */
        assert_int_equal(record.addrs[want - 1].base[0], want - 1);
    }
    p2p__pb_put_raw(&pb, "\x1a\x03\x0a\x05x", 5); /* above the cap: not looked at */
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_OK);
    pb = payload_begin(room, sizeof room, p2p_key_peer_id(*state));
    p2p__pb_put_raw(&pb, "\x1a\x03\x0a\x05x", 5); /* cut inside */
    assert_int_equal(open_out(seal_new(*state, &pb)), P2P_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_and_open),
        cmocka_unit_test(test_domain_and_type_new_and_stale_but_not_mixed),
        cmocka_unit_test(test_I05_record_of_another_peer_than_the_signer),
        cmocka_unit_test(test_I05_a_payload_is_not_parsed_before_its_signature_holds),
        cmocka_unit_test(test_P10_addresses_above_the_cap_empty_or_too_long),
    };
    return cmocka_run_group_tests(tests, key_make, key_drop);
}
