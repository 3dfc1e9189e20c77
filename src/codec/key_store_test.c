/* Saving where the system has no unnamed files, or the filesystem no links: the same source, built
 * without them. The usual way is tested in key_file_test.c. */
#define _GNU_SOURCE
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#undef O_TMPFILE

static bool links_refused;

static int link_or_not(const char *from, const char *to)
{
    if (links_refused) {
        errno = EPERM;
        return -1;
    }
    return link(from, to);
}

#define link         link_or_not
#define p2p_key_load load_here
#define p2p_key_save save_here
#include "codec/key_store.c"

static void expect_only(const char *folder, const char *name)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            assert_string_equal(entry->d_name, name);
            count++;
        }
    }
    closedir(dir);
    assert_int_equal(count, 1);
}

static void test_without_unnamed_files_and_without_links(void **state)
{
    (void)state;
    char folder[] = "/tmp/p2p-key-test-XXXXXX";
    char path[128];
    char why[256];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    p2p_key *key = NULL;
    p2p_key *again = NULL;
    assert_int_equal(p2p_key_generate(P2P_KEY_ED25519, &key), P2P_OK);
    for (int round = 0; round < 2; round++) {
        links_refused = round == 1;
        assert_int_equal(save_here(key, path, why, sizeof why), P2P_OK);
        expect_only(folder, "identity.key");
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
        assert_int_equal(load_here(path, &again, why, sizeof why), P2P_OK);
        assert_true(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(again)));
        p2p_key_free(again);

        /* Somebody else was faster, after the look at whether it is there. */
        static const uint8_t OTHER[] = "other";
        assert_int_equal(save_named(path, OTHER, sizeof OTHER), -EEXIST);
        expect_only(folder, "identity.key");
        assert_int_equal(load_here(path, &again, why, sizeof why), P2P_OK);
        p2p_key_free(again);
        assert_int_equal(save_here(key, path, why, sizeof why), P2P_EEXIST);
        assert_int_equal(unlink(path), 0);
    }
    p2p_key_free(key);
    assert_int_equal(rmdir(folder), 0);
}

static void test_the_folder_of_a_path(void **state)
{
    (void)state;
    static const char *const PAIRS[][2] = {
        {"key", "."}, {"/key", "/"}, {"a/key", "a"}, {"/a/b/key", "/a/b"}};
    for (size_t i = 0; i < 4; i++) {
        char *folder = directory_of(PAIRS[i][0]);
        assert_string_equal(folder, PAIRS[i][1]);
        p2p__free(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_unnamed_files_and_without_links),
        cmocka_unit_test(test_the_folder_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
