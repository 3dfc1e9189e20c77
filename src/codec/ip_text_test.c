#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/ip_text.h"

static int parse4(const char *text, uint8_t out[4])
{
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int err = p2p__ip4_parse(copy, len, out);
    free(copy);
    return err;
}

static int parse6(const char *text, uint8_t out[16])
{
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int err = p2p__ip6_parse(copy, len, out);
    free(copy);
    return err;
}

static void test_ip4(void **state)
{
    (void)state;
    static const char *const good[] = {"0.0.0.0", "127.0.0.1", "255.255.255.255", "10.20.30.40"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t bytes[4];
        char text[P2P__IP4_TEXT_MAX];
        assert_int_equal(parse4(good[i], bytes), 0);
        assert_int_equal(p2p__ip4_format(bytes, text), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
    static const char *const bad[] = {
        "",          "1",         "1.2.3",    "1.2.3.",   "1.2.3.4.",   "1.2.3.4.5", "256.0.0.1",
        "1.2.3.256", "01.2.3.4",  "1.2.3.04", "1.2.3.00", ".1.2.3",     "1..2.3",    "1.2.3.4 ",
        " 1.2.3.4",  "0x1.2.3.4", "1.2.3.-4", "+1.2.3.4", "1.2.3.1000", "a.b.c.d",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t bytes[4] = {9, 9, 9, 9};
        if (parse4(bad[i], bytes) != P2P_EADDR)
            fail_msg("not refused: %s", bad[i]);
        assert_memory_equal(bytes, "\x09\x09\x09\x09", 4);
    }
}

static void test_ip6_canonical(void **state)
{
    (void)state;
    /* RFC 5952 and RFC 4291: as read, as written. */
    static const char *const rows[][2] = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* one zero group stays */
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:192.0.2.128", "::ffff:192.0.2.128"},
        {"::ffff:c000:280", "::ffff:192.0.2.128"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"::1.2.3.4", "::102:304"},
        {"1::2:0:0:0:3", "1:0:0:2::3"},
        {"0:0:1::", "0:0:1::"},
        {"::1:0:0:0", "::1:0:0:0"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[16];
        uint8_t again[16];
        char text[P2P__IP6_TEXT_MAX];
        assert_int_equal(parse6(rows[i][0], bytes), 0);
        assert_int_equal(p2p__ip6_format(bytes, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(parse6(text, again), 0);
        assert_memory_equal(bytes, again, 16);
    }
}

static void test_ip6_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ":",
        ":::",
        "1",
        "1:",
        ":1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8:",
        ":1:2:3:4:5:6:7:8",
        "1::2::3",
        "1:::2",
        "1:2:3:4::5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "12345::",
        "g::",
        "::g",
        "1.2.3.4",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "::1.2.3",
        "::1.2.3.256",
        "::01.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:1.2.3.4",
        "::1:2:3:4:5:6:1.2.3.4x",
        "1:2:3:4:5:6::1.2.3.4",
        "fe80::1%eth0",
        "[::1]",
        " ::1",
        "::1 ",
        "1:2:3:4:5:6:7:",
        "::%",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t bytes[16];
        if (parse6(bad[i], bytes) != P2P_EADDR)
            fail_msg("not refused: %s", bad[i]);
    }
}

/* Every pattern of zero and non-zero groups. */
static void test_ip6_every_zero_pattern(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 256; pattern++) {
        uint8_t bytes[16] = {0};
        uint8_t back[16];
        char text[P2P__IP6_TEXT_MAX];
        for (size_t i = 0; i < 8; i++)
            bytes[2 * i] = pattern >> i & 1 ? 0xfe : 0;
        size_t len = p2p__ip6_format(bytes, text);
        assert_int_equal(len, strlen(text));
        assert_int_equal(parse6(text, back), 0);
        assert_memory_equal(bytes, back, 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip4),
        cmocka_unit_test(test_ip6_canonical),
        cmocka_unit_test(test_ip6_malformed),
        cmocka_unit_test(test_ip6_every_zero_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
