#include "tests/test.h"

#include <string.h>

#include <p2p/p2p.h>

static char name[P2P_OPTION_NAME_MAX], value[P2P_OPTION_VALUE_MAX];

/* The only option of a text. */
static int one(const char *text)
{
    size_t line = 0;
    return p2p_option_next(&text, &line, name, value);
}

static void test_lines(void **state)
{
    static const char *const pairs[][2] = {
        {"a", "1"}, {"b", "x = y # z"}, {"c", ""}, {"d", "e"}, {"f g", "h"}};
    static const size_t lines[] = {1, 4, 5, 6, 7};
    const char *text = "a=1\n\n  # b=2\n\t b\t = x = y # z \r\nc=\nd = e\nf g=h";
    size_t line = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        assert_int_equal(p2p_option_next(&text, &line, name, value), 1);
        assert_string_equal(name, pairs[i][0]);
        assert_string_equal(value, pairs[i][1]);
        assert_int_equal(line, lines[i]);
    }
    assert_int_equal(p2p_option_next(&text, &line, name, value), 0);
    assert_int_equal(p2p_option_next(&text, &line, name, value), 0);
    assert_string_equal(name, "");
}

static void test_nothing(void **state)
{
    static const char *const none[] = {"", "\n", " \t\r\n \n", "#", "# a=1", "\n\n#\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(one(none[i]), 0);
}

static void test_bad_lines_are_passed(void **state)
{
    static const char *const bad[] = {"a", "=", " = 1", "=#", "a b\n"};
    const char *text = "nonsense\na = 1\n";
    size_t line = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(one(bad[i]), P2P_EINVAL);
    assert_int_equal(p2p_option_next(&text, &line, name, value), P2P_EINVAL);
    assert_int_equal(line, 1);
    assert_int_equal(p2p_option_next(&text, &line, name, value), 1);
    assert_string_equal(name, "a");
    assert_int_equal(line, 2);
}

static void test_longest(void **state)
{
    char text[P2P_OPTION_NAME_MAX + P2P_OPTION_VALUE_MAX + 2];
    (void)state;
    for (int over = 0; over < 3; over++) {
        size_t name_len = P2P_OPTION_NAME_MAX - 1 + (over == 1);
        size_t value_len = P2P_OPTION_VALUE_MAX - 1 + (over == 2);
        memset(text, 'x', name_len + 1 + value_len);
        text[name_len] = '=';
        text[name_len + 1 + value_len] = '\0';
        assert_int_equal(one(text), over ? P2P_ETOOBIG : 1);
        if (over)
            continue;
        assert_int_equal(strlen(name), name_len);
        assert_int_equal(strlen(value), value_len);
    }
}

static void test_set_and_get(void **state)
{
    p2p_config *config = p2p_config_new();
    (void)state;
    assert_non_null(config);
    assert_null(p2p_config_get(config, "frob"));
    assert_string_equal(p2p_config_get(config, "memory"), "256M");
    assert_int_equal(p2p_config_set(config, "memory", "1M", NULL, 0), 0);
    assert_string_equal(p2p_config_get(config, "memory"), "1M");
    assert_int_equal(p2p_config_set(config, "memory", NULL, NULL, 0), 0);
    assert_string_equal(p2p_config_get(config, "memory"), "256M");
    assert_int_equal(p2p_config_set(config, "services", "ping", NULL, 0), 0);
    assert_int_equal(p2p_config_set(config, "services", "echo", NULL, 0), 0);
    assert_string_equal(p2p_config_get(config, "services"), "ping,echo");
    assert_int_equal(p2p_config_set(config, "services", NULL, NULL, 0), 0);
    assert_string_equal(p2p_config_get(config, "services"), "identify,ping");
    assert_int_equal(p2p_config_set(config, "services", "", NULL, 0), 0);
    assert_string_equal(p2p_config_get(config, "services"), "");
    assert_int_equal(p2p_config_set(config, "frob", NULL, NULL, 0), P2P_ENOENT);
    p2p_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_longest),     cmocka_unit_test(test_bad_lines_are_passed),
        cmocka_unit_test(test_set_and_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
