#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "services/observed.h"

static p2p_multiaddr addr_of(const char *text)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return addr;
}

static bool note(struct observed *self, uint64_t conn, const char *local, const char *remote,
                 const char *seen)
{
    p2p_multiaddr l = addr_of(local), r = addr_of(remote), s = addr_of(seen);
    return p2p__observed_note(self, conn, &l, &r, &s);
}

#define HOME "/ip4/192.168.1.2/tcp/4001"
#define SEEN "/ip4/203.0.113.9/tcp/4001"

/* How many networks say so; -1: nobody does. */
static int groups_of(struct observed *self, const char *wanted, bool *believed)
{
    p2p_multiaddr local, seen, addr = addr_of(wanted);
    unsigned groups;
    for (size_t i = 0; p2p__observed_at(self, i, &local, &seen, &groups, believed); i++)
        if (seen.len == addr.len && memcmp(seen.bytes, addr.bytes, addr.len) == 0)
            return (int)groups;
    return -1;
}

static void vote(struct observed *self, uint64_t conn, int network, const char *seen)
{
    char remote[64];
    snprintf(remote, sizeof(remote), "/ip4/8.%d.%d.7/tcp/999", network / 256, network % 256);
    (void)note(self, conn, HOME, remote, seen);
}

static void test_what_is_no_vote(void **state)
{
    struct observed self;
    (void)state;
    p2p__observed_init(&self);
    const char *peer = "/ip4/8.8.8.8/tcp/999";
    assert_false(note(&self, 1, HOME, peer, "/ip4/192.168.1.9/tcp/4001")); /* not from afar */
    assert_false(note(&self, 1, HOME, peer, "/ip4/127.0.0.1/tcp/4001"));
    assert_false(note(&self, 1, HOME, peer, "/ip4/0.0.0.0/tcp/4001"));
    assert_false(note(&self, 1, HOME, peer, "/ip4/203.0.113.9/tcp/0"));
    assert_false(note(&self, 1, HOME, peer, "/ip4/203.0.113.9/udp/4001/quic-v1"));
    assert_false(note(&self, 1, HOME, peer, "/ip4/203.0.113.9/tcp/4001/ws"));
    assert_false(note(&self, 1, HOME, peer, "/ip4/203.0.113.9"));
    assert_false(note(&self, 1, HOME, peer, "/ip6/2001:db8::9/tcp/4001"));
    assert_false(note(&self, 1, HOME, peer, "/dns4/example.org/tcp/4001"));
    assert_false(note(&self, 1, HOME, peer, HOME));
    assert_false(note(&self, 1, HOME, "/ip4/10.0.0.1/tcp/999", SEEN)); /* by one from within */
    assert_false(note(&self, 1, HOME, "/ip4/127.0.0.1/tcp/999", SEEN));
    assert_int_equal(self.count, 0);
    assert_true(note(&self, 1, HOME, peer, SEEN));
    assert_false(note(&self, 1, HOME, peer, SEEN)); /* again */
    assert_int_equal(self.count, 1);
    assert_true(note(&self, 1, HOME, peer, HOME)); /* taken back */
    assert_int_equal(self.count, 0);
    p2p__observed_fini(&self);
}

static void test_four_networks_and_not_three(void **state)
{
    struct observed self;
    bool believed;
    (void)state;
    p2p__observed_init(&self);
    for (uint64_t i = 0; i < 50; i++)
        vote(&self, i, 1, SEEN);
    assert_int_equal(groups_of(&self, SEEN, &believed), 1);
    vote(&self, 51, 2, SEEN);
    vote(&self, 52, 3, SEEN);
    assert_int_equal(groups_of(&self, SEEN, &believed), 3);
    assert_false(believed);
    vote(&self, 53, 4, SEEN);
    assert_int_equal(groups_of(&self, SEEN, &believed), 4);
    assert_true(believed);
    vote(&self, 53, 4, "/ip4/203.0.113.10/tcp/4001"); /* it has changed its mind */
    assert_int_equal(groups_of(&self, SEEN, &believed), 3);
    assert_false(believed);
    p2p__observed_fini(&self);
}

static void test_a_network_of_ipv6_is_a_provider(void **state)
{
    struct observed self;
    bool believed;
    (void)state;
    p2p__observed_init(&self);
    const char *home = "/ip6/2001:db8::1/tcp/4001", *seen = "/ip6/2001:db8::2/tcp/4001";
    for (unsigned i = 0; i < 8; i++) {
        char remote[80];
        snprintf(remote, sizeof(remote), "/ip6/2a00:%x:%x::1/tcp/9", i / 5, i);
        (void)note(&self, i, home, remote, seen);
    }
    assert_int_equal(groups_of(&self, seen, &believed), 2);
    p2p__observed_fini(&self);
}

static void test_three_of_an_address_are_believed(void **state)
{
    struct observed self;
    bool believed;
    (void)state;
    p2p__observed_init(&self);
    for (int a = 0; a < 4; a++)
        for (int n = 0; n < 4 + a; n++) {
            char seen[64];
            snprintf(seen, sizeof(seen), "/ip4/203.0.113.%d/tcp/4001", a);
            vote(&self, (uint64_t)(a * 10 + n), a * 10 + n, seen);
        }
    for (int a = 0; a < 4; a++) {
        char seen[64];
        snprintf(seen, sizeof(seen), "/ip4/203.0.113.%d/tcp/4001", a);
        assert_int_equal(groups_of(&self, seen, &believed), 4 + a);
        assert_int_equal(believed, a > 0); /* those that most agree on */
    }
    p2p__observed_fini(&self);
}

static void test_votes_run_out_and_have_a_limit(void **state)
{
    struct observed self;
    bool believed;
    (void)state;
    p2p__observed_init(&self);
    for (int i = 0; i < OBSERVED_VOTES_MAX + 10; i++)
        vote(&self, (uint64_t)i, i, SEEN);
    assert_int_equal(self.count, OBSERVED_VOTES_MAX);
    assert_int_equal(groups_of(&self, SEEN, &believed), OBSERVED_VOTES_MAX);
    assert_false(p2p__observed_gone(&self, OBSERVED_VOTES_MAX, 1000)); /* never had a place */
    assert_true(p2p__observed_gone(&self, 7, 1000));
    assert_int_equal(p2p__observed_expire(&self, 1000), 1000 + OBSERVED_HOLD_US);
    vote(&self, 9999, 9999, SEEN); /* takes the place of one that has left */
    assert_int_equal(self.count, OBSERVED_VOTES_MAX);
    assert_false(p2p__observed_gone(&self, 7, 1000));
    assert_true(p2p__observed_gone(&self, 8, 2000));
    assert_int_equal(p2p__observed_expire(&self, 2000 + OBSERVED_HOLD_US - 1),
                     2000 + OBSERVED_HOLD_US);
    assert_int_equal(self.count, OBSERVED_VOTES_MAX);
    assert_int_equal(p2p__observed_expire(&self, 2000 + OBSERVED_HOLD_US), HEAP_NEVER);
    assert_int_equal(groups_of(&self, SEEN, &believed), OBSERVED_VOTES_MAX - 1);
    p2p__observed_fini(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_vote),
        cmocka_unit_test(test_four_networks_and_not_three),
        cmocka_unit_test(test_a_network_of_ipv6_is_a_provider),
        cmocka_unit_test(test_three_of_an_address_are_believed),
        cmocka_unit_test(test_votes_run_out_and_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
