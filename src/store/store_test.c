/* Every kind of store: what is committed is there, whole or not at all. */
#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

static char path[] = "/tmp/p2p-store-test-XXXXXX";
static char file[64];
static char why[STORE_WHY_MAX];

enum {
    ROOM = 1 << 20,
};

static struct store *open_file(void)
{
    struct store *store;
    assert_int_equal(p2p__store_file(file, ROOM, &store, why, sizeof why), 0);
    return store;
}

static bool has_files(void)
{
    const char *version;
    return p2p__store_version(&version) != NULL;
}

static int put(struct store *store, const char *key, const char *value)
{
    struct store_batch batch;
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, key, strlen(key), value, strlen(value)), 0);
    int rc = store->ops->commit(store, &batch);
    p2p__store_batch_fini(&batch);
    return rc;
}

static void expect(struct store *store, const char *key, const char *value)
{
    char out[64];
    int64_t len = store->ops->get(store, key, strlen(key), out, sizeof out);
    if (!value) {
        assert_int_equal(len, P2P_ENOENT);
        return;
    }
    assert_int_equal(len, strlen(value));
    assert_memory_equal(out, value, strlen(value));
}

static bool count(void *user, const uint8_t *key, size_t key_len, const uint8_t *value,
                  size_t value_len)
{
    assert_true(key_len > 0 && key && value && value_len > 0);
    ++*(int *)user;
    return *(int *)user < 3;
}

static int matching(struct store *store, const char *prefix)
{
    int n = 0;
    assert_int_equal(store->ops->each(store, prefix, strlen(prefix), count, &n), 0);
    return n;
}

static void check_basics(struct store *store)
{
    struct store_batch batch;
    char small[2];
    expect(store, "a", NULL);
    assert_int_equal(matching(store, ""), 0);
    assert_int_equal(put(store, "a", "one"), 0);
    assert_int_equal(put(store, "ab", "two"), 0);
    assert_int_equal(put(store, "b", "three"), 0);
    expect(store, "a", "one");
    assert_int_equal(store->ops->get(store, "a", 1, small, sizeof small), P2P_ETOOBIG);
    assert_int_equal(matching(store, "a"), 2);
    assert_int_equal(matching(store, "abc"), 0);
    assert_int_equal(matching(store, ""), 3);
    assert_int_equal(put(store, "c", "four"), 0);
    assert_int_equal(matching(store, ""), 3); /* told to stop */

    /* Later changes of a batch win; deleting what is not there is nothing. */
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_delete(&batch, "a", 1), 0);
    assert_int_equal(p2p__store_batch_delete(&batch, "nothing", 7), 0);
    assert_int_equal(p2p__store_batch_put(&batch, "b", 1, "x", 1), 0);
    assert_int_equal(p2p__store_batch_put(&batch, "b", 1, "y", 1), 0);
    assert_int_equal(p2p__store_batch_put(&batch, "c", 1, "z", 1), 0);
    assert_int_equal(p2p__store_batch_delete(&batch, "c", 1), 0);
    assert_int_equal(store->ops->commit(store, &batch), 0);
    p2p__store_batch_fini(&batch);
    expect(store, "a", NULL);
    expect(store, "ab", "two");
    expect(store, "b", "y");
    expect(store, "c", NULL);
}

/* Full: nothing of the batch is done, and what was there goes on. */
static void check_full(struct store *store)
{
    static uint8_t value[STORE_VALUE_MAX];
    struct store_batch batch;
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, "first", 5, "1", 1), 0);
    for (char key = '0'; key < '0' + ROOM / STORE_VALUE_MAX + 1; key++)
        assert_int_equal(p2p__store_batch_put(&batch, &key, 1, value, sizeof value), 0);
    assert_int_equal(store->ops->commit(store, &batch), P2P_ELIMIT);
    assert_non_null(strstr(store->why, "full"));
    expect(store, "first", NULL);
    p2p__store_batch_fini(&batch);
    expect(store, "ab", "two");
    assert_int_equal(put(store, "after", "it"), 0);
    expect(store, "after", "it");
}

static void test_memory(void **state)
{
    (void)state;
    const struct hash_key key = {1, 2};
    struct store *store = p2p__store_memory(ROOM, &key);
    check_basics(store);
    check_full(store);
    store->ops->close(store);
}

static void test_memory_to_the_last_byte(void **state)
{
    (void)state;
    const struct hash_key key = {1, 2};
    for (size_t room = 1; room < 4096; room++) {
        struct store *store = p2p__store_memory(room, &key);
        int rc = put(store, "key", "value");
        store->ops->close(store);
        if (rc == P2P_ELIMIT)
            continue;
        assert_int_equal(rc, 0);
        store = p2p__store_memory(room, &key);
        assert_int_equal(put(store, "key", "value"), 0);
        assert_int_equal(put(store, "key", "other"), 0); /* in its place */
        assert_int_equal(put(store, "key", "longer"), P2P_ELIMIT);
        assert_int_equal(put(store, "2", "x"), P2P_ELIMIT);
        expect(store, "key", "other");
        store->ops->close(store);
        return;
    }
    fail();
}

static void test_limits_of_a_batch(void **state)
{
    (void)state;
    static uint8_t bytes[STORE_VALUE_MAX + 1];
    struct store_batch batch;
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, bytes, 0, "x", 1), P2P_ETOOBIG);
    assert_int_equal(p2p__store_batch_put(&batch, bytes, STORE_KEY_MAX + 1, "x", 1), P2P_ETOOBIG);
    assert_int_equal(p2p__store_batch_put(&batch, "k", 1, bytes, sizeof bytes), P2P_ETOOBIG);
    for (int i = 0; i < STORE_BATCH_MAX / STORE_VALUE_MAX - 1; i++)
        assert_int_equal(p2p__store_batch_put(&batch, "k", 1, bytes, STORE_VALUE_MAX), 0);
    assert_int_equal(p2p__store_batch_put(&batch, bytes, STORE_KEY_MAX, bytes,
                                          STORE_BATCH_MAX - batch.bytes - STORE_KEY_MAX),
                     0);
    assert_int_equal(p2p__store_batch_put(&batch, "k", 1, NULL, 0), P2P_ELIMIT);
    p2p__store_batch_fini(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, "k", 1, NULL, 0), 0);
    p2p__store_batch_fini(&batch);
}

static void test_file(void **state)
{
    (void)state;
    if (!has_files()) {
        struct store *store;
        assert_int_equal(p2p__store_file(file, ROOM, &store, why, sizeof why), P2P_ENOTSUP);
        skip();
    }
    struct stat info;
    struct store *second, *store = open_file();
    check_basics(store);
    check_full(store);
    assert_int_equal(p2p__store_file(file, ROOM, &second, why, sizeof why), P2P_EFILE);
    assert_non_null(strstr(why, file));
    assert_non_null(strstr(why, "another process"));
    store->ops->close(store);
    store = open_file();
    expect(store, "ab", "two");
    expect(store, "b", "y");
    store->ops->close(store);
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(unlink(file), 0);
}

/* The child commits pairs of equal numbers, tells each, and is killed somewhere. */
static void write_until_killed(int out)
{
    struct store *store = open_file();
    struct store_batch batch;
    uint32_t number = 0;
    if (store->ops->get(store, "left", 4, &number, 4) < 0)
        number = 0;
    p2p__store_batch_init(&batch);
    for (;;) {
        number++;
        (void)p2p__store_batch_put(&batch, "left", 4, &number, 4);
        (void)p2p__store_batch_put(&batch, &number, 4, "pad", 3);
        (void)p2p__store_batch_put(&batch, "right", 5, &number, 4);
        if (number > 8) {
            uint32_t old = number - 8;
            (void)p2p__store_batch_delete(&batch, &old, 4);
        }
        if (store->ops->commit(store, &batch) != 0 || write(out, &number, 4) != 4)
            _exit(1);
        p2p__store_batch_fini(&batch);
    }
}

static void kill_once(int round)
{
    int ends[2];
    uint32_t number = 0, told = 0, left, right;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(ends[1]);
    }
    close(ends[1]);
    /* After the round's count of commits, and then somewhere within the next. */
    for (int i = 0; i <= round % 4; i++)
        if (read(ends[0], &number, 4) == 4)
            told = number;
    usleep((useconds_t)(round * 37 % 600));
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &number, 4) == 4)
        told = number;
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(told > 0);
    struct store *store = open_file();
    assert_int_equal(store->ops->get(store, "left", 4, &left, 4), 4);
    assert_int_equal(store->ops->get(store, "right", 5, &right, 4), 4);
    store->ops->close(store);
    assert_int_equal(left, right);
    assert_true(left == told || left == told + 1);
}

static void test_V01_killed_at_any_moment(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    for (int round = 0; round < 500; round++)
        kill_once(round);
    assert_int_equal(unlink(file), 0);
}

static void test_V02_no_such_folder_and_no_room(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct store *store;
    assert_int_equal(p2p__store_file("/nonexistent/store", ROOM, &store, why, sizeof why),
                     P2P_EFILE);
    assert_string_equal(why, "cannot open /nonexistent/store: No such file or directory");
    assert_int_equal(p2p__store_file("/dev/full", ROOM, &store, why, sizeof why), P2P_EFILE);
}

/* A disk that takes no more, as far as a process can tell: nothing of the batch is there, what was
 * is, and once there is room again it goes on. */
static void test_V02_a_full_disk(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    static uint8_t value[20000];
    struct store *store = open_file();
    struct store_batch batch;
    struct stat info;
    assert_int_equal(put(store, "before", "it"), 0);
    assert_int_equal(stat(file, &info), 0);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)info.st_size + 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, "large", 5, value, sizeof value), 0);
    assert_int_equal(p2p__store_batch_delete(&batch, "before", 6), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store->ops->commit(store, &batch), P2P_EWRITE);
        assert_non_null(strstr(store->why, file));
        expect(store, "before", "it");
        expect(store, "large", NULL);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(store->ops->commit(store, &batch), 0);
    p2p__store_batch_fini(&batch);
    store->ops->close(store);
    store = open_file();
    expect(store, "before", NULL);
    assert_int_equal(store->ops->get(store, "large", 5, value, sizeof value), sizeof value);
    store->ops->close(store);
    assert_int_equal(unlink(file), 0);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(path))
        return -1;
    (void)snprintf(file, sizeof file, "%s/store", path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(path);
}

/* What one batch takes behind another: all that fits, and not a byte more. */
static void test_a_batch_takes_another_as_far_as_it_fits(void **state)
{
    (void)state;
    static uint8_t value[STORE_VALUE_MAX];
    const size_t left = 100, each = 4 + STORE_VALUE_MAX;
    struct store_batch batch, more;
    p2p__store_batch_init(&batch);
    p2p__store_batch_init(&more);
    uint32_t key = 0;
    while (STORE_BATCH_MAX - batch.bytes >= each) {
        key++;
        assert_int_equal(p2p__store_batch_put(&batch, &key, 4, value, STORE_VALUE_MAX), 0);
    }
    size_t room = STORE_BATCH_MAX - batch.bytes;
    assert_true(room > left + 8);
    assert_int_equal(p2p__store_batch_put(&batch, "fill", 4, value, room - left - 4), 0);
    assert_int_equal(p2p__store_batch_put(&more, "over", 4, value, left - 3), 0);
    assert_int_equal(p2p__store_batch_put(&more, "fits", 4, value, left - 4), 0);
    assert_int_equal(p2p__store_batch_put(&more, "x", 1, "", 0), 0);
    p2p__store_batch_append(&batch, &more);
    assert_int_equal(batch.bytes, STORE_BATCH_MAX);
    const struct store_change *last = P2P__CONTAINER(batch.changes.prev, struct store_change, node);
    assert_memory_equal(last->bytes, "fits", 4);
    assert_true(list_empty(&more.changes));
    assert_int_equal(more.bytes, 0);
    p2p__store_batch_fini(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_takes_another_as_far_as_it_fits),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_to_the_last_byte),
        cmocka_unit_test(test_limits_of_a_batch),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_V01_killed_at_any_moment),
        cmocka_unit_test(test_V02_a_full_disk),
        cmocka_unit_test(test_V02_no_such_folder_and_no_room),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
