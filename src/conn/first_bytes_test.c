#include "tests/test.h"

#include <string.h>

#include "conn/first_bytes.h"

static enum first_bytes of(const char *bytes, size_t len, bool nonce)
{
    return p2p__first_bytes((const uint8_t *)bytes, len, nonce);
}

static void test_one_byte_decides(void **state)
{
    (void)state;
    assert_int_equal(of("", 0, false), FIRST_BYTES_MORE);
    for (int byte = 0; byte < 256; byte++) {
        const char first = (char)byte;
        enum first_bytes expected = byte == 'G'    ? FIRST_BYTES_HTTP
                                    : byte == 0x16 ? FIRST_BYTES_TLS
                                                   : FIRST_BYTES_PLAIN;
        assert_int_equal(of(&first, 1, false), expected);
    }
}

/* Every prefix of what begins so is undecided, and the first byte that differs decides. */
static void nonce_case(const char *bytes, size_t len, enum first_bytes expected)
{
    for (size_t n = 0; n < len; n++)
        assert_int_equal(of(bytes, n, true), FIRST_BYTES_MORE);
    assert_int_equal(of(bytes, len, true), expected);
}

static void test_a_nonce_may_look_like_anything(void **state)
{
    (void)state;
    nonce_case("GET ", 4, FIRST_BYTES_HTTP);
    nonce_case("\x16\x03\x01\x02\x00\x01\x00", 7, FIRST_BYTES_TLS);
    nonce_case("\x16\x03\x03\x40\xff\x01\x00", 7, FIRST_BYTES_TLS);
    nonce_case("\x16\x03\x00\x00\x00\x01\x00", 7, FIRST_BYTES_TLS);
    nonce_case("GEt", 3, FIRST_BYTES_PLAIN);
    nonce_case("GET/", 4, FIRST_BYTES_PLAIN);
    nonce_case("\x16\x02", 2, FIRST_BYTES_PLAIN);
    nonce_case("\x16\x03\x05", 3, FIRST_BYTES_PLAIN);
    nonce_case("\x16\x03\x01\x41", 4, FIRST_BYTES_PLAIN);
    nonce_case("\x16\x03\x01\x02\x00\x02", 6, FIRST_BYTES_PLAIN);
    nonce_case("\x16\x03\x01\x02\x00\x01\x01", 7, FIRST_BYTES_PLAIN);
    nonce_case("\x13", 1, FIRST_BYTES_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_byte_decides),
        cmocka_unit_test(test_a_nonce_may_look_like_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
