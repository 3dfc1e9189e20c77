/* A store's file as it comes from the disk: a sound one opens, whatever LMDB did to it, and a
 * damaged one is refused or can be used. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store.h"
#include "tests/store_sum.h"

static char path[] = "/tmp/p2p-store-file-XXXXXX";
static char file[64];
static char why[STORE_WHY_MAX];

enum {
    ROOM = 1 << 20,
    PAGE = 4096,
};

static struct store *open_file(void)
{
    struct store *store;
    int rc = p2p__store_file(file, ROOM, &store, why, sizeof why);
    if (rc != 0)
        fail_msg("%s", why);
    return store;
}

static int put(struct store *store, const char *key, const void *value, size_t len)
{
    struct store_batch batch;
    p2p__store_batch_init(&batch);
    assert_int_equal(p2p__store_batch_put(&batch, key, strlen(key), value, len), 0);
    int rc = store->ops->commit(store, &batch);
    p2p__store_batch_fini(&batch);
    return rc;
}

static void expect(struct store *store, const char *key, uint8_t byte, size_t want_len)
{
    static uint8_t out[STORE_VALUE_MAX];
    assert_int_equal(store->ops->get(store, key, strlen(key), out, sizeof out), want_len);
    for (size_t i = 0; i < want_len; i++)
        assert_int_equal(out[i], byte);
}

/* LMDB leaves what became shorter within one transaction on the pages that the longer one had. */
static void test_a_value_shortened_in_one_batch(void **state)
{
    (void)state;
    static uint8_t value[STORE_VALUE_MAX];
    static const size_t lens[][2] = {{20000, 9000},        {20000, 5000}, {20000, 100},
                                     {STORE_VALUE_MAX, 1}, {9000, 8000},  {5000, 0}};
    memset(value, 7, sizeof value);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct store *store = open_file();
        struct store_batch batch;
        p2p__store_batch_init(&batch);
        assert_int_equal(p2p__store_batch_put(&batch, "before", 6, value, 9000), 0);
        for (int part = 0; part < 2; part++)
            assert_int_equal(p2p__store_batch_put(&batch, "key", 3, value, lens[i][part]), 0);
        assert_int_equal(p2p__store_batch_put(&batch, "left", 4, value, 9000), 0);
        assert_int_equal(store->ops->commit(store, &batch), 0);
        p2p__store_batch_fini(&batch);
        store->ops->close(store);
        for (int round = 0; round < 3; round++) {
            store = open_file();
            expect(store, "before", 7, 9000);
            expect(store, "key", 7, lens[i][1]);
            expect(store, "left", 7, 9000);
            assert_int_equal(put(store, "more", value, 6000), 0);
            store->ops->close(store);
        }
        /* All of its pages come back. */
        store = open_file();
        p2p__store_batch_init(&batch);
        assert_int_equal(p2p__store_batch_delete(&batch, "key", 3), 0);
        assert_int_equal(store->ops->commit(store, &batch), 0);
        p2p__store_batch_fini(&batch);
        store->ops->close(store);
    }
    assert_int_equal(remove(file), 0);
}

static int write_file(const void *bytes, size_t len)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    return fclose(out);
}

static uint8_t bytes[ROOM];

static size_t read_file(void)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    size_t len = fread(bytes, 1, sizeof bytes, in);
    (void)fclose(in);
    return len;
}

static void fill_file(void)
{
    static uint8_t value[9000];
    struct store_batch batch;
    struct store *store = open_file();
    for (uint32_t i = 0; i < 150; i++) {
        p2p__store_batch_init(&batch);
        uint32_t name = i * 2654435761u, old = (i - 20) * 2654435761u;
        assert_int_equal(p2p__store_batch_put(&batch, &name, 4, value, i % 7 ? 200 : sizeof value),
                         0);
        if (i >= 20 && i % 3 == 0)
            assert_int_equal(p2p__store_batch_delete(&batch, &old, 4), 0);
        assert_int_equal(store->ops->commit(store, &batch), 0);
        p2p__store_batch_fini(&batch);
    }
    store->ops->close(store);
}

/* Whatever a file holds, it is opened and can be used, or there is a sentence that names it. */
static bool use_file(void)
{
    struct store *store;
    why[0] = '\0';
    int rc = p2p__store_file(file, ROOM, &store, why, sizeof why);
    if (rc != 0) {
        assert_int_equal(rc, P2P_EFILE);
        assert_non_null(strstr(why, file));
        assert_null(store);
        return false;
    }
    store_sum(store, NULL, 0);
    (void)put(store, "new", "value", 5);
    (void)put(store, "newer", "value", 5);
    store->ops->close(store);
    return true;
}

static void test_V04_a_damaged_file(void **state)
{
    (void)state;
    fill_file();
    assert_true(use_file());
    size_t len = read_file();
    size_t refused = 0, tries = 0;
    static uint8_t damaged[ROOM];
    uint64_t dice = 88172645463325252u;
    for (int round = 0; round < 1200; round++) {
        memcpy(damaged, bytes, len);
        dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
        size_t page = (size_t)(dice >> 20) % (len / 4096) * 4096;
        /* Headers and pointers more often than values. */
        size_t at = page + (size_t)(dice >> 40) % (round % 2 ? 4096 : 160);
        damaged[at] ^= (uint8_t)(1u << (dice % 8));
        if (round % 5 == 0)
            memset(damaged + page, (int)(dice & 0xff), 512);
        assert_int_equal(write_file(damaged, round % 50 ? len : (size_t)(dice >> 30) % len), 0);
        refused += !use_file();
        tries++;
    }
    assert_true(refused > tries / 20);

    assert_int_equal(write_file("this is not a store at all", 26), 0);
    assert_false(use_file());
    memset(damaged, 0, 8192);
    assert_int_equal(write_file(damaged, 8192), 0);
    assert_false(use_file());
    assert_int_equal(write_file("", 0), 0);
    assert_true(use_file()); /* a new one */
    assert_int_equal(remove(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_false(use_file());
    assert_int_equal(remove(file), 0);
}

static uint64_t draw(uint64_t *dice, uint64_t below)
{
    *dice ^= *dice << 13, *dice ^= *dice >> 7, *dice ^= *dice << 17;
    return (*dice >> 20) % below;
}

/* Long keys make a deep tree, few of them make it shrink again. */
static void change(struct store *store, uint64_t *dice, unsigned keys)
{
    static const uint8_t value[STORE_VALUE_MAX];
    uint8_t key[STORE_KEY_MAX];
    struct store_batch batch;
    p2p__store_batch_init(&batch);
    for (uint64_t n = draw(dice, 60); n-- > 0;) {
        uint64_t which = draw(dice, keys), hash = (which + 1) * 0x9e3779b97f4a7c15u;
        size_t key_len = 1 + hash % STORE_KEY_MAX;
        for (size_t i = 0; i < key_len; i++)
            key[i] = (uint8_t)(i < 8 ? hash >> (8 * i) : 'k');
        size_t len = draw(dice, draw(dice, 12) ? 300 : 20000);
        if (draw(dice, 5) < 2)
            assert_int_equal(p2p__store_batch_delete(&batch, key, key_len), 0);
        else
            assert_int_equal(p2p__store_batch_put(&batch, key, key_len, value, len), 0);
    }
    (void)store->ops->commit(store, &batch); /* it may be full */
    p2p__store_batch_fini(&batch);
}

static void test_what_was_written_is_sound(void **state)
{
    (void)state;
    uint64_t dice = 88172645463325252u;
    for (int round = 0; round < 400; round++) {
        struct store *store = open_file();
        for (int i = 0; i < 3; i++)
            change(store, &dice, round % 100 < 50 ? 1500 : 20);
        store->ops->close(store);
    }
    assert_int_equal(remove(file), 0);
}

enum {
    HEADER = 16,
    FLAGS = 10,
    LOWER = 12,
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW = 4,
};

static uint16_t half(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The key of the page's n-th entry. */
static uint8_t *key_of(uint8_t *page, size_t n)
{
    return page + half(page + HEADER + 2 * n) + 8;
}

static void swap(uint8_t *page)
{
    uint8_t slot[2];
    memcpy(slot, page + HEADER, 2);
    memcpy(page + HEADER, page + HEADER + 2, 2);
    memcpy(page + HEADER + 2, slot, 2);
}

static void lower_separator(uint8_t *page)
{
    key_of(page, 1)[0] = 0;
}

static void raise_separator(uint8_t *page)
{
    key_of(page, 1)[0] = 0xff;
}

static void lower_first(uint8_t *page)
{
    memset(key_of(page, 0), 0, 4);
}

static void raise_last(uint8_t *page)
{
    memset(key_of(page, (size_t)(half(page + LOWER) - HEADER) / 2 - 1), 0xff, 4);
}

static void lengthen(uint8_t *page)
{
    page[LOWER]++;
}

static void shorten(uint8_t *page)
{
    page[LOWER]--;
}

/* How many pages of that kind, damaged so, have the file refused for that reason. Others are in no
 * use. */
static size_t refused(uint16_t kind, void (*damage)(uint8_t *page), const char *reason)
{
    static uint8_t damaged[ROOM];
    size_t len = read_file(), count = 0;
    for (size_t at = 2 * (size_t)PAGE; at < len; at += PAGE) {
        if (half(bytes + at + FLAGS) != kind ||
            (kind != OVERFLOW && half(bytes + at + LOWER) < HEADER + 4))
            continue;
        memcpy(damaged, bytes, len);
        damage(damaged + at);
        assert_int_equal(write_file(damaged, len), 0);
        count += !use_file() && strstr(why, reason);
    }
    assert_int_equal(write_file(bytes, len), 0);
    assert_true(use_file());
    return count;
}

static void test_V04_what_is_out_of_order(void **state)
{
    (void)state;
    fill_file();
    static const char reason[] = "out of order";
    assert_in_range(refused(LEAF, swap, reason), 4, 20);
    assert_in_range(refused(BRANCH, lower_separator, reason), 1, 3);
    assert_in_range(refused(BRANCH, raise_separator, reason), 1, 3);
    /* Within their page those are in order; the parent knows better. */
    assert_in_range(refused(LEAF, lower_first, reason), 3, 20);
    assert_in_range(refused(LEAF, raise_last, reason), 3, 20);
    /* A run's length, which may be more than its value needs. */
    assert_in_range(refused(OVERFLOW, lengthen, "damaged"), 10, 30);
    assert_in_range(refused(OVERFLOW, shorten, "a long value"), 10, 30);
    assert_int_equal(remove(file), 0);
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
    return remove(path);
}

int main(void)
{
    const char *version;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_shortened_in_one_batch),
        cmocka_unit_test(test_what_was_written_is_sound),
        cmocka_unit_test(test_V04_a_damaged_file),
        cmocka_unit_test(test_V04_what_is_out_of_order),
    };
    if (!p2p__store_version(&version))
        return 0; /* built without */
    return cmocka_run_group_tests(tests, setup, teardown);
}
