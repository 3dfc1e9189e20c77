#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/peer_id.h>

#include "codec/cid.h"
#include "codec/multibase.h"
#include "codec/multihash.h"
#include "tests/hex.h"
#include "tests/vectors/peer_ids.h"

static int parse(const char *text)
{
    p2p_peer_id id;
    memset(&id, 0xff, sizeof id);
    int code = p2p_peer_id_parse(text, &id);
    if (code != P2P_OK) {
        assert_int_equal(id.len, 0);
    }
    return code;
}

static void test_spec_vectors_to_both_texts_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct peer_id_vector *vector = &PEER_ID_VECTORS[i];
        uint8_t pb[600];
        size_t pb_len = unhex(vector->public_hex, pb, sizeof pb);
        p2p_peer_id id, again;
        char text[P2P_PEER_ID_TEXT_MAX];
        assert_int_equal(p2p_peer_id_from_public_key(pb, pb_len, &id), P2P_OK);
        int len = p2p_peer_id_format(&id, text, sizeof text);
        assert_int_equal(len, strlen(text));
        assert_string_equal(text, vector->base58);
        assert_int_equal(p2p_peer_id_parse(text, &again), P2P_OK);
        assert_memory_equal(&id, &again, sizeof id);

        len = p2p_peer_id_format_cid(&id, text, sizeof text);
        assert_int_equal(len, strlen(text));
        assert_string_equal(text, vector->cid);
        assert_int_equal(p2p_peer_id_parse(text, &again), P2P_OK);
        assert_memory_equal(&id, &again, sizeof id);

        assert_int_equal(p2p_peer_id_decode(id.bytes, id.len, &again), P2P_OK);
        assert_true(p2p_peer_id_equal(&id, &again));
        again.bytes[again.len - 1] ^= 1;
        assert_false(p2p_peer_id_equal(&id, &again));

        size_t key_len = 0;
        const uint8_t *key = p2p_peer_id_public_key(&id, &key_len);
        if (pb_len <= 42) {
            assert_int_equal(key_len, pb_len);
            assert_memory_equal(key, pb, pb_len);
        } else {
            assert_null(key);
            assert_int_equal(key_len, 0);
        }
    }
}

/* The examples in the spec's text, which name the same peer twice and another one. */
static void test_spec_examples(void **state)
{
    (void)state;
    p2p_peer_id a, b;
    assert_int_equal(
        p2p_peer_id_parse("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", &a),
        P2P_OK);
    assert_int_equal(p2p_peer_id_parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", &b),
                     P2P_OK);
    assert_true(p2p_peer_id_equal(&a, &b));
    assert_int_equal(p2p_peer_id_parse("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", &a),
                     P2P_OK);
    static const uint8_t HEAD[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    assert_int_equal(a.len, 38);
    assert_memory_equal(a.bytes, HEAD, sizeof HEAD);
}

static void test_every_multibase_of_a_cid_is_read(void **state)
{
    (void)state;
    p2p_peer_id id, again;
    assert_int_equal(p2p_peer_id_parse(PEER_ID_VECTORS[2].base58, &id), P2P_OK);
    struct cid cid = {.version = 1, .codec = 0x72};
    assert_int_equal(p2p__multihash_parse(id.bytes, id.len, &cid.hash), 0);
    for (const char *base = "fFbBcCvVtTkKzZmuMU"; *base; base++) {
        char text[P2P__CID_TEXT_MAX];
        int64_t len = p2p__cid_format(&cid, *base, text, sizeof text);
        assert_true(len > 0);
        assert_int_equal(p2p_peer_id_parse(text, &again), P2P_OK);
        assert_true(p2p_peer_id_equal(&id, &again));
        text[len] = 'x'; /* nothing is read behind the length */
        assert_int_equal(p2p_peer_id_parse_n(text, (size_t)len, &again), P2P_OK);
    }
}

static void test_formatting_needs_room_for_the_NUL(void **state)
{
    (void)state;
    p2p_peer_id id = {0};
    char text[P2P_PEER_ID_TEXT_MAX];
    assert_int_equal(p2p_peer_id_format(&id, text, sizeof text), P2P_EPEER);
    assert_int_equal(p2p_peer_id_format_cid(&id, text, sizeof text), P2P_EPEER);
    assert_int_equal(p2p_peer_id_parse(PEER_ID_VECTORS[1].base58, &id), P2P_OK);
    size_t len = strlen(PEER_ID_VECTORS[1].base58);
    assert_int_equal(p2p_peer_id_format(&id, text, len + 1), len);
    assert_int_equal(p2p_peer_id_format(&id, text, len), P2P_ETOOBIG);
    len = strlen(PEER_ID_VECTORS[1].cid);
    assert_int_equal(p2p_peer_id_format_cid(&id, text, len + 1), len);
    assert_int_equal(p2p_peer_id_format_cid(&id, text, len), P2P_ETOOBIG);

    /* The longest id in its longest text. */
    uint8_t bytes[P2P_PEER_ID_MAX];
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = 0;
    bytes[1] = 42;
    assert_int_equal(p2p_peer_id_decode(bytes, sizeof bytes, &id), P2P_OK);
    assert_true(p2p_peer_id_format(&id, text, sizeof text) > 0);
    assert_int_equal(parse(text), P2P_OK);
    assert_true(p2p_peer_id_format_cid(&id, text, sizeof text) > 0);
    assert_int_equal(parse(text), P2P_OK);
}

static void test_P18_identity_hash_of_42_and_43_bytes(void **state)
{
    (void)state;
    uint8_t bytes[45] = {0x00, 42};
    p2p_peer_id id;
    assert_int_equal(p2p_peer_id_decode(bytes, 44, &id), P2P_OK);
    assert_int_equal(id.len, 44);
    bytes[1] = 43;
    assert_int_equal(p2p_peer_id_decode(bytes, 45, &id), P2P_EPEER);
    char text[128];
    assert_true(p2p__base58_encode(bytes, 45, text, sizeof text) > 0);
    assert_int_equal(parse(text), P2P_EPEER);
}

static void test_P18_sha256_of_31_and_33_bytes(void **state)
{
    (void)state;
    uint8_t bytes[35] = {0x12, 32};
    p2p_peer_id id;
    assert_int_equal(p2p_peer_id_decode(bytes, 34, &id), P2P_OK);
    assert_int_equal(p2p_peer_id_decode(bytes, 35, &id), P2P_EPEER); /* a byte left over */
    assert_int_equal(p2p_peer_id_decode(bytes, 33, &id), P2P_EPEER); /* a byte missing */
    bytes[1] = 31;
    assert_int_equal(p2p_peer_id_decode(bytes, 33, &id), P2P_EPEER);
    bytes[1] = 33;
    assert_int_equal(p2p_peer_id_decode(bytes, 35, &id), P2P_EPEER);
    bytes[0] = 0x11; /* sha1 */
    bytes[1] = 20;
    assert_int_equal(p2p_peer_id_decode(bytes, 22, &id), P2P_EPEER);
    assert_int_equal(p2p_peer_id_decode(NULL, 0, &id), P2P_EPEER);
    assert_int_equal(p2p_peer_id_decode(bytes, 1, &id), P2P_EPEER);
}

static void test_P18_base58_with_letters_that_it_has_not(void **state)
{
    (void)state;
    char text[64];
    strcpy(text, PEER_ID_VECTORS[1].base58);
    for (const char *letter = "0OIl+/_- \n\x80"; *letter; letter++) {
        for (size_t at = 2; at < strlen(text); at += 9) {
            char was = text[at];
            text[at] = *letter;
            assert_int_equal(parse(text), P2P_EPEER);
            text[at] = was;
        }
    }
    assert_int_equal(parse(text), P2P_OK);
    static const char *const BAD[] = {"", "1", "Q", "Qm", "11", "b", "z", "12D3KooW", "\x7f"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(parse(BAD[i]), P2P_EPEER);
    }
    char longer[300];
    for (size_t len = strlen(text) + 1; len < sizeof longer; len++) {
        memset(longer, '1', len);
        longer[len] = '\0';
        assert_int_equal(parse(longer), P2P_EPEER);
    }
}

static void test_P18_cid_of_another_codec_or_version(void **state)
{
    (void)state;
    p2p_peer_id id;
    assert_int_equal(p2p_peer_id_parse(PEER_ID_VECTORS[3].base58, &id), P2P_OK);
    struct cid cid = {.version = 1, .codec = 0x72};
    assert_int_equal(p2p__multihash_parse(id.bytes, id.len, &cid.hash), 0);
    char text[P2P__CID_TEXT_MAX];
    assert_true(p2p__cid_format(&cid, 'k', text, sizeof text) > 0);
    assert_int_equal(parse(text), P2P_OK);
    static const uint64_t CODECS[] = {0x70, 0x55, 0x71, 0x73, 0x172};
    for (size_t i = 0; i < sizeof CODECS / sizeof *CODECS; i++) {
        cid.codec = CODECS[i];
        assert_true(p2p__cid_format(&cid, 'b', text, sizeof text) > 0);
        assert_int_equal(parse(text), P2P_EPEER);
    }
    /* A CIDv0 is what Qm... without a multibase is; behind a multibase it is nothing. */
    text[0] = 'z';
    strcpy(text + 1, PEER_ID_VECTORS[3].base58);
    assert_int_equal(parse(text), P2P_EPEER);
}

static void test_P12_a_NUL_in_the_text(void **state)
{
    (void)state;
    char text[64];
    p2p_peer_id id;
    size_t len = strlen(PEER_ID_VECTORS[1].base58);
    strcpy(text, PEER_ID_VECTORS[1].base58);
    text[len - 1] = '\0';
    assert_int_equal(p2p_peer_id_parse_n(text, len, &id), P2P_EPEER);
    assert_int_equal(p2p_peer_id_parse(PEER_ID_VECTORS[1].base58, &id), P2P_OK);
    memcpy(text, "\0\x01\x72", 3); /* a binary CID behind multibase's identity */
    memcpy(text + 3, id.bytes, id.len);
    assert_int_equal(p2p_peer_id_parse_n(text, 3u + id.len, &id), P2P_EPEER);
    assert_int_equal(p2p_peer_id_parse_n(PEER_ID_VECTORS[1].base58, len + 1, &id), P2P_EPEER);
}

static void test_an_inlined_key_must_be_a_key(void **state)
{
    (void)state;
    p2p_peer_id id;
    size_t len = 1;
    assert_int_equal(p2p_peer_id_parse(PEER_ID_VECTORS[1].base58, &id), P2P_OK);
    assert_non_null(p2p_peer_id_public_key(&id, &len));
    id.bytes[3] = 2; /* the type: 32 bytes are no secp256k1 key */
    assert_null(p2p_peer_id_public_key(&id, &len));
    assert_int_equal(len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors_to_both_texts_and_back),
        cmocka_unit_test(test_spec_examples),
        cmocka_unit_test(test_every_multibase_of_a_cid_is_read),
        cmocka_unit_test(test_formatting_needs_room_for_the_NUL),
        cmocka_unit_test(test_P18_identity_hash_of_42_and_43_bytes),
        cmocka_unit_test(test_P18_sha256_of_31_and_33_bytes),
        cmocka_unit_test(test_P18_base58_with_letters_that_it_has_not),
        cmocka_unit_test(test_P18_cid_of_another_codec_or_version),
        cmocka_unit_test(test_P12_a_NUL_in_the_text),
        cmocka_unit_test(test_an_inlined_key_must_be_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
