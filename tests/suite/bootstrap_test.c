/* How a host finds its network again: the option "bootstrap", and who stayed. */
#include "tests/test.h"

#include <p2p/peerstore.h>

#include "host/host.h"
#include "tests/store_folder.h"

enum { HOSTS = 6 };

struct party {
    struct world world;
    p2p_host *peer[HOSTS];
    char addr[HOSTS][P2P_MULTIADDR_TEXT_MAX];
};

static void party_init(struct party *self)
{
    world_init(&self->world, WORLD_SIM, 5, false);
    for (int i = 0; i < HOSTS; i++) {
        self->peer[i] = world_host(&self->world, NULL);
        world_addr(self->peer[i], self->addr[i], sizeof(self->addr[i]));
    }
}

static bool is_with(const struct party *self, const p2p_host *host, int peer)
{
    return p2p_host_conn(host, p2p_host_peer(self->peer[peer])) != NULL;
}

static size_t conns(const p2p_host *host)
{
    size_t count = 0;
    while (p2p_host_conn_at(host, count))
        count++;
    return count;
}

static p2p_host *bootstrapped(struct party *self, const char *targets)
{
    char list[P2P_OPTION_VALUE_MAX + 16];
    const char *const options[] = {list, option, NULL};
    assert_true(snprintf(list, sizeof list, "bootstrap=%s", targets) < (int)sizeof list);
    return world_host(&self->world, options);
}

/* By itself, as many as are enough and no more, and again when they have gone. */
static void test_dials_until_there_are_enough(void **state)
{
    (void)state;
    struct party p;
    char all[P2P_OPTION_VALUE_MAX] = "";
    party_init(&p);
    for (int i = 0; i < HOSTS; i++) {
        size_t used = strlen(all);
        int added = snprintf(all + used, sizeof all - used, "%s%s", i ? "," : "", p.addr[i]);
        assert_true(added < (int)(sizeof all - used));
    }
    p2p_host *a = bootstrapped(&p, all);
    world_run(&p.world, 1000);
    assert_int_equal(conns(a), BOOTSTRAP_ENOUGH);
    world_run(&p.world, BOOTSTRAP_LOOK_US / 1000 * 3);
    assert_int_equal(conns(a), BOOTSTRAP_ENOUGH);
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(p2p_host_is_bootstrap(a, p2p_host_peer(p.peer[i])), 1);
    p2p_conn_close(p2p_host_conn_at(a, 0));
    world_run(&p.world, BOOTSTRAP_LOOK_US / 1000 * 2);
    assert_int_equal(conns(a), BOOTSTRAP_ENOUGH);
    world_fini(&p.world);
    (void)unlink(file);
}

static void test_a_name_of_nobody_is_refused(void **state)
{
    (void)state;
    struct party p;
    party_init(&p);
    p2p_config *config = p2p_config_new();
    p2p_host *host;
    p2p_error *err;
    char why[256];
    assert_int_equal(p2p_config_set(config, "bootstrap", "/ip4/192.0.2.1/tcp/1", why, sizeof(why)),
                     0);
    p2p_io *io = p2p_sim_host(p.world.sim, NULL, 0);
    assert_int_equal(p2p_host_new(config, io, &host, &err), P2P_EADDR);
    assert_non_null(strstr(err->message, "option bootstrap: /ip4/192.0.2.1/tcp/1: "));
    p2p_error_free(err);
    p2p_io_free(io);
    p2p_config_free(config);
    world_fini(&p.world);
}

static p2p_peer_id stranger(int number)
{
    p2p_key *key = world_key(77, number);
    p2p_peer_id id = *p2p_key_peer_id(key);
    p2p_key_free(key);
    return id;
}

/* The one that is configured is gone after a restart; who stayed is dialed, also after a flood of
 * peers that told of themselves. Who came to us, or left soon, is not. */
static void test_those_that_stayed_are_dialed_after_a_restart(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct party p;
    char addr[P2P_MULTIADDR_TEXT_MAX];
    party_init(&p);
    p2p_host *a = bootstrapped(&p, p.addr[0]);
    assert_non_null(p2p_host_connect(a, p.addr[1], NULL, NULL, NULL));
    world_addr(a, addr, sizeof addr);
    assert_non_null(p2p_host_connect(p.peer[2], addr, NULL, NULL, NULL));
    world_run(&p.world, BOOTSTRAP_LOOK_US / 1000 * 3);
    assert_non_null(p2p_host_connect(a, p.addr[3], NULL, NULL, NULL));
    world_run(&p.world, 500);
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(p.peer[3])));
    world_run(&p.world, BOOTSTRAP_LOOK_US / 1000 * 3);
    static const int stayed[] = {1, 1, 0, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(p2p_host_is_bootstrap(a, p2p_host_peer(p.peer[i])), stayed[i]);
    p2p_conn_close(p2p_host_conn(a, p2p_host_peer(p.peer[1])));
    world_run(&p.world, 100); /* the next look brings it back */
    assert_false(is_with(&p, a, 1));
    p2p_multiaddr told;
    assert_int_equal(p2p_multiaddr_parse("/ip4/192.0.2.7/tcp/7", &told), 0);
    const struct p2p__const_iov iov = {told.bytes, told.len};
    for (int i = 0; i < REMEMBER_LEARNED_PEERS + 10; i++) {
        p2p_peer_id id = stranger(i);
        assert_non_null(p2p__peer_get(a, &id));
        p2p__peer_learn(a, &id, true, 1, &iov, 1);
    }
    close_host(&p.world, HOSTS);
    close_host(&p.world, 0);

    a = bootstrapped(&p, p.addr[0]);
    world_run(&p.world, 30000);
    assert_true(is_with(&p, a, 1));
    assert_false(is_with(&p, a, 2));
    assert_false(is_with(&p, a, 3));
    assert_int_equal(p2p_host_forget(a, p2p_host_peer(p.peer[1])), 0);
    assert_int_equal(p2p_host_is_bootstrap(a, p2p_host_peer(p.peer[1])), 0);
    world_fini(&p.world);
    assert_int_equal(unlink(file), 0);
}

/* The list is full: the one that was seen longest ago makes room. */
static void test_the_list_has_an_end(void **state)
{
    (void)state;
    struct party p;
    p2p_multiaddr addr;
    party_init(&p);
    p2p_host *a = bootstrapped(&p, p.addr[0]);
    assert_int_equal(p2p_multiaddr_parse("/ip4/192.0.2.7/tcp/7", &addr), 0);
    for (int i = 0; i < BOOTSTRAP_LEARNED_MAX; i++) {
        p2p_peer_id id = stranger(i);
        assert_int_equal(p2p_host_add_addr(a, &id, &addr, -1), 0);
        p2p__peer_find(a, &id)->lasted_s = i == 5 ? 1 : 2;
    }
    world_run(&p.world, BOOTSTRAP_LOOK_US / 1000 * 3);
    assert_int_equal(p2p_host_is_bootstrap(a, p2p_host_peer(p.peer[0])), 1);
    assert_true(p2p__peer_find(a, p2p_host_peer(p.peer[0]))->lasted_s > 2);
    for (int i = 0; i < BOOTSTRAP_LEARNED_MAX; i++) {
        p2p_peer_id id = stranger(i);
        assert_int_equal(p2p_host_is_bootstrap(a, &id), i != 5);
    }
    world_fini(&p.world);
    (void)unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dials_until_there_are_enough),
        cmocka_unit_test(test_a_name_of_nobody_is_refused),
        cmocka_unit_test(test_those_that_stayed_are_dialed_after_a_restart),
        cmocka_unit_test(test_the_list_has_an_end),
    };
    return cmocka_run_group_tests(tests, store_folder_setup, store_folder_teardown);
}
