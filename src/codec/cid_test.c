#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>

#include "codec/cid.h"
#include "codec/multibase.h"
#include "codec/multicodec.h"

static const char v0[] = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";

static int parse(const char *text, uint8_t bytes[P2P__CID_MAX], struct cid *out)
{
    return p2p__cid_parse(text, strlen(text), bytes, out);
}

static void test_version_0(void **state)
{
    (void)state;
    uint8_t bytes[P2P__CID_MAX];
    struct cid cid;
    assert_int_equal(parse(v0, bytes, &cid), 0);
    assert_int_equal(cid.version, 0);
    assert_int_equal(cid.codec, P2P__CODEC_DAG_PB);
    assert_int_equal(cid.hash.code, P2P__MH_SHA2_256);
    assert_int_equal(cid.hash.digest_len, 32);
    /* sha2-256 of nothing. */
    assert_memory_equal(cid.hash.digest, "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14", 8);

    char text[P2P__CID_TEXT_MAX];
    assert_int_equal(p2p__cid_format(&cid, 'b', text, sizeof(text)), 46);
    assert_string_equal(text, v0);
    uint8_t binary[34];
    assert_int_equal(p2p__cid_encode(&cid, binary, sizeof(binary)), 34);
    assert_int_equal(p2p__cid_encode(&cid, binary, 33), P2P_ETOOBIG);
    assert_int_equal(p2p__cid_decode(binary, 34, &cid), 0);
    assert_int_equal(cid.version, 0);
    for (size_t len = 0; len < 34; len++)
        assert_int_equal(p2p__cid_decode(binary, len, &cid), P2P_EPROTO);
}

static void test_version_1_in_several_bases(void **state)
{
    (void)state;
    /* The same version 1 CID of empty raw content. */
    static const char base32[] = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    uint8_t bytes[P2P__CID_MAX];
    struct cid cid;
    assert_int_equal(parse(base32, bytes, &cid), 0);
    assert_int_equal(cid.version, 1);
    assert_int_equal(cid.codec, P2P__CODEC_RAW);
    assert_int_equal(cid.hash.code, P2P__MH_SHA2_256);
    assert_memory_equal(cid.hash.digest, "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14", 8);
    for (const char *base = "fFbBcvVtTkKzZmMuU"; *base; base++) {
        char text[P2P__CID_TEXT_MAX];
        uint8_t other[P2P__CID_MAX];
        struct cid back;
        int64_t n = p2p__cid_format(&cid, *base, text, sizeof(text));
        assert_true(n > 0);
        assert_int_equal(text[0], *base);
        assert_int_equal(p2p__cid_parse(text, (size_t)n, other, &back), 0);
        assert_int_equal(back.codec, cid.codec);
        assert_memory_equal(back.hash.digest, cid.hash.digest, 32);
    }
    char text[P2P__CID_TEXT_MAX];
    p2p__cid_format(&cid, 'b', text, sizeof(text));
    assert_string_equal(text, base32);
    assert_int_equal(p2p__cid_format(&cid, 'b', text, strlen(base32)), P2P_ETOOBIG);
    assert_int_equal(p2p__cid_format(&cid, '?', text, sizeof(text)), P2P_EINVAL);
    uint8_t binary[36];
    for (size_t cap = 0; cap < sizeof(binary); cap++)
        assert_int_equal(p2p__cid_encode(&cid, binary, cap), P2P_ETOOBIG);
    assert_int_equal(p2p__cid_encode(&cid, binary, sizeof(binary)), 36);
    assert_memory_equal(binary, bytes, 36);
}

static void test_largest(void **state)
{
    (void)state;
    static const uint8_t digest[P2P__MULTIHASH_DIGEST_MAX] = {1};
    struct cid cid = {.version = 1,
                      .codec = INT64_MAX,
                      .hash = {P2P__CODEC_SKEIN1024_1024, digest, sizeof(digest)}};
    uint8_t bytes[P2P__CID_MAX];
    char text[P2P__CID_TEXT_MAX];
    int len = p2p__cid_encode(&cid, bytes, sizeof(bytes));
    assert_true(len > 0);
    int64_t n = p2p__cid_format(&cid, 'f', text, sizeof(text));
    assert_int_equal(n, 1 + 2 * len);
    assert_int_equal(p2p__cid_parse(text, (size_t)n, bytes, &cid), 0);
    assert_true(cid.codec == INT64_MAX);
    cid.codec++;
    assert_int_equal(p2p__cid_encode(&cid, bytes, sizeof(bytes)), P2P_EINVAL);
}

static void test_malformed(void **state)
{
    (void)state;
    uint8_t bytes[P2P__CID_MAX];
    struct cid cid;
    assert_int_equal(parse("", bytes, &cid), P2P_EPROTO);
    assert_int_equal(parse("b", bytes, &cid), P2P_EPROTO);
    assert_int_equal(parse("x1", bytes, &cid), P2P_EINVAL);
    assert_int_equal(parse("f01", bytes, &cid), P2P_EPROTO);
    assert_int_equal(parse("f0155", bytes, &cid), P2P_EPROTO);
    assert_int_equal(parse("f01550001ff", bytes, &cid), 0);
    assert_int_equal(parse("f01550001ff00", bytes, &cid), P2P_EPROTO); /* a byte too many */
    assert_int_equal(parse("f02550001ff", bytes, &cid), P2P_ENOTSUP);
    assert_int_equal(parse("f00550001ff", bytes, &cid), P2P_EPROTO);
    assert_int_equal(parse("f8100550001ff", bytes, &cid), P2P_EPROTO);
    /* Version 0 has one text: 46 characters of base58btc. */
    char text[64] = "z";
    memcpy(text + 1, v0, sizeof(v0));
    assert_int_equal(parse(text, bytes, &cid), P2P_EPROTO);
    memcpy(text, v0, sizeof(v0));
    text[45] = '\0';
    assert_int_equal(parse(text, bytes, &cid) < 0, 1);
    struct cid wrong = {.version = 0, .codec = P2P__CODEC_RAW, .hash = {0x12, bytes, 32}};
    assert_int_equal(p2p__cid_encode(&wrong, bytes, sizeof(bytes)), P2P_EINVAL);
    wrong.version = 2;
    assert_int_equal(p2p__cid_encode(&wrong, bytes, sizeof(bytes)), P2P_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_0),
        cmocka_unit_test(test_version_1_in_several_bases),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
