/* What a host remembers of its peers, in both worlds. */
#include "tests/test.h"

#include <p2p/identify.h>
#include <sys/stat.h>

#include "host/host.h"
#include "tests/store_folder.h"

#include <p2p/manager.h>

static bool knows_one(void *user)
{
    p2p_peer_id id;
    return p2p_host_known_peer(user, 0, &id) == 0;
}

static struct addr_text {
    char text[P2P_MULTIADDR_TEXT_MAX];
} known_addr(const p2p_host *host, const p2p_peer_id *peer, size_t index)
{
    struct addr_text out = {""};
    p2p_multiaddr addr;
    if (p2p_host_known_addr(host, peer, index, &addr) == 0)
        assert_true(p2p_multiaddr_format(&addr, out.text, sizeof(out.text)) > 0);
    return out;
}

static void remembers(enum world_kind kind)
{
    struct world world;
    p2p_peer_id id;
    char addr[P2P_MULTIADDR_TEXT_MAX], peer[P2P_PEER_ID_TEXT_MAX];
    world_init(&world, kind, 1, false);
    const char *const options[] = {option, NULL};
    p2p_host *b = world_host(&world, NULL);
    p2p_host *a = world_host(&world, options);
    const p2p_peer_id first = *p2p_host_peer(a);
    assert_int_equal(connect_to(&world, a, world_addr(b, addr, sizeof addr)), 0);
    assert_true(world_until(&world, knows_one, a, 5000));
    /* b has no store: it remembers from the end of the connection on. */
    assert_int_equal(p2p_host_known_peer(b, 0, &id), P2P_ENOENT);
    close_host(&world, 1);
    assert_true(world_until(&world, knows_one, b, 5000));
    assert_int_equal(p2p_host_known_peer(b, 0, &id), 0);
    assert_true(p2p_peer_id_equal(&id, &first));

    /* Another host on the same store. */
    p2p_host *c = world_host(&world, options);
    assert_int_equal(p2p_host_known_peer(c, 0, &id), 0);
    assert_true(p2p_peer_id_equal(&id, p2p_host_peer(b)));
    assert_int_equal(p2p_host_known_peer(c, 1, &id), P2P_ENOENT);
    *strstr(addr, "/p2p/") = '\0';
    assert_string_equal(known_addr(c, p2p_host_peer(b), 0).text, addr);
    assert_true(p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer)) > 0);
    assert_int_equal(connect_to(&world, c, peer), 0);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static void test_remembers_uv(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    remembers(WORLD_UV);
}

static void test_remembers_sim(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    remembers(WORLD_SIM);
}

/* ---- one host, and what it is told ---- */

static p2p_host *open_host(struct world *world)
{
    const char *const options[] = {option, NULL};
    world_init(world, WORLD_SIM, 3, true);
    return world_host(world, options);
}

static p2p_multiaddr addr_of(int number)
{
    char text[64];
    p2p_multiaddr addr;
    snprintf(text, sizeof text, "/ip4/192.0.2.%d/tcp/%d", number % 250 + 1, number / 250 + 1);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return addr;
}

static p2p_peer_id peer_of(int number)
{
    p2p_key *key = world_key(77, number);
    p2p_peer_id id = *p2p_key_peer_id(key);
    p2p_key_free(key);
    return id;
}

static void learn(p2p_host *host, const p2p_peer_id *id, bool is_signed, uint64_t seq, int first,
                  int count)
{
    static p2p_multiaddr addrs[200];
    static struct p2p__const_iov iov[200];
    for (int i = 0; i < count; i++) {
        addrs[i] = addr_of(first + i);
        iov[i] = (struct p2p__const_iov){addrs[i].bytes, addrs[i].len};
    }
    assert_non_null(p2p__peer_get(host, id));
    p2p__peer_learn(host, id, is_signed, seq, iov, (size_t)count);
}

static size_t count_addrs(const p2p_host *host, const p2p_peer_id *id)
{
    size_t n = 0;
    while (known_addr(host, id, n).text[0])
        n++;
    return n;
}

static void test_newer_records_win_also_after_a_restart(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    p2p_host *host = open_host(&world);
    p2p_peer_id id = peer_of(1);
    learn(host, &id, false, 0, 10, 1);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.11/tcp/1");
    learn(host, &id, true, 7, 20, 1);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.21/tcp/1");
    assert_int_equal(count_addrs(host, &id), 1);
    learn(host, &id, true, 6, 30, 1);
    learn(host, &id, false, 0, 40, 1);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.21/tcp/1");
    world_fini(&world);

    host = open_host(&world);
    learn(host, &id, true, 6, 50, 1);
    learn(host, &id, false, 0, 50, 1);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.21/tcp/1");
    learn(host, &id, true, 8, 60, 1);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.61/tcp/1");
    assert_int_equal(count_addrs(host, &id), 1);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static void test_what_the_application_said_stays(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    p2p_host *host = open_host(&world);
    p2p_peer_id id = peer_of(1), brief = peer_of(2);
    p2p_multiaddr addr = addr_of(5), other = addr_of(6);
    assert_int_equal(p2p_host_add_addr(host, &id, &addr, -1), 0);
    assert_int_equal(p2p_host_add_addr(host, &brief, &other, 2500), 0);
    learn(host, &id, true, 1, 5, 2);
    learn(host, &id, true, 2, 7, 1);
    assert_int_equal(count_addrs(host, &id), 2);
    learn(host, &id, true, 3, 0, 0);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/192.0.2.6/tcp/1");
    learn(host, &id, true, 4, 100, 100);
    assert_int_equal(count_addrs(host, &id), 1 + REMEMBER_LEARNED_MAX);
    world_run(&world, 1500); /* committed meanwhile, too */
    world_fini(&world);

    host = open_host(&world); /* its clock begins again, as wall time does in a simulation */
    assert_int_equal(count_addrs(host, &id), 1 + REMEMBER_LEARNED_MAX);
    assert_int_equal(count_addrs(host, &brief), 1);
    world_run(&world, 10000);
    assert_int_equal(count_addrs(host, &brief), 0);
    world_run(&world, REMEMBER_LEARNED_MS);
    assert_int_equal(count_addrs(host, &id), 1);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

/* A peer must not make us open sockets of this machine by name, nor send to groups. */
static void test_a_peer_names_only_ip_addresses(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    static const char *const told[] = {"/unix/%2Frun%2Fother.sock", "/memory/7",
                                       "/dns4/example.com/tcp/1",   "/ip4/224.0.0.1/tcp/1",
                                       "/ip4/0.0.0.0/tcp/1",        "/ip4/192.0.2.9/tcp/1",
                                       "/ip6/ff02::1/tcp/1",        "/ip4/10.0.0.1/tcp/1"};
    enum { COUNT = sizeof(told) / sizeof(*told) };
    struct world world;
    p2p_multiaddr addrs[COUNT];
    struct p2p__const_iov iov[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(p2p_multiaddr_parse(told[i], &addrs[i]), 0);
        iov[i] = (struct p2p__const_iov){addrs[i].bytes, addrs[i].len};
    }
    p2p_host *host = open_host(&world);
    p2p_peer_id id = peer_of(1);
    assert_non_null(p2p__peer_get(host, &id));
    p2p__peer_learn(host, &id, true, 1, iov, COUNT);
    assert_int_equal(count_addrs(host, &id), 2);
    assert_string_equal(known_addr(host, &id, 0).text, "/ip4/10.0.0.1/tcp/1");
    assert_string_equal(known_addr(host, &id, 1).text, "/ip4/192.0.2.9/tcp/1");
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static size_t taken_from(const char *ip, const char *peer_ip)
{
    static const char *const told[] = {"/ip4/127.0.0.1/tcp/1", "/ip4/10.1.1.1/tcp/1",
                                       "/ip4/169.254.1.1/tcp/1", "/ip4/192.0.2.9/tcp/1"};
    enum { COUNT = sizeof(told) / sizeof(*told) };
    const char *const options[] = {option, NULL};
    struct world world;
    char addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr addrs[COUNT];
    struct p2p__const_iov iov[COUNT];
    world_init(&world, ip ? WORLD_SIM : WORLD_UV, 3, true);
    world.ip = ip;
    p2p_host *host = world_host(&world, options);
    world.ip = peer_ip;
    p2p_host *peer = world_host(&world, NULL);
    assert_int_equal(connect_to(&world, host, world_addr(peer, addr, sizeof addr)), 0);
    world_run(&world, 500); /* identify is over */
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(p2p_multiaddr_parse(told[i], &addrs[i]), 0);
        iov[i] = (struct p2p__const_iov){addrs[i].bytes, addrs[i].len};
    }
    p2p__peer_learn(host, p2p_host_peer(peer), true, UINT64_MAX, iov, COUNT);
    size_t taken = count_addrs(host, p2p_host_peer(peer));
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
    return taken;
}

static void test_who_is_far_away_knows_nothing_of_what_is_near(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    assert_int_equal(taken_from("10.0.0.1", "198.51.100.2"), 1);
    assert_int_equal(taken_from("10.0.0.1", "10.0.0.2"), 3);
    assert_int_equal(taken_from(NULL, NULL), 4);
}

static void test_a_peer_whose_addresses_ran_out_is_not_known(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    p2p_host *host = open_host(&world);
    p2p_peer_id id = peer_of(1), found;
    p2p_multiaddr addr = addr_of(1);
    assert_int_equal(p2p_host_add_addr(host, &id, &addr, 1000), 0);
    assert_int_equal(p2p_host_known_peer(host, 0, &found), 0);
    world_run(&world, 1001);
    assert_int_equal(p2p_host_known_peer(host, 0, &found), P2P_ENOENT);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

/* The oldest of them are protected and kept: others make room. */
static void test_a_flood_takes_nobody_the_application_cares_for(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    char target[P2P_MULTIADDR_TEXT_MAX], name[P2P_PEER_ID_TEXT_MAX];
    p2p_host *host = open_host(&world);
    p2p_peer_id guarded = peer_of(1), kept = peer_of(2), other = peer_of(3);
    for (int i = 1; i <= REMEMBER_LEARNED_PEERS; i++) {
        p2p_peer_id id = peer_of(i);
        learn(host, &id, true, 1, 1, 1);
    }
    assert_int_equal(p2p_host_protect(host, &guarded, "x"), 0);
    assert_true(p2p_peer_id_format(&kept, name, sizeof(name)) > 0);
    snprintf(target, sizeof(target), "/ip4/192.0.2.1/tcp/1/p2p/%s", name);
    assert_int_equal(p2p_host_keep(host, target), 0);
    p2p_peer_id last = peer_of(REMEMBER_LEARNED_PEERS + 1);
    learn(host, &last, true, 1, 1, 1);
    assert_int_equal(count_addrs(host, &other), 0);
    assert_int_equal(count_addrs(host, &last), 1);
    assert_int_equal(p2p_host_is_protected(host, &guarded, "x"), 1);
    assert_int_equal(p2p_host_unkeep(host, &kept), 0);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

/* More peers than are kept tell of themselves: each new one displaces the oldest, and never what
 * the application said. */
static void test_a_flood_of_peers(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    struct world world;
    p2p_host *host = open_host(&world);
    p2p_peer_id mine = peer_of(0), last = peer_of(REMEMBER_LEARNED_PEERS + 1);
    p2p_multiaddr addr = addr_of(5);
    assert_int_equal(p2p_host_add_addr(host, &mine, &addr, -1), 0);
    for (int i = 1; i <= REMEMBER_LEARNED_PEERS; i++) {
        p2p_peer_id id = peer_of(i);
        learn(host, &id, true, 1, 1, 1);
    }
    p2p_peer_id first = peer_of(1), second = peer_of(2);
    assert_int_equal(count_addrs(host, &first), 1);
    learn(host, &last, true, 1, 1, 1);
    assert_int_equal(count_addrs(host, &first), 0);
    assert_int_equal(count_addrs(host, &second), 1);
    assert_int_equal(count_addrs(host, &last), 1);
    assert_int_equal(count_addrs(host, &mine), 1);
    world_fini(&world);
    host = open_host(&world);
    assert_int_equal(count_addrs(host, &first), 0);
    assert_int_equal(count_addrs(host, &second), 1);
    assert_int_equal(count_addrs(host, &last), 1);
    assert_int_equal(count_addrs(host, &mine), 1);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static char warning[512];

static void on_warning(p2p_host *host, const p2p_error *why, void *user)
{
    (void)host;
    (void)user;
    snprintf(warning, sizeof warning, "%s", why->message);
}

static bool warned(void *user)
{
    (void)user;
    return warning[0] != '\0';
}

/* The node serves on, and says which file it is. */
static void test_V04_a_damaged_store(void **state)
{
    (void)state;
    static const p2p_host_events events = {.size = sizeof(events), .on_warning = on_warning};
    struct world world;
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    for (int i = 0; i < 3000; i++)
        assert_true(fputs("damaged", out) >= 0);
    assert_int_equal(fclose(out), 0);
    p2p_host *host = open_host(&world);
    p2p_host_set_events(host, &events, NULL);
    warning[0] = '\0';
    assert_true(world_until(&world, warned, NULL, 1000));
    assert_non_null(strstr(warning, file));
    p2p_peer_id id = peer_of(1);
    p2p_multiaddr addr = addr_of(5);
    assert_int_equal(p2p_host_add_addr(host, &id, &addr, -1), 0);
    assert_int_equal(count_addrs(host, &id), 1);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

static void test_V02_a_full_store(void **state)
{
    (void)state;
    if (!has_files())
        skip();
    static const p2p_host_events events = {.size = sizeof(events), .on_warning = on_warning};
    const char *const options[] = {option, "store_size=32K", NULL};
    struct world world;
    world_init(&world, WORLD_SIM, 3, true);
    p2p_host *host = world_host(&world, options);
    p2p_host_set_events(host, &events, NULL);
    p2p_multiaddr addr = addr_of(5);
    for (int i = 0; i < 600; i++) {
        p2p_peer_id id = peer_of(i);
        assert_int_equal(p2p_host_add_addr(host, &id, &addr, -1), 0);
    }
    warning[0] = '\0';
    assert_true(world_until(&world, warned, NULL, 5000));
    assert_non_null(strstr(warning, file));
    assert_non_null(strstr(warning, "full"));
    p2p_peer_id id = peer_of(599);
    assert_int_equal(count_addrs(host, &id), 1);
    world_fini(&world);
    assert_int_equal(unlink(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_uv),
        cmocka_unit_test(test_remembers_sim),
        cmocka_unit_test(test_newer_records_win_also_after_a_restart),
        cmocka_unit_test(test_what_the_application_said_stays),
        cmocka_unit_test(test_a_peer_names_only_ip_addresses),
        cmocka_unit_test(test_who_is_far_away_knows_nothing_of_what_is_near),
        cmocka_unit_test(test_a_peer_whose_addresses_ran_out_is_not_known),
        cmocka_unit_test(test_a_flood_takes_nobody_the_application_cares_for),
        cmocka_unit_test(test_a_flood_of_peers),
        cmocka_unit_test(test_V04_a_damaged_store),
        cmocka_unit_test(test_V02_a_full_store),
    };
    return cmocka_run_group_tests(tests, store_folder_setup, store_folder_teardown);
}
