/* V01 with a whole host: killed at any moment, in the middle of a commit too, it knows at the next
 * start what had been committed. */
#include "tests/store_folder.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <p2p/peerstore.h>

#include "host/host.h"

enum { ROUNDS = 200 };

struct said {
    uint32_t number;
    bool committed; /* else the commit begins */
};

static const struct store_ops *real;
static int to_parent;
static uint32_t number;

static void say(bool committed)
{
    const struct said said = {number, committed};
    if (write(to_parent, &said, sizeof(said)) != (ssize_t)sizeof(said))
        _exit(3);
}

static int commit(struct store *store, const struct store_batch *batch)
{
    say(false);
    int rc = real->commit(store, batch);
    if (rc != 0)
        _exit(4);
    say(true);
    return rc;
}

static bool is_saved(void *user)
{
    const p2p_host *host = user;
    return !host->remember.job && !host->remember.due;
}

/* Notes higher and higher numbers, each in a commit of its own, until it is killed. */
static void child(int fd, const p2p_peer_id *about, uint32_t from)
{
    static struct store_ops watched;
    struct world world;
    const char *const options[] = {option, NULL};
    to_parent = fd;
    world_init(&world, WORLD_UV, 1, true);
    p2p_host *host = world_host(&world, options);
    struct store *store = host->remember.store;
    if (!store)
        _exit(2);
    real = store->ops;
    watched = *real;
    watched.commit = commit;
    store->ops = &watched;
    for (number = from;; number++) {
        if (p2p_host_note(host, about, "n", &number, sizeof(number)) < 0)
            _exit(5);
        timer_set(&host->shard, &host->remember.timer, 1); /* not after a second: now */
        if (!world_until(&world, is_saved, host, 5000))
            _exit(6);
    }
}

/* The highest number that was committed; the child is killed after so many begun commits and so
 * many microseconds. */
static uint32_t kill_round(const p2p_peer_id *about, uint32_t from, unsigned begun, unsigned us)
{
    int fds[2], status;
    struct said said;
    uint32_t committed = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child(fds[1], about, from);
    }
    assert_int_equal(close(fds[1]), 0);
    while (read(fds[0], &said, sizeof(said)) == (ssize_t)sizeof(said)) {
        if (said.committed)
            committed = said.number;
        else if (begun && --begun == 0) {
            (void)usleep(us);
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
    }
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return committed;
}

static uint32_t noted(const p2p_peer_id *about)
{
    struct world world;
    const char *const options[] = {option, NULL};
    size_t len;
    uint32_t value = 0;
    world_init(&world, WORLD_UV, 1, true);
    p2p_host *host = world_host(&world, options);
    assert_non_null(host->remember.store);
    const void *bytes = p2p_host_noted(host, about, "n", &len);
    if (bytes) {
        assert_int_equal(len, sizeof(value));
        memcpy(&value, bytes, sizeof(value));
    }
    world_fini(&world);
    return value;
}

static void test_V01_a_host_killed_at_any_moment(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    p2p_key *key = world_key(9, 9);
    const p2p_peer_id about = *p2p_key_peer_id(key);
    uint32_t at = 0;
    p2p_key_free(key);
    srand(1);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned begun = 1 + (unsigned)rand() % 8, us = (unsigned)rand() % 1500;
        uint32_t committed = kill_round(&about, at + 1, begun, us);
        uint32_t found = noted(&about);
        /* At most what was being committed came on top. */
        if (found < (committed ? committed : at))
            fail_msg("round %d (%u commits, %u us): committed %u, found %u", i, begun, us,
                     committed, found);
        at = found;
    }
    assert_true(at > ROUNDS);
    assert_int_equal(unlink(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_V01_a_host_killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, store_folder_setup, store_folder_teardown);
}
