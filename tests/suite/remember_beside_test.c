/* What a host remembers is committed beside its loop: a disk that takes its time holds up nobody,
 * one commit is under way at a time, and what happens meanwhile is not lost. */
#include "tests/store_folder.h"

#include <stdatomic.h>

#include <p2p/peerstore.h>

#include "host/host.h"

/* A disk that waits to be told. */
struct disk {
    const struct store_ops *real;
    uv_sem_t go;
    atomic_int begun, ended, under_way, at_once_max;
    atomic_int code; /* returned instead of writing */
};

static struct disk disk;
static struct store_ops watched;

static int commit(struct store *store, const struct store_batch *batch)
{
    int now = atomic_fetch_add(&disk.under_way, 1) + 1;
    if (now > atomic_load(&disk.at_once_max))
        atomic_store(&disk.at_once_max, now);
    atomic_fetch_add(&disk.begun, 1);
    uv_sem_wait(&disk.go);
    int rc = atomic_exchange(&disk.code, 0);
    if (rc == 0)
        rc = disk.real->commit(store, batch);
    else
        snprintf(store->why, sizeof(store->why), "the disk said no");
    atomic_fetch_sub(&disk.under_way, 1);
    atomic_fetch_add(&disk.ended, 1);
    return rc;
}

static p2p_host *begin(struct world *world)
{
    const char *const options[] = {option, NULL};
    if (!has_files())
        skip();
    world_init(world, WORLD_UV, 1, true);
    p2p_host *host = world_host(world, options);
    struct store *store = host->remember.store;
    assert_non_null(store);
    memset(&disk, 0, sizeof(disk));
    assert_int_equal(uv_sem_init(&disk.go, 0), 0);
    disk.real = store->ops;
    watched = *store->ops;
    watched.commit = commit;
    store->ops = &watched;
    return host;
}

static void commit_soon(p2p_host *host)
{
    timer_set(&host->shard, &host->remember.timer, 1);
}

/* A commit that begins wakes no loop. */
static void until_begun(struct world *world, int count)
{
    for (int ms = 0; ms < 5000 && atomic_load(&disk.begun) < count; ms++)
        world_run(world, 1);
    assert_true(atomic_load(&disk.begun) >= count);
}

static bool is_saved(void *user)
{
    const p2p_host *host = user;
    return !host->remember.job && !host->remember.due;
}

static void note(p2p_host *host, int about, const char *text)
{
    p2p_key *key = world_key(50, about);
    assert_int_equal(p2p_host_note(host, p2p_key_peer_id(key), "n", text, strlen(text)), 0);
    p2p_key_free(key);
}

static void forget(p2p_host *host, int about)
{
    p2p_key *key = world_key(50, about);
    assert_int_equal(p2p_host_forget(host, p2p_key_peer_id(key)), 0);
    p2p_key_free(key);
}

/* NULL: nothing is known of that peer. */
static void check_noted(const p2p_host *host, int about, const char *text)
{
    p2p_key *key = world_key(50, about);
    size_t len = 0;
    const void *found = p2p_host_noted(host, p2p_key_peer_id(key), "n", &len);
    p2p_key_free(key);
    if (!text)
        assert_null(found);
    else
        assert_true(found && len == strlen(text) && memcmp(found, text, len) == 0);
}

/* Which peer has which note after a restart. */
static void end(struct world *slow, const char *const *texts, int count)
{
    struct world world;
    const char *const options[] = {option, NULL};
    world_fini(slow);
    assert_int_equal(atomic_load(&disk.ended), atomic_load(&disk.begun));
    assert_int_equal(atomic_load(&disk.at_once_max), 1);
    uv_sem_destroy(&disk.go);
    world_init(&world, WORLD_UV, 1, true);
    p2p_host *host = world_host(&world, options);
    assert_non_null(host->remember.store);
    for (int i = 0; i < count; i++)
        check_noted(host, i, texts[i]);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static void test_the_loop_goes_on(void **state)
{
    (void)state;
    struct world world;
    char addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_host *host = begin(&world), *other = world_host(&world, NULL);
    note(host, 0, "a");
    note(host, 1, "b");
    commit_soon(host);
    until_begun(&world, 1);
    /* Served while the disk waits; changed, forgotten and new meanwhile. */
    assert_int_equal(connect_to(&world, other, world_addr(host, addr, sizeof addr)), 0);
    forget(host, 0);
    note(host, 1, "c");
    note(host, 2, "d");
    commit_soon(host);
    world_run(&world, 50);
    assert_int_equal(atomic_load(&disk.begun), 1);
    uv_sem_post(&disk.go);
    until_begun(&world, 2); /* by itself: there is more */
    uv_sem_post(&disk.go);
    assert_true(world_until(&world, is_saved, host, 5000));
    for (int i = 0; i < 10; i++)
        uv_sem_post(&disk.go); /* whatever the end still commits */
    static const char *const left[] = {NULL, "c", "d"};
    end(&world, left, 3);
}

static void test_a_commit_that_failed_is_repeated_with_what_came_since(void **state)
{
    (void)state;
    struct world world;
    p2p_host *host = begin(&world);
    for (int i = 0; i < 4; i++)
        note(host, i, "old");
    uv_sem_post(&disk.go);
    commit_soon(host);
    until_begun(&world, 1);
    assert_true(world_until(&world, is_saved, host, 5000));
    forget(host, 0); /* a deletion under way */
    note(host, 1, "new");
    note(host, 2, "new");
    atomic_store(&disk.code, P2P_EWRITE);
    commit_soon(host);
    until_begun(&world, 2);
    note(host, 0, "again"); /* the deletion must not come after it */
    note(host, 1, "newest");
    forget(host, 3); /* a deletion since */
    uv_sem_post(&disk.go);
    for (int i = 0; i < 10; i++)
        uv_sem_post(&disk.go);
    world_run(&world, 50);
    assert_true(host->remember.failing);
    commit_soon(host);
    until_begun(&world, 3);
    static const char *const left[] = {"again", "newest", "new", NULL};
    end(&world, left, 4);
}

/* Closing waits for the disk, without holding up the loop. */
static void test_closing_waits(void **state)
{
    (void)state;
    struct world world;
    struct flag closed = {false, 0};
    p2p_host *host = begin(&world);
    note(host, 0, "a");
    commit_soon(host);
    until_begun(&world, 1);
    note(host, 1, "b");
    p2p_host_close(host, on_done, &closed);
    world.host[0] = NULL;
    world_run(&world, 50);
    assert_false(closed.done);
    uv_sem_post(&disk.go);
    until_begun(&world, 2); /* the last one */
    world_run(&world, 50);
    assert_false(closed.done);
    uv_sem_post(&disk.go);
    assert_true(world_until(&world, is_done, &closed, 5000));
    static const char *const left[] = {"a", "b"};
    end(&world, left, 2);
}

/* A disk that refuses the last one too does not keep the host from closing. */
static void test_closing_ends_though_the_disk_says_no(void **state)
{
    (void)state;
    struct world world;
    p2p_host *host = begin(&world);
    note(host, 0, "a");
    atomic_store(&disk.code, P2P_EWRITE);
    uv_sem_post(&disk.go);
    close_host(&world, 0);
    assert_int_equal(atomic_load(&disk.begun), 1);
    static const char *const left[] = {NULL};
    end(&world, left, 1);
}

static int no_thread(struct p2p_io *io, void (*run)(void *user), void *user, struct io_job **out)
{
    (void)io, (void)run, (void)user, (void)out;
    return P2P_ELIMIT;
}

static void test_without_a_thread_it_is_saved_all_the_same(void **state)
{
    (void)state;
    struct world world;
    p2p_host *host = begin(&world);
    struct io_ops ops = *host->shard.io->ops;
    ops.job = no_thread;
    host->shard.io->ops = &ops;
    note(host, 0, "a");
    uv_sem_post(&disk.go);
    commit_soon(host);
    world_run(&world, 50);
    assert_int_equal(atomic_load(&disk.ended), 1);
    note(host, 1, "b");
    uv_sem_post(&disk.go);
    close_host(&world, 0);
    static const char *const left[] = {"a", "b"};
    end(&world, left, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loop_goes_on),
        cmocka_unit_test(test_a_commit_that_failed_is_repeated_with_what_came_since),
        cmocka_unit_test(test_closing_waits),
        cmocka_unit_test(test_closing_ends_though_the_disk_says_no),
        cmocka_unit_test(test_without_a_thread_it_is_saved_all_the_same),
    };
    return cmocka_run_group_tests_name("suite/remember_beside", tests, store_folder_setup,
                                       store_folder_teardown);
}
