#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>
#include <p2p/mem.h>

#include <stdlib.h>

static void test_every_code_has_its_own_name_and_sentence(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *name;
        const char *text;
    } LIST[] = {{0, "OK", "no error"},
#define P2P_X(name, number, sentence) {number, #name, sentence},
                P2P_ERRORS(P2P_X)
#undef P2P_X
    };
    const size_t count = sizeof LIST / sizeof *LIST;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(LIST[i].code, -(int)i); /* dense, in order, never renumbered */
        assert_string_equal(p2p_code_name(LIST[i].code), LIST[i].name);
        assert_string_equal(p2p_code_text(LIST[i].code), LIST[i].text);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(LIST[i].name, LIST[k].name);
            assert_string_not_equal(LIST[i].text, LIST[k].text);
        }
    }
    const int foreign[] = {1, -(int)count, 1 << 30, -(1 << 30)};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(p2p_code_name(foreign[i]), "EUNKNOWN");
        assert_true(strlen(p2p_code_text(foreign[i])) > 0);
    }
}

static void test_a_copy_outlives_its_original(void **state)
{
    (void)state;
    char texts[6][32] = {"limit", "message", "/ip4/1.2.3.4/tcp/1", "refused", "/ip6/::1", ""};
    p2p_attempt attempts[3] = {
        {texts[2], texts[3], P2P_ECONN, 111}, {texts[4], texts[5], P2P_ETIMEDOUT, 0}, {0}};
    p2p_error original = {
        .size = sizeof original,
        .code = P2P_ECONN,
        .sys_errno = 111,
        .remote_code = 0xdeadbeef,
        .limit = texts[0],
        .message = texts[1],
        .attempts = attempts,
        .attempt_count = 3,
    };
    p2p_error *copy = p2p_error_copy(&original);
    memset(texts, 'x', sizeof texts);
    memset(attempts, 0xff, sizeof attempts);
    memset(&original, 0xff, sizeof original);
    assert_int_equal(copy->size, sizeof *copy);
    assert_int_equal(copy->code, P2P_ECONN);
    assert_int_equal(copy->sys_errno, 111);
    assert_int_equal(copy->remote_code, 0xdeadbeef);
    assert_string_equal(copy->limit, "limit");
    assert_string_equal(copy->message, "message");
    assert_int_equal(copy->attempt_count, 3);
    assert_string_equal(copy->attempts[0].addr, "/ip4/1.2.3.4/tcp/1");
    assert_string_equal(copy->attempts[0].error, "refused");
    assert_int_equal(copy->attempts[0].code, P2P_ECONN);
    assert_int_equal(copy->attempts[0].sys_errno, 111);
    assert_string_equal(copy->attempts[1].addr, "/ip6/::1");
    assert_string_equal(copy->attempts[1].error, "");
    assert_int_equal(copy->attempts[1].code, P2P_ETIMEDOUT);
    assert_null(copy->attempts[2].addr);
    assert_null(copy->attempts[2].error);
    p2p_error_free(copy);
}

static void test_a_copy_of_the_least(void **state)
{
    (void)state;
    p2p_error original = {.size = sizeof original, .code = P2P_EINVAL, .message = ""};
    p2p_error *copy = p2p_error_copy(&original);
    assert_null(copy->limit);
    assert_null(copy->attempts);
    assert_int_equal(copy->attempt_count, 0);
    assert_string_equal(copy->message, "");
    p2p_error_free(copy);
    p2p_error_free(NULL);
}

static void *no_malloc(size_t size)
{
    (void)size;
    return NULL;
}

static void *no_realloc(void *old, size_t size)
{
    (void)old;
    (void)size;
    return NULL;
}

static void test_X07_a_copy_without_memory_is_NULL(void **state)
{
    (void)state;
    const p2p_mem none = {no_malloc, no_realloc, free};
    p2p_error original = {.size = sizeof original, .code = P2P_EINVAL, .message = "m"};
    p2p_mem_set(&none);
    p2p_error *copy = p2p_error_copy(&original);
    p2p_mem_set(NULL);
    assert_null(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_own_name_and_sentence),
        cmocka_unit_test(test_a_copy_outlives_its_original),
        cmocka_unit_test(test_a_copy_of_the_least),
        cmocka_unit_test(test_X07_a_copy_without_memory_is_NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
