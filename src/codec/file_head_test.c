#define _GNU_SOURCE
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/file_head.h"

static char folder[] = "/tmp/p2p-head-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/it", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void *write_late(void *user)
{
    struct timespec wait = {.tv_nsec = 50000000};
    ssize_t *written = user;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        nanosleep(&wait, NULL);
        *written += write(fd, "abc", 3);
    }
    close(fd);
    return NULL;
}

static void test_a_file_and_what_is_none(void **state)
{
    uint8_t out[8];
    (void)state;
    assert_int_equal(p2p__file_head(path, out, sizeof(out)), -ENOENT);
    assert_int_equal(p2p__file_head(folder, out, sizeof(out)), -EISDIR);
    assert_int_equal(p2p__file_head("/dev/null", out, sizeof(out)), 0);
    assert_int_equal(p2p__file_head("/dev/zero", out, sizeof(out)), sizeof(out));
    FILE *file = fopen(path, "we");
    fputs("seven..", file);
    fclose(file);
    assert_int_equal(p2p__file_head(path, out, sizeof(out)), 7);
    assert_memory_equal(out, "seven..", 7);
    assert_int_equal(p2p__file_head(path, out, 5), 5);
}

static void test_V04_a_pipe_that_nobody_writes_into_is_empty(void **state)
{
    uint8_t out[8];
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(p2p__file_head(path, out, sizeof(out)), 0);
}

static void test_a_pipe_is_waited_for(void **state)
{
    uint8_t out[8];
    pthread_t writer;
    ssize_t written = 0;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_late, &written), 0);
    assert_int_equal(p2p__file_head(path, out, sizeof(out)), 6);
    assert_memory_equal(out, "abcabc", 6);
    pthread_join(writer, NULL);
    assert_int_equal(written, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file_and_what_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_V04_a_pipe_that_nobody_writes_into_is_empty, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_pipe_is_waited_for, setup, teardown),
    };
    return cmocka_run_group_tests_name("codec/file_head", tests, NULL, NULL);
}
