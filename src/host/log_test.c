#include "tests/test.h"

#include "host/log.h"

static void test_levels_by_noun(void **state)
{
    (void)state;
    uint8_t up_to[LOG_NOUNS] = {0};
    assert_int_equal(p2p__log_parse("warn", up_to), 0);
    for (int i = 0; i < LOG_NOUNS; i++)
        assert_int_equal(up_to[i], P2P_LOG_WARN);
    assert_int_equal(p2p__log_parse("info,dial=debug,conn=off", up_to), 0);
    assert_int_equal(up_to[LOG_LISTEN], P2P_LOG_INFO);
    assert_int_equal(up_to[LOG_DIAL], P2P_LOG_DEBUG);
    assert_int_equal(up_to[LOG_CONN], 0);
    assert_int_equal(p2p__log_parse("dial=debug,error", up_to), 0);
    assert_int_equal(up_to[LOG_DIAL], P2P_LOG_ERROR);
    static const char *const wrong[] = {
        "loud",  "Info", "info,,warn", "dial=", "=info", "di=info", "dial=info=debug",
        "infos", "inf",  "info "};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(p2p__log_parse(wrong[i], up_to), P2P_EINVAL);
}

/* 100,000 reasons for a line a second must not fill a disk. */
static void test_X10_flood_is_ten_lines_a_second(void **state)
{
    (void)state;
    struct log log = {0};
    uint64_t lines = 0, told = 0, dropped = 0, now_us = 0;
    const uint64_t seconds = 20, rate = 100000;
    for (uint64_t i = 0; i < seconds * rate; i++, now_us += 1000000 / rate) {
        if (p2p__log_take(&log, LOG_CONN, now_us, &dropped)) {
            lines++;
            told += dropped;
        }
    }
    assert_in_range(lines, seconds * 10, seconds * 10 + LOG_BURST);
    assert_int_equal(lines + told + log.dropped[LOG_CONN], seconds * rate);
    assert_true(p2p__log_take(&log, LOG_DIAL, now_us, &dropped)); /* others are heard */
    assert_int_equal(dropped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_by_noun),
        cmocka_unit_test(test_X10_flood_is_ten_lines_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
