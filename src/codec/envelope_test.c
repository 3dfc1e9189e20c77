#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "codec/envelope.h"
#include "codec/key.h"
#include "codec/protobuf.h"
#include "tests/hex.h"
#include "tests/vectors/peer_ids.h"

static const uint8_t TYPE_A[] = {0x03, 0x01};
static const uint8_t TYPE_B[] = "/a/b";
static const struct p2p__envelope_kind KINDS[] = {
    {"domain-a", TYPE_A, sizeof TYPE_A},
    {"domain-b", TYPE_B, sizeof TYPE_B},
    {"domain-empty", NULL, 0},
};
static const uint8_t PAYLOAD[] = "what is vouched for";

static p2p_key *vector_key(int type)
{
    uint8_t bytes[P2P_KEY_PRIVATE_MAX];
    p2p_key *key = NULL;
    size_t len = unhex(PEER_ID_VECTORS[type].private_hex, bytes, sizeof bytes);
    assert_int_equal(p2p_key_decode(bytes, len, &key), P2P_OK);
    return key;
}

static int open_one(const uint8_t *in, size_t len, const struct p2p__envelope_kind *kind)
{
    struct p2p__envelope envelope;
    memset(&envelope, 0xff, sizeof envelope);
    int code = p2p__envelope_open(in, len, kind, 1, &envelope);
    if (code != P2P_OK) { /* nothing of it is handed out */
        static const struct p2p__envelope NOTHING;
        assert_memory_equal(&envelope, &NOTHING, sizeof NOTHING);
    }
    return code;
}

static void test_seal_and_open_every_key_and_kind(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        p2p_key *key = vector_key(type);
        for (size_t kind = 0; kind < 3; kind++) {
            for (size_t len = 0; len <= sizeof PAYLOAD; len += sizeof PAYLOAD) {
                uint8_t out[1300];
                int64_t size = p2p__envelope_seal(key, &KINDS[kind], PAYLOAD, len, out, sizeof out);
                assert_true(size > 0);
                struct p2p__envelope envelope;
                assert_int_equal(p2p__envelope_open(out, (size_t)size, KINDS, 3, &envelope),
                                 P2P_OK);
                assert_int_equal(envelope.kind, kind);
                assert_int_equal(envelope.payload_len, len);
                assert_memory_equal(envelope.payload, PAYLOAD, len);
                assert_true(p2p_peer_id_equal(&envelope.signer, p2p_key_peer_id(key)));
                size_t public_len = 0;
                const uint8_t *public_key = p2p_key_public(key, &public_len);
                assert_int_equal(envelope.public_key_len, public_len);
                assert_memory_equal(envelope.public_key, public_key, public_len);
                if (type != P2P_KEY_ECDSA && type != P2P_KEY_SECP256K1) { /* DER: lengths vary */
                    assert_int_equal(
                        p2p__envelope_seal(key, &KINDS[kind], PAYLOAD, len, out, (size_t)size - 1),
                        P2P_ETOOBIG);
                    assert_int_equal(
                        p2p__envelope_seal(key, &KINDS[kind], PAYLOAD, len, out, (size_t)size),
                        size);
                }
            }
        }
        p2p_key_free(key);
    }
}

/* RFC-0002's fields and what is signed, built by hand; Ed25519 signs the same bytes the same way.
 */
static void test_wire_format(void **state)
{
    (void)state;
    p2p_key *key = vector_key(P2P_KEY_ED25519);
    uint8_t want[256], sig[P2P_KEY_SIG_MAX], out[256];
    static const uint8_t SIGNED[] = "\x08"
                                    "domain-a"
                                    "\x02\x03\x01"
                                    "\x03"
                                    "abc";
    assert_int_equal(p2p_key_sign(key, SIGNED, sizeof SIGNED - 1, sig), 64);
    size_t public_len = 0, at = 0;
    const uint8_t *public_key = p2p_key_public(key, &public_len);
    want[at++] = 0x0a;
    want[at++] = (uint8_t)public_len;
    memcpy(want + at, public_key, public_len);
    at += public_len;
    memcpy(want + at,
           "\x12\x02\x03\x01\x1a\x03"
           "abc\x2a\x40",
           11);
    at += 11;
    memcpy(want + at, sig, 64);
    at += 64;
    int64_t len = p2p__envelope_seal(key, &KINDS[0], (const uint8_t *)"abc", 3, out, sizeof out);
    assert_int_equal(len, at);
    assert_memory_equal(out, want, at);
    p2p_key_free(key);
}

static void test_I05_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    p2p_key *key = vector_key(P2P_KEY_ED25519);
    uint8_t out[256];
    int64_t size = p2p__envelope_seal(key, &KINDS[0], PAYLOAD, sizeof PAYLOAD, out, sizeof out);
    for (size_t bit = 0; bit < (size_t)size * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_true(open_one(out, (size_t)size, KINDS) < 0);
        out[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t len = 0; len < (size_t)size; len++) {
        assert_true(open_one(out, len, KINDS) < 0);
    }
    assert_int_equal(open_one(out, (size_t)size, KINDS), P2P_OK);
    p2p_key_free(key);
}

static void test_I05_another_domain_or_type(void **state)
{
    (void)state;
    p2p_key *key = vector_key(P2P_KEY_SECP256K1);
    uint8_t out[256];
    int64_t size = p2p__envelope_seal(key, &KINDS[0], PAYLOAD, sizeof PAYLOAD, out, sizeof out);
    const struct p2p__envelope_kind other_domain = {"domain-b", TYPE_A, sizeof TYPE_A};
    const struct p2p__envelope_kind shorter = {"domain-", TYPE_A, sizeof TYPE_A};
    assert_int_equal(open_one(out, (size_t)size, &other_domain), P2P_ESIG);
    assert_int_equal(open_one(out, (size_t)size, &shorter), P2P_ESIG);
    assert_int_equal(open_one(out, (size_t)size, &KINDS[1]), P2P_EPROTO);
    assert_int_equal(open_one(out, (size_t)size, &KINDS[2]), P2P_EPROTO);
    const struct p2p__envelope_kind cut = {"domain-a", TYPE_A, 1};
    assert_int_equal(open_one(out, (size_t)size, &cut), P2P_EPROTO);
    struct p2p__envelope envelope;
    assert_int_equal(p2p__envelope_open(out, (size_t)size, KINDS, 0, &envelope), P2P_EPROTO);
    p2p_key_free(key);
}

/* The fields of a good envelope, some left out or put in another way. */
struct parts {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *sig;
    size_t sig_len;
};

static int open_parts(const struct parts *parts, uint32_t sig_field)
{
    uint8_t out[512];
    struct pb_out pb = p2p__pb_out(out, sizeof out);
    p2p__pb_put_varint(&pb, 9, 1); /* unknown fields are passed over (P08) */
    if (parts->key) {
        p2p__pb_put_bytes(&pb, 1, parts->key, parts->key_len);
    }
    p2p__pb_put_bytes(&pb, 2, TYPE_A, sizeof TYPE_A);
    p2p__pb_put_bytes(&pb, 3, PAYLOAD, sizeof PAYLOAD);
    p2p__pb_put_varint(&pb, 5, 7); /* not a signature */
    if (parts->sig) {
        p2p__pb_put_bytes(&pb, sig_field, parts->sig, parts->sig_len);
    }
    p2p__pb_put_bytes(&pb, 4, "x", 1);
    assert_false(pb.overflow);
    return open_one(out, pb.len, KINDS);
}

static void test_I05_missing_keys_and_signatures(void **state)
{
    (void)state;
    p2p_key *key = vector_key(P2P_KEY_ED25519);
    p2p_key *other = vector_key(P2P_KEY_SECP256K1);
    uint8_t out[256];
    int64_t size = p2p__envelope_seal(key, &KINDS[0], PAYLOAD, sizeof PAYLOAD, out, sizeof out);
    struct parts good = {.sig = out + size - 64, .sig_len = 64};
    good.key = p2p_key_public(key, &good.key_len);
    assert_int_equal(open_parts(&good, 5), P2P_OK);
    assert_int_equal(open_parts(&good, 4), P2P_EPROTO);
    assert_int_equal(open_parts(&good, 6), P2P_EPROTO);
    struct parts bad = good;
    bad.sig = NULL;
    assert_int_equal(open_parts(&bad, 5), P2P_EPROTO);
    bad = good;
    bad.sig_len = 0;
    assert_int_equal(open_parts(&bad, 5), P2P_ESIG);
    bad.sig_len = 63;
    assert_int_equal(open_parts(&bad, 5), P2P_ESIG);
    bad = good;
    bad.key = NULL;
    assert_int_equal(open_parts(&bad, 5), P2P_EPROTO);
    bad = good;
    bad.key_len--;
    assert_int_equal(open_parts(&bad, 5), P2P_EKEY);
    bad.key_len = 0;
    assert_int_equal(open_parts(&bad, 5), P2P_EKEY);
    bad.key = p2p_key_public(other, &bad.key_len);
    assert_int_equal(open_parts(&bad, 5), P2P_ESIG);
    p2p_key_free(key);
    p2p_key_free(other);
}

static int deny(void *user, const uint8_t *msg, size_t msg_len, uint8_t *sig)
{
    (void)user;
    (void)msg;
    (void)msg_len;
    (void)sig;
    return P2P_EDENIED;
}

static void test_a_signer_that_fails_makes_no_envelope(void **state)
{
    (void)state;
    uint8_t pub[32] = {9}, out[256];
    p2p_key *key = NULL;
    assert_int_equal(p2p_key_new_external(P2P_KEY_ED25519, pub, sizeof pub, deny, NULL, &key),
                     P2P_OK);
    assert_int_equal(p2p__envelope_seal(key, &KINDS[0], PAYLOAD, sizeof PAYLOAD, out, sizeof out),
                     P2P_EDENIED);
    p2p_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_and_open_every_key_and_kind),
        cmocka_unit_test(test_wire_format),
        cmocka_unit_test(test_I05_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_I05_another_domain_or_type),
        cmocka_unit_test(test_I05_missing_keys_and_signatures),
        cmocka_unit_test(test_a_signer_that_fails_makes_no_envelope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
