/* What names expand to, in which order, and on both sides of each limit; with a simulated name
 * service. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include <p2p/sim.h>

#include "host/resolve.h"

#define PEER  "/p2p/12D3KooWEDMw7oRqQkdCJbyeqS5mUmWGwTp8JJ2tjCzTkHboF6wK"
#define OTHER "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

struct fixture {
    p2p_sim *sim;
    p2p_io *io;
    struct resolve *resolve;
    unsigned wakes;
    uint64_t deadline_us;
};

static void on_wake(void *owner)
{
    ((struct fixture *)owner)->wakes++;
}

static void setup(struct fixture *self)
{
    *self = (struct fixture){.sim = p2p_sim_new(NULL), .deadline_us = UINT64_MAX};
    self->io = p2p_sim_host(self->sim, NULL, 0);
}

static void drop(struct fixture *self)
{
    if (self->resolve)
        p2p__resolve_free(self->resolve);
    self->resolve = NULL;
}

static void teardown(struct fixture *self)
{
    drop(self);
    p2p_sim_free(self->sim);
}

/* Returns how many addresses came out. */
static size_t expand(struct fixture *self, const char *target)
{
    p2p_multiaddr addr;
    size_t count = 0;
    drop(self);
    assert_int_equal(p2p_multiaddr_parse(target, &addr), 0);
    assert_true(p2p__resolve_has_name(&addr));
    self->resolve = p2p__resolve_new(self->io, &addr, self->deadline_us, on_wake, self);
    assert_non_null(self->resolve);
    while (!p2p__resolve_run(self->resolve)) {
        self->wakes = 0;
        while (self->wakes == 0)
            assert_true(p2p_sim_step(self->sim));
    }
    while (p2p__resolve_addr(self->resolve, count))
        count++;
    return count;
}

static void assert_addr(const struct fixture *self, size_t index, const char *wanted)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    const p2p_multiaddr *addr = p2p__resolve_addr(self->resolve, index);
    assert_non_null(addr);
    assert_true(p2p_multiaddr_format(addr, text, sizeof(text)) > 0);
    assert_string_equal(text, wanted);
}

static void assert_fails(struct fixture *self, const char *target, int code, const char *why)
{
    const char *said;
    assert_int_equal(expand(self, target), 0);
    assert_int_equal(p2p__resolve_error(self->resolve, &said), code);
    if (!strstr(said, why))
        fail_msg("%s: %s", target, said);
}

static void lead(struct fixture *self, const char *name, const char *to)
{
    char label[300], text[1100];
    snprintf(label, sizeof(label), "_dnsaddr.%s", name);
    snprintf(text, sizeof(text), "dnsaddr=%s", to);
    assert_int_equal(p2p_sim_txt(self->sim, label, text), 0);
}

static void test_ipv6_first_then_in_turn(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    for (int i = 1; i <= 3; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "192.0.2.%d", i);
        p2p_sim_name(f.sim, "a.test", ip);
    }
    p2p_sim_name(f.sim, "a.test", "2001:db8::1");
    p2p_sim_name(f.sim, "a.test", "2001:db8::2");
    assert_int_equal(expand(&f, "/dns/a.test/tcp/4001" PEER), 5);
    assert_addr(&f, 0, "/ip6/2001:db8::1/tcp/4001" PEER);
    assert_addr(&f, 1, "/ip4/192.0.2.1/tcp/4001" PEER);
    assert_addr(&f, 2, "/ip6/2001:db8::2/tcp/4001" PEER);
    assert_addr(&f, 3, "/ip4/192.0.2.2/tcp/4001" PEER);
    assert_addr(&f, 4, "/ip4/192.0.2.3/tcp/4001" PEER);
    assert_int_equal(expand(&f, "/dns4/a.test/udp/1/quic-v1"), 3);
    assert_addr(&f, 0, "/ip4/192.0.2.1/udp/1/quic-v1");
    assert_int_equal(expand(&f, "/dns6/a.test"), 2);
    assert_addr(&f, 1, "/ip6/2001:db8::2");
    teardown(&f);
}

/* Entries stand where the record stood, with what stands before a name kept. */
static void test_dnsaddr_keeps_the_order(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    lead(&f, "a.test", "/ip4/192.0.2.1/tcp/1" PEER);
    lead(&f, "a.test", "/dnsaddr/b.test" PEER);
    lead(&f, "a.test", "/dns4/c.test/tcp/5" PEER);
    lead(&f, "a.test", "/ip4/192.0.2.6/tcp/6" OTHER);
    lead(&f, "a.test", "/ip4/192.0.2.7/tcp/7" PEER);
    lead(&f, "b.test", "/ip4/192.0.2.2/tcp/2" PEER);
    lead(&f, "b.test", "/ip4/192.0.2.3/tcp/3" PEER);
    lead(&f, "b.test", "/ip4/192.0.2.1/tcp/1" PEER); /* known already */
    p2p_sim_name(f.sim, "c.test", "192.0.2.5");
    assert_int_equal(expand(&f, "/dnsaddr/a.test" PEER), 5);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/1" PEER);
    assert_addr(&f, 1, "/ip4/192.0.2.2/tcp/2" PEER);
    assert_addr(&f, 2, "/ip4/192.0.2.3/tcp/3" PEER);
    assert_addr(&f, 3, "/ip4/192.0.2.5/tcp/5" PEER);
    assert_addr(&f, 4, "/ip4/192.0.2.7/tcp/7" PEER);
    assert_int_equal(expand(&f, "/dnsaddr/b.test" PEER "/p2p-circuit" OTHER), 0);
    lead(&f, "b.test", "/ip4/192.0.2.9/tcp/9" PEER "/p2p-circuit" OTHER);
    assert_int_equal(expand(&f, "/dnsaddr/b.test" PEER "/p2p-circuit" OTHER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.9/tcp/9" PEER "/p2p-circuit" OTHER);
    teardown(&f);
}

/* An entry whose last bytes look like the suffix, but do not begin where a component does. */
static void test_F04_the_suffix_is_of_whole_components(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    lead(&f, "a.test", "/ip4/192.0.6.80/tcp/1"); /* ends in 06 0001: /tcp/1 all the same */
    lead(&f, "a.test", "/ip6/2001:db8::6:1");    /* ends in 00 06 00 01 */
    assert_int_equal(expand(&f, "/dnsaddr/a.test/tcp/1"), 1);
    assert_addr(&f, 0, "/ip4/192.0.6.80/tcp/1");
    teardown(&f);
}

static void test_secure_websockets_keep_the_name(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    p2p_sim_name(f.sim, "a.test", "192.0.2.1");
    assert_int_equal(expand(&f, "/dns4/a.test/tcp/443/wss" PEER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/443/tls/sni/a.test/ws" PEER);
    assert_int_equal(expand(&f, "/dns4/a.test/tcp/443/tls/ws" PEER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/443/tls/sni/a.test/ws" PEER);
    assert_int_equal(expand(&f, "/dns4/a.test/tcp/443/tls/sni/b.test/ws" PEER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/443/tls/sni/b.test/ws" PEER);
    assert_int_equal(expand(&f, "/dns4/a.test/tcp/80/ws" PEER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/80/ws" PEER);
    assert_int_equal(expand(&f, "/dns4/a.test/tcp/443/tls" PEER), 1);
    assert_addr(&f, 0, "/ip4/192.0.2.1/tcp/443/tls" PEER);
    teardown(&f);
}

static void test_F01_at_most_32_addresses(void **state)
{
    struct fixture f;
    (void)state;
    for (int wanted = 32; wanted <= 33; wanted++) {
        setup(&f);
        for (int i = 0; i < wanted; i++) {
            char ip[32];
            snprintf(ip, sizeof(ip), i % 2 ? "192.0.2.%d" : "2001:db8::%d", i + 1);
            p2p_sim_name(f.sim, "a.test", ip);
        }
        assert_int_equal(expand(&f, "/dns/a.test/tcp/1"), 32);
        teardown(&f);
    }
}

/* The first takes one of the sixteen questions, and each /dns two. */
static void test_F01_at_most_16_questions(void **state)
{
    struct fixture f;
    char to[100], name[32];
    (void)state;
    setup(&f);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        snprintf(to, sizeof(to), "/dns/%s/tcp/1" PEER, name);
        p2p_sim_name(f.sim, name, i < 7 ? "192.0.2.1" : "192.0.2.2");
        lead(&f, "a.test", to);
    }
    assert_int_equal(expand(&f, "/dnsaddr/a.test" PEER),
                     1);                            /* the eighth would be the 16th, 17th */
    lead(&f, "a.test", "/dns4/n7.test/tcp/1" PEER); /* the 16th */
    assert_int_equal(expand(&f, "/dnsaddr/a.test" PEER), 2);
    lead(&f, "a.test", "/dns4/n7.test/tcp/2" PEER); /* the 17th */
    assert_int_equal(expand(&f, "/dnsaddr/a.test" PEER), 2);
    teardown(&f);
}

static void test_F01_at_most_4_records_in_a_chain(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    lead(&f, "n1.test", "/dnsaddr/n2.test");
    lead(&f, "n2.test", "/dnsaddr/n3.test");
    lead(&f, "n3.test", "/dnsaddr/n4.test");
    lead(&f, "n4.test", "/dns4/n5.test/tcp/1"); /* no chain: it ends in an address */
    p2p_sim_name(f.sim, "n5.test", "192.0.2.1");
    lead(&f, "n0.test", "/dnsaddr/n1.test");
    assert_int_equal(expand(&f, "/dnsaddr/n1.test"), 1);
    assert_fails(&f, "/dnsaddr/n0.test", P2P_ERESOLVE, "more than 4 steps");
    teardown(&f);
}

static void test_what_is_said(void **state)
{
    struct fixture f;
    char long_name[300] = "/dns4/";
    (void)state;
    setup(&f);
    assert_fails(&f, "/dns/x.test/tcp/1", P2P_ERESOLVE,
                 "x.test does not resolve: there is no such");
    assert_fails(&f, "/dnsaddr/x.test", P2P_ERESOLVE, "x.test does not resolve: there is no such");
    p2p_sim_txt(f.sim, "_dnsaddr.txt.test", "hello");
    assert_fails(&f, "/dnsaddr/txt.test", P2P_ERESOLVE,
                 "txt.test does not resolve: it has no dnsa");
    lead(&f, "self.test", "/dnsaddr/self.test");
    assert_fails(&f, "/dnsaddr/self.test", P2P_ERESOLVE, "self.test does not resolve: its records");
    memset(long_name + 6, 'a', 254);
    assert_fails(&f, long_name, P2P_ERESOLVE, "not a domain name");
    long_name[6 + 253] = '\0';
    assert_fails(&f, long_name, P2P_ERESOLVE, "there is no such name");
    memcpy(long_name, "/dnsaddr/", 9); /* with the label in front it is too long */
    assert_fails(&f, long_name, P2P_ERESOLVE, "not a domain name");
    teardown(&f);
}

static void test_silence_and_deadlines(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    p2p_sim_name(f.sim, "x.test", "192.0.2.1");
    p2p_sim_name_fault(f.sim, "x.test", P2P_SIM_NAME_SILENT);
    uint64_t start = p2p_sim_now_us(f.sim);
    assert_fails(&f, "/dns4/x.test", P2P_ERESOLVE, "no name server answers");
    assert_int_equal(p2p_sim_now_us(f.sim) - start, 14000000);
    start = p2p_sim_now_us(f.sim);
    f.deadline_us = f.io->ops->now_us(f.io) + 70000;
    assert_fails(&f, "/dns4/x.test", P2P_ETIMEDOUT, "x.test");
    assert_int_equal(p2p_sim_now_us(f.sim) - start, 70000);
    p2p_sim_name_fault(f.sim, "x.test", P2P_SIM_NAME_WORKS);
    p2p_sim_name_delay(f.sim, 1000);
    f.deadline_us = UINT64_MAX;
    start = p2p_sim_now_us(f.sim);
    assert_int_equal(expand(&f, "/dns4/x.test"), 1);
    assert_int_equal(p2p_sim_now_us(f.sim) - start, 1000);
    p2p_sim_host_down(f.io);
    assert_fails(&f, "/dns4/x.test", P2P_ERESOLVE, "no name server answers");
    p2p_sim_host_up(f.io);
    teardown(&f);
}

static void test_dropped_at_any_time(void **state)
{
    struct fixture f;
    p2p_multiaddr addr;
    (void)state;
    setup(&f);
    assert_int_equal(p2p_multiaddr_parse("/dns/x.test/tcp/1", &addr), 0);
    f.resolve = p2p__resolve_new(f.io, &addr, UINT64_MAX, on_wake, &f);
    drop(&f); /* before it asked */
    f.resolve = p2p__resolve_new(f.io, &addr, UINT64_MAX, on_wake, &f);
    assert_false(p2p__resolve_run(f.resolve));
    drop(&f);
    assert_false(p2p_sim_step(f.sim)); /* nothing is left of the questions */
    assert_int_equal(f.wakes, 0);
    f.resolve = p2p__resolve_new(f.io, &addr, UINT64_MAX, on_wake, &f);
    assert_false(p2p__resolve_run(f.resolve));
    assert_true(p2p_sim_step(f.sim)); /* one of two */
    assert_false(p2p__resolve_run(f.resolve));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv6_first_then_in_turn),
        cmocka_unit_test(test_dnsaddr_keeps_the_order),
        cmocka_unit_test(test_F04_the_suffix_is_of_whole_components),
        cmocka_unit_test(test_secure_websockets_keep_the_name),
        cmocka_unit_test(test_F01_at_most_32_addresses),
        cmocka_unit_test(test_F01_at_most_16_questions),
        cmocka_unit_test(test_F01_at_most_4_records_in_a_chain),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_silence_and_deadlines),
        cmocka_unit_test(test_dropped_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
