#define _GNU_SOURCE
#include "io/memory_limit.h"

#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char root[] = "/tmp/p2p-groups-XXXXXX";

static const char *below(const char *name)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(below(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static uint64_t limit(const char *groups)
{
    char path[200];
    put("/groups", groups);
    snprintf(path, sizeof(path), "%s", below("/groups"));
    return p2p__memory_limit(path, root);
}

static void test_X04_the_least_of_a_group_and_its_parents(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    static const char *const folders[] = {"/a", "/a/b", "/memory", "/memory/c"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
        assert_int_equal(mkdir(below(folders[i]), 0700), 0);
    put("/a/memory.max", "268435456\n");
    put("/a/b/memory.max", "max\n");
    put("/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/memory/c/memory.limit_in_bytes", "1000000\n");
    assert_int_equal(limit("0::/a/b\n"), 268435456);
    assert_int_equal(limit("0::/a\n"), 268435456);
    assert_true(limit("0::/\n") == UINT64_MAX);
    assert_int_equal(limit("5:cpu:/c\n4:memory:/c\n0::/a\n"), 1000000);
    assert_true(limit("4:memory:/outside/of/it\n") == 9223372036854771712u);
    assert_true(limit("nonsense\n:\n::\n\n") == UINT64_MAX);
    assert_true(p2p__memory_limit("/nonexistent", root) == UINT64_MAX);
    static const char *const made[] = {"/groups",   "/a/b/memory.max",
                                       "/a/b",      "/a/memory.max",
                                       "/a",        "/memory/c/memory.limit_in_bytes",
                                       "/memory/c", "/memory/memory.limit_in_bytes",
                                       "/memory",   ""};
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
        assert_int_equal(remove(below(made[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X04_the_least_of_a_group_and_its_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
