#define _GNU_SOURCE
#include "tests/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"

static char folder[] = "/tmp/p2p-file-XXXXXX";

static const char *path(const char *name)
{
    static char text[64];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void put(const char *name, const char *bytes)
{
    FILE *file = fopen(path(name), "w");
    assert_non_null(file);
    fputs(bytes, file);
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "pipe"};
    for (size_t i = 0; i < 3; i++)
        remove(path(names[i]));
    return rmdir(folder);
}

static void expect(const char *name, size_t max, int code, const char *bytes)
{
    char *got = (char *)1;
    size_t len = 0;
    assert_int_equal(p2p__file_read(path(name), max, &got, &len), code);
    assert_int_equal(got != NULL, code == 0);
    if (code == 0) {
        assert_int_equal(len, strlen(bytes));
        assert_memory_equal(got, bytes, len);
    }
    p2p__free(got);
}

static void test_read(void **state)
{
    (void)state;
    put("a", "hello");
    expect("a", 6, 0, "hello");
    expect("a", 5, 0, "hello");
    expect("a", 4, EFBIG, NULL);
    put("a", "");
    expect("a", 10, 0, "");
    expect("none", 10, ENOENT, NULL);
    assert_int_equal(mkfifo(path("pipe"), 0600), 0);
    expect("pipe", 10, 0, ""); /* nobody writes: it is empty, and does not wait */
    expect("", 10, EISDIR, NULL);
}

/* A file in /proc says that it has no size. */
static void test_read_without_a_size(void **state)
{
    (void)state;
    char *got;
    size_t len;
    assert_int_equal(p2p__file_read("/proc/self/comm", 100, &got, &len), 0);
    assert_true(len > 1);
    p2p__free(got);
}

static void test_stamp(void **state)
{
    (void)state;
    struct file_stamp none = {0}, one, two;
    p2p__file_stamp(path("b"), &one);
    assert_true(p2p__file_stamp_equal(&one, &none));
    put("b", "x");
    p2p__file_stamp(path("b"), &one);
    p2p__file_stamp(path("b"), &two);
    assert_true(p2p__file_stamp_equal(&one, &two));
    assert_false(p2p__file_stamp_equal(&one, &none));
    put("b", "xy");
    p2p__file_stamp(path("b"), &two);
    assert_false(p2p__file_stamp_equal(&one, &two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_without_a_size),
        cmocka_unit_test(test_stamp),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
