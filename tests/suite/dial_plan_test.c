/* Which of a peer's addresses are tried, and when; in the simulator, where networks can be silent
 * and time is exact. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

struct outcome {
    int calls, code, attempts;
    char message[600];
};

static void on_done(void *user, const p2p_error *why)
{
    struct outcome *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
    self->attempts = why ? (int)why->attempt_count : 0;
    snprintf(self->message, sizeof(self->message), "%s", why ? why->message : "");
}

static bool called(void *user)
{
    return ((struct outcome *)user)->calls > 0;
}

static const char *text_of(const p2p_host *host)
{
    static char text[P2P_PEER_ID_TEXT_MAX];
    assert_true(p2p_peer_id_format(p2p_host_peer(host), text, sizeof(text)) > 0);
    return text;
}

/* Dials; how long it took. */
static uint64_t dial(struct world *world, p2p_host *from, const char *target, int timeout_ms,
                     struct outcome *out)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = timeout_ms;
    *out = (struct outcome){0};
    uint64_t begin = p2p_sim_now_us(world->sim);
    assert_non_null(p2p_host_connect(from, target, &opts, on_done, out));
    assert_true(world_until(world, called, out, 60000));
    return p2p_sim_now_us(world->sim) - begin;
}

static void know(p2p_host *host, const p2p_host *peer, const char *text)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    assert_int_equal(p2p_host_add_addr(host, p2p_host_peer(peer), &addr, -1), 0);
}

/* A host at a public address, too. */
static p2p_host *public_host(struct world *world, const char *ip)
{
    char text[80];
    p2p_multiaddr addr;
    p2p_host *host = world_host(world, NULL);
    snprintf(text, sizeof(text), "/ip%c/%s/tcp/4001", strchr(ip, ':') ? '6' : '4', ip);
    assert_int_equal(p2p_sim_add_address(world->io[world->count - 1], ip), 0);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    assert_int_equal(p2p_host_listen(host, &addr, NULL), 0);
    return host;
}

static void test_public_addresses_a_quarter_second_apart(void **state)
{
    struct world world;
    struct outcome out;
    char target[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = public_host(&world, "8.8.0.1"), *b = public_host(&world, "8.8.0.2");
    assert_int_equal(p2p_sim_add_address(world.io[0], "2600::aa"), 0);
    know(a, b, "/ip6/2600::99/tcp/4001"); /* silent */
    snprintf(target, sizeof(target), "/ip4/8.8.0.2/tcp/4001/p2p/%s", text_of(b));
    uint64_t us = dial(&world, a, target, 0, &out);
    assert_int_equal(out.code, 0);
    assert_int_equal(us, 350000); /* and two round trips of 50 ms */
    world_fini(&world);
}

static void test_this_network_is_tried_beside_the_internet(void **state)
{
    struct world world;
    struct outcome out;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = public_host(&world, "8.8.0.1"), *b = public_host(&world, "8.8.0.2");
    for (int i = 1; i < 5; i++) {
        char silent[64];
        snprintf(silent, sizeof(silent), "/ip4/192.168.0.%d/tcp/1", i);
        know(a, b, silent);
    }
    know(a, b, "/ip4/8.8.0.2/tcp/4001");
    assert_int_equal(dial(&world, a, text_of(b), 0, &out), 100000);
    assert_int_equal(out.code, 0);
    world_fini(&world);
}

static void test_all_addresses_are_tried_eight_at_a_time(void **state)
{
    struct world world;
    struct outcome out;
    char addr[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, addr, sizeof(addr));
    *strstr(addr, "/p2p/") = '\0';
    know(a, b, addr); /* the first one known is the last one tried: the list grows at its front */
    for (int i = 1; i < 40; i++) {
        char silent[64];
        snprintf(silent, sizeof(silent), "/ip4/10.250.250.%d/tcp/1", i);
        know(a, b, silent);
    }
    dial(&world, a, text_of(b), 5000, &out);
    assert_int_equal(out.code, P2P_ETIMEDOUT);
    assert_int_equal(out.attempts, 8);
    world_fini(&world);
}

static void test_what_failed_lately_is_not_tried_unless_asked_for(void **state)
{
    struct world world;
    struct outcome out;
    char gone[100], target[300];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    world_addr(b, target, sizeof(target));
    snprintf(gone, sizeof(gone), "%.*s/tcp/1", (int)(strstr(target, "/tcp/") - target), target);
    know(a, b, gone);
    dial(&world, a, text_of(b), 0, &out);
    assert_int_equal(out.code, P2P_ECONN);
    assert_non_null(strstr(out.message, "refused"));
    assert_int_equal(dial(&world, a, text_of(b), 0, &out), 0);
    assert_int_equal(out.code, P2P_ECONN);
    assert_non_null(strstr(out.message, gone));
    assert_non_null(strstr(out.message, "failed lately"));
    snprintf(target, sizeof(target), "%s/p2p/%s", gone, text_of(b));
    dial(&world, a, target, 0, &out);
    assert_non_null(strstr(out.message, "refused"));
    world_run(&world, 9900); /* the second failure counts twice */
    dial(&world, a, text_of(b), 0, &out);
    assert_non_null(strstr(out.message, "failed lately"));
    world_run(&world, 200);
    dial(&world, a, text_of(b), 0, &out);
    assert_non_null(strstr(out.message, "refused"));
    world_fini(&world);
}

/* A network without IPv6: after some dials it costs nothing any more. */
static void test_a_network_that_swallows_ipv6(void **state)
{
    struct world world;
    struct outcome out;
    world_init(&world, kind_of(state), 1, true);
    p2p_host *a = public_host(&world, "8.8.0.1");
    uint64_t first_us = 0, last_us = 0;
    assert_int_equal(p2p_sim_add_address(world.io[0], "2600::aa"), 0);
    for (int i = 0; i < 24; i++) {
        char ip[32], text[64];
        snprintf(ip, sizeof(ip), "8.8.1.%d", i + 1);
        p2p_host *b = public_host(&world, ip);
        snprintf(text, sizeof(text), "/ip4/%s/tcp/4001", ip);
        know(a, b, text);
        snprintf(text, sizeof(text), "/ip6/2600::%d/tcp/4001", i + 1);
        know(a, b, text);
        last_us = dial(&world, a, text_of(b), 0, &out);
        assert_int_equal(out.code, 0);
        if (i == 0)
            first_us = last_us;
    }
    assert_int_equal(first_us, 350000);
    assert_int_equal(last_us, 100000);
    world_fini(&world);
}

static void test_both_sides_of_the_limit_of_dials(void **state)
{
    static const char *const options[] = {"dials=4", NULL};
    struct world world;
    struct outcome silent[4] = {0}, out = {0};
    char target[300], addr[300];
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    opts.timeout_ms = 3000;
    for (int before = 3; before <= 4; before++) {
        world_init(&world, kind_of(state), 1, false);
        p2p_host *a = world_host(&world, options), *b = world_host(&world, NULL);
        world_addr(b, addr, sizeof(addr));
        for (int i = 0; i < before; i++) {
            p2p_key *key = world_key(77, i + 1);
            char peer[P2P_PEER_ID_TEXT_MAX];
            p2p_peer_id_format(p2p_key_peer_id(key), peer, sizeof(peer));
            p2p_key_free(key);
            snprintf(target, sizeof(target), "/ip4/10.250.250.%d/tcp/1/p2p/%s", i + 1, peer);
            silent[i] = (struct outcome){0};
            assert_non_null(p2p_host_connect(a, target, &opts, on_done, &silent[i]));
        }
        uint64_t us = dial(&world, a, addr, 0, &out);
        assert_int_equal(out.code, 0);
        assert_int_equal(us, before == 3 ? 100000 : 3100000);
        world_fini(&world);
    }
}

static void addrs_of(const p2p_conn *conn, p2p_multiaddr *local, p2p_multiaddr *remote)
{
    p2p_conn_local_addr(conn, local);
    p2p_conn_remote_addr(conn, remote);
}

/* When both dial, both sides prefer the same one of the two connections. */
static void test_both_sides_settle_on_one_connection(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world world;
        struct outcome out[2] = {0};
        char addr[2][300];
        p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
        opts.flags = P2P_DIAL_NO_REUSE_PORT;
        world_init(&world, kind_of(state), seed, false);
        p2p_host *host[2] = {world_host(&world, NULL), world_host(&world, NULL)};
        for (int i = 0; i < 2; i++)
            p2p_host_connect(host[i], world_addr(host[!i], addr[i], sizeof(addr[i])), &opts,
                             on_done, &out[i]);
        world_run(&world, 1000);
        assert_non_null(p2p_host_conn_at(host[0], 1)); /* there are two */
        p2p_multiaddr local[2], remote[2];
        for (int i = 0; i < 2; i++)
            addrs_of(p2p_host_conn(host[i], p2p_host_peer(host[!i])), &local[i], &remote[i]);
        assert_int_equal(local[0].len, remote[1].len);
        assert_memory_equal(local[0].bytes, remote[1].bytes, local[0].len);
        assert_int_equal(local[1].len, remote[0].len);
        assert_memory_equal(local[1].bytes, remote[0].bytes, local[1].len);
        world_fini(&world);
    }
}

#define SIM_ONLY(test)                                                                             \
    {                                                                                              \
#test "/sim", test, NULL, NULL, (void *)WORLD_SIM                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_ONLY(test_public_addresses_a_quarter_second_apart),
        SIM_ONLY(test_this_network_is_tried_beside_the_internet),
        SIM_ONLY(test_all_addresses_are_tried_eight_at_a_time),
        SIM_ONLY(test_what_failed_lately_is_not_tried_unless_asked_for),
        SIM_ONLY(test_a_network_that_swallows_ipv6),
        SIM_ONLY(test_both_sides_of_the_limit_of_dials),
        SIM_ONLY(test_both_sides_settle_on_one_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
