#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "codec/utf8.h"

struct row {
    const char *bytes;
    size_t len;
};

static void test_well_formed(void **state)
{
    (void)state;
    static const struct row good[] = {
        {"", 0},
        {"a\0b", 3},
        {"\x7f", 1},
        {"\xc2\x80", 2},         /* U+0080, the first of two bytes */
        {"\xdf\xbf", 2},         /* U+07FF */
        {"\xe0\xa0\x80", 3},     /* U+0800 */
        {"\xed\x9f\xbf", 3},     /* U+D7FF, before the surrogates */
        {"\xee\x80\x80", 3},     /* U+E000, behind them */
        {"\xef\xbf\xbf", 3},     /* U+FFFF */
        {"\xf0\x90\x80\x80", 4}, /* U+10000 */
        {"\xf4\x8f\xbf\xbf", 4}, /* U+10FFFF */
        {"gr\xc3\xbc\xc3\x9f", 6},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(p2p__utf8_valid(good[i].bytes, good[i].len));
}

static void test_P12_ill_formed(void **state)
{
    (void)state;
    static const struct row bad[] = {
        {"\x80", 1},
        {"\xbf", 1},
        {"\xff", 1},
        {"\xfe", 1},
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xe0\x9f\xbf", 3},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xed\xa0\x80", 3},
        {"\xed\xbf\xbf", 3}, /* surrogates */
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\xc3", 1},
        {"\xe2\x82", 2},
        {"\xf0\x9f\x98", 3},
        {"\xc3(", 2},
        {"\xe2(\xa1", 3},
        {"abc\xc3", 4},
        {"abc\xe2\x82", 5},
        {"a\xff"
         "b",
         3},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *copy = malloc(bad[i].len);
        assert_non_null(copy);
        memcpy(copy, bad[i].bytes, bad[i].len);
        assert_false(p2p__utf8_valid(copy, bad[i].len));
        assert_false(p2p__utf8_printable(copy, bad[i].len));
        free(copy);
    }
}

static void test_printable(void **state)
{
    (void)state;
    assert_true(p2p__utf8_printable("example.com ~\xc2\xa0\xc3\xbc", 17));
    for (int c = 0; c < 0x80; c++) {
        char one = (char)c;
        assert_int_equal(p2p__utf8_printable(&one, 1), c >= 0x20 && c != 0x7f);
    }
    assert_false(p2p__utf8_printable("\xc2\x9b", 2)); /* C1: a terminal's CSI */
    assert_false(p2p__utf8_printable("a\0", 2));
}

static void escapes_to(const char *in, size_t in_len, const char *expected)
{
    char out[128];
    assert_int_equal(p2p__escape(in, in_len, out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
}

static void test_P12_escape(void **state)
{
    (void)state;
    escapes_to("plain text", 10, "plain text");
    escapes_to("", 0, "");
    escapes_to("\x1b[2J", 4, "\\x1b[2J");
    escapes_to("a\0b\n\r\t\x7f", 7, "a\\x00b\\x0a\\x0d\\x09\\x7f");
    escapes_to("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    escapes_to("\xff\xc3", 2, "\\xff\\xc3");
    escapes_to("\xe2\x82(", 3, "\\xe2\\x82(");
    escapes_to("\xc2\x9b"
               "31m",
               5, "\\xc2\\x9b31m");
    escapes_to("\xe2\x80\xae"
               "evil",
               7,
               "\\xe2\\x80\\xae"
               "evil");                               /* right-to-left override */
    escapes_to("\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8"); /* line separator */
    escapes_to("\xe2\x80\xaf", 3, "\xe2\x80\xaf");    /* a space, harmless */
    /* Nobody can write an escape that was none. */
    escapes_to("\\x1b", 4, "\\\\x1b");
}

static void test_escape_cuts_between_units(void **state)
{
    (void)state;
    static const char in[] = "a\xc3\xbc\x1b"
                             "b";
    static const char *const expected[] = {
        "",
        "",
        "a",
        "a",
        "a\xc3\xbc",
        "a\xc3\xbc",
        "a\xc3\xbc",
        "a\xc3\xbc",
        "a\xc3\xbc\\x1b",
        ("a\xc3\xbc\\x1b"
         "b"),
    };
    for (size_t cap = 0; cap < 10; cap++) {
        char *out = malloc(cap > 0 ? cap : 1);
        assert_non_null(out);
        assert_int_equal(p2p__escape(in, 5, out, cap), 8);
        if (cap > 0)
            assert_string_equal(out, expected[cap]);
        free(out);
    }
    assert_int_equal(p2p__escape(in, 5, NULL, 0), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_P12_ill_formed),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_P12_escape),
        cmocka_unit_test(test_escape_cuts_between_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
