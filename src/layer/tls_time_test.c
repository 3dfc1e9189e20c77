#include "tests/test.h"

#include <string.h>

#include "layer/tls_time.h"

static void assert_both(int64_t at_s, const char *text)
{
    ASN1_TIME *time = ASN1_TIME_new();
    int64_t back;
    assert_true(p2p__tls_time_write(at_s, time));
    assert_string_equal((const char *)ASN1_STRING_get0_data(time), text);
    assert_true(p2p__tls_time_read(time, &back));
    assert_int_equal(back, at_s);
    ASN1_TIME_free(time);
}

static void test_known_dates(void **state)
{
    (void)state;
    assert_both(0, "700101000000Z");
    assert_both(-1, "691231235959Z");
    assert_both(951782400, "000229000000Z");
    assert_both(951868799, "000229235959Z");
    assert_both(951868800, "000301000000Z");
    assert_both(INT64_C(2147483647), "380119031407Z");
    assert_both(INT64_C(2147483648), "380119031408Z");
    assert_both(INT64_C(2524607999), "491231235959Z");
    assert_both(INT64_C(2524608000), "20500101000000Z"); /* GeneralizedTime from there */
    assert_both(INT64_C(4107542399), "21000228235959Z"); /* no leap year */
    assert_both(INT64_C(4107542400), "21000301000000Z");
    assert_both(INT64_C(253402300799), "99991231235959Z");
    assert_both(INT64_C(-631152000), "500101000000Z");
    assert_both(INT64_C(-631152001), "19491231235959Z");
}

static void test_every_day(void **state)
{
    (void)state;
    ASN1_TIME *time = ASN1_TIME_new();
    for (int64_t day = -719528; day < 2932897; day += 13) {
        int64_t at_s = day * 86400 + 4711, back;
        assert_true(p2p__tls_time_write(at_s, time));
        assert_true(p2p__tls_time_read(time, &back));
        assert_int_equal(back, at_s);
    }
    ASN1_TIME_free(time);
}

static void test_what_is_no_date(void **state)
{
    (void)state;
    ASN1_TIME *time = ASN1_TIME_new();
    int64_t at_s;
    assert_false(p2p__tls_time_write(INT64_C(253402300800), time));
    assert_false(p2p__tls_time_write(INT64_C(-62167219201), time)); /* before the year 0 */
    static const char *const wrong[] = {
        "701301000000Z",
        "7001010000Z",
        "700101000000",
        "700101000000+0000",
        "700101000000+",
        "70010100000aZ",
        "",
        "Z",
        "1970010100000Z",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_true(ASN1_STRING_set(time, wrong[i], -1));
        time->type = V_ASN1_UTCTIME;
        assert_false(p2p__tls_time_read(time, &at_s));
        time->type = V_ASN1_GENERALIZEDTIME;
        assert_false(p2p__tls_time_read(time, &at_s));
    }
    ASN1_TIME_free(time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_dates),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_what_is_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
