#include "tests/test.h"

#include "base/rate.h"

enum {
    EACH_US = 5000,
    BURST = 4,
};

static unsigned taken(struct rate *rate, uint64_t now_us)
{
    unsigned n = 0;
    while (n < 100 && rate_take(rate, now_us, EACH_US, BURST))
        n++;
    return n;
}

static void test_a_burst_then_one_each_interval(void **state)
{
    struct rate rate = {0};
    (void)state;
    uint64_t now_us = 1000000;
    assert_int_equal(taken(&rate, now_us), BURST);
    assert_int_equal(taken(&rate, now_us + EACH_US - 1), 0);
    assert_int_equal(taken(&rate, now_us + EACH_US), 1);
    assert_int_equal(taken(&rate, now_us + 3 * EACH_US), 2);
    assert_int_equal(taken(&rate, now_us + 1000 * EACH_US), BURST); /* no more is saved up */
}

static void test_from_the_beginning_of_time(void **state)
{
    struct rate rate = {0};
    (void)state;
    assert_int_equal(taken(&rate, 0), BURST);
    assert_int_equal(taken(&rate, EACH_US), 1);
}

static void test_full_again(void **state)
{
    struct rate rate = {0};
    (void)state;
    assert_true(rate_is_full(&rate, 0));
    assert_int_equal(taken(&rate, 7), BURST);
    assert_false(rate_is_full(&rate, 7 + BURST * EACH_US - 1));
    assert_true(rate_is_full(&rate, 7 + BURST * EACH_US));
}

static void test_no_interval_is_no_limit_and_no_burst_is_none(void **state)
{
    struct rate rate = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(rate_take(&rate, 5, 0, 1));
    assert_true(rate_is_full(&rate, 5));
    assert_false(rate_take(&rate, 5, EACH_US, 0));
}

static void test_looking_takes_nothing(void **state)
{
    struct rate rate = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(rate_ready(&rate, 0, EACH_US, BURST));
    assert_int_equal(taken(&rate, 0), BURST);
    assert_false(rate_ready(&rate, 0, EACH_US, BURST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_then_one_each_interval),
        cmocka_unit_test(test_from_the_beginning_of_time),
        cmocka_unit_test(test_full_again),
        cmocka_unit_test(test_no_interval_is_no_limit_and_no_burst_is_none),
        cmocka_unit_test(test_looking_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
