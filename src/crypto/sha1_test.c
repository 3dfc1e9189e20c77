#include "tests/test.h"

#include <string.h>

#include "crypto/sha1.h"
#include "tests/hex.h"

static void expect_sha1(const char *text, const char *hex)
{
    uint8_t out[P2P__SHA1_LEN], want[P2P__SHA1_LEN];
    assert_int_equal(unhex(hex, want, sizeof want), sizeof want);
    assert_int_equal(p2p__sha1((const uint8_t *)text, strlen(text), out), 0);
    assert_memory_equal(out, want, sizeof want);
}

static void test_vectors_FIPS_180_4(void **state)
{
    (void)state;
    expect_sha1("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_sha1("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors_FIPS_180_4)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
