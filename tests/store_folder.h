/* A folder with a store's file, for the tests of what a host remembers, and what they all do. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H

#include "tests/test.h"

#include <unistd.h>

#include "store/store.h"
#include "tests/world.h"

static char store_folder[] = "/tmp/p2p-store-XXXXXX";
static char file[64], option[80]; /* the file, and "store=" with it */

static inline int store_folder_setup(void **state)
{
    (void)state;
    if (!mkdtemp(store_folder))
        return -1;
    snprintf(file, sizeof file, "%s/store", store_folder);
    snprintf(option, sizeof option, "store=%s", file);
    return 0;
}

static inline int store_folder_teardown(void **state)
{
    (void)state;
    return rmdir(store_folder);
}

static inline bool has_files(void)
{
    const char *version;
    return p2p__store_version(&version) != NULL;
}

struct flag {
    bool done;
    int code;
};

static inline void on_done(void *user, const p2p_error *why)
{
    struct flag *flag = user;
    flag->done = true;
    flag->code = why ? why->code : 0;
}

static inline bool is_done(void *user)
{
    return ((struct flag *)user)->done;
}

static inline int connect_to(struct world *world, p2p_host *host, const char *target)
{
    struct flag flag = {false, 0};
    assert_non_null(p2p_host_connect(host, target, NULL, on_done, &flag));
    assert_true(world_until(world, is_done, &flag, 20000));
    return flag.code;
}

static inline void close_host(struct world *world, int index)
{
    struct flag flag = {false, 0};
    p2p_host_close(world->host[index], on_done, &flag);
    assert_true(world_until(world, is_done, &flag, 5000));
    world->host[index] = NULL;
}

#endif
