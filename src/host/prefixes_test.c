#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/mem.h>

#include "host/prefixes.h"

enum {
    SECOND_US = 1000 * 1000,
};

static const struct hash_key hash_key = {1, 2};
/* What the options say by default. */
static const struct prefix_limits defaults = {
    .conns = {8, 8, 64}, .half_open = 8, .interval_us = 5 * SECOND_US, .burst = 16};

static struct io_addr ip4(unsigned a, unsigned b, unsigned c, unsigned d)
{
    return (struct io_addr){.family = 4, .ip = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}};
}

/* 2001:db8:SITE:NET::HOST: the 48 bits, the next 16, the last 16. */
static struct io_addr ip6(unsigned net, unsigned subnet, unsigned host)
{
    return (struct io_addr){
        .family = 6,
        .ip = {0x20, 1, 0xd, 0xb8, (uint8_t)(net >> 8), (uint8_t)net, (uint8_t)(subnet >> 8),
               (uint8_t)subnet, [14] = (uint8_t)(host >> 8), [15] = (uint8_t)host}};
}

/* How many of `count` connections get in, each opened at once, from addresses that `each` makes. */
struct guest {
    struct prefix_set set;
    bool in;
};

static const char *come(struct prefixes *self, struct guest *guest, struct io_addr from,
                        uint64_t now_us)
{
    const char *refused = p2p__prefixes_refuse(self, &from, now_us);
    guest->in = !refused;
    if (refused)
        return refused;
    assert_int_equal(p2p__prefixes_enter(self, &guest->set, &from, now_us), 0);
    p2p__prefixes_opened(&guest->set);
    return NULL;
}

static void leave(struct prefixes *self, struct guest *guest, uint64_t now_us)
{
    if (guest->in)
        p2p__prefixes_leave(self, &guest->set, false, now_us);
    guest->in = false;
}

static void test_connections_of_an_address_and_of_its_network(void **state)
{
    struct prefixes self;
    struct guest guests[100];
    (void)state;
    p2p__prefixes_init(&self, &defaults, &hash_key);
    for (unsigned i = 0; i < 8; i++)
        assert_null(come(&self, &guests[i], ip4(192, 0, 2, 1), 0));
    assert_string_equal(come(&self, &guests[8], ip4(192, 0, 2, 1), 0), "conns_per_ip");
    for (unsigned i = 8; i < 64; i++)
        assert_null(come(&self, &guests[i], ip4(192, 0, 2, i), 0));
    assert_string_equal(come(&self, &guests[64], ip4(192, 0, 2, 99), 0), "conns_per_subnet");
    assert_null(come(&self, &guests[64], ip4(192, 0, 3, 99), 0));
    leave(&self, &guests[3], 0);
    leave(&self, &guests[20], 0);
    assert_null(come(&self, &guests[3], ip4(192, 0, 2, 1), 10 * SECOND_US));
    assert_null(come(&self, &guests[20], ip4(192, 0, 2, 98), 10 * SECOND_US));
    assert_string_equal(come(&self, &guests[65], ip4(192, 0, 2, 97), 10 * SECOND_US),
                        "conns_per_subnet");
    for (unsigned i = 0; i < 65; i++)
        leave(&self, &guests[i], 10 * SECOND_US);
    p2p__prefixes_fini(&self);
}

static void test_prefixes_of_ipv6(void **state)
{
    struct prefixes self;
    struct guest guests[100];
    (void)state;
    p2p__prefixes_init(&self, &defaults, &hash_key);
    for (unsigned i = 0; i < 8; i++) /* one /64, whatever the host part is */
        assert_null(come(&self, &guests[i], ip6(1, 0x0100, i), 0));
    assert_string_equal(come(&self, &guests[8], ip6(1, 0x0100, 77), 0), "conns_per_ip");
    assert_string_equal(come(&self, &guests[8], ip6(1, 0x01ff, 1), 0), "conns_per_56");
    for (unsigned i = 8; i < 64; i++) /* 8 of each other /56 */
        assert_null(come(&self, &guests[i], ip6(1, 0x0200 + (i / 8) * 0x100, i), 0));
    assert_string_equal(come(&self, &guests[64], ip6(1, 0xaa00, 1), 0), "conns_per_subnet");
    assert_null(come(&self, &guests[64], ip6(2, 0xaa00, 1), 0));
    for (unsigned i = 0; i < 65; i++)
        leave(&self, &guests[i], 0);
    p2p__prefixes_fini(&self);
}

/* The same machine by either of its two spellings. */
static void test_an_ipv4_address_mapped_into_ipv6(void **state)
{
    struct prefixes self;
    struct guest guests[9];
    (void)state;
    struct io_addr mapped = {.family = 6, .ip = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
    struct io_addr other = {.family = 6, .ip = {[10] = 0xff, [11] = 0xff, 192, 0, 9, 1}};
    p2p__prefixes_init(&self, &defaults, &hash_key);
    for (unsigned i = 0; i < 8; i++)
        assert_null(come(&self, &guests[i], i % 2 ? mapped : ip4(192, 0, 2, 1), 0));
    assert_string_equal(come(&self, &guests[8], mapped, 0), "conns_per_ip");
    assert_null(come(&self, &guests[8], other, 0)); /* not all mapped ones are one /48 */
    for (unsigned i = 0; i < 9; i++)
        leave(&self, &guests[i], 0);
    p2p__prefixes_fini(&self);
}

/* As fast as each address may, for a while: how many that are. */
static unsigned churn(struct prefixes *self, struct io_addr (*from)(unsigned i), uint64_t from_us,
                      uint64_t to_us)
{
    unsigned count = 0;
    for (uint64_t now_us = from_us; now_us < to_us; now_us += SECOND_US / 10) {
        struct guest guest;
        if (come(self, &guest, from(count), now_us)) {
            struct io_addr addr = from(count);
            assert_string_equal(p2p__prefixes_refuse(self, &addr, now_us), "conn_interval");
            continue;
        }
        leave(self, &guest, now_us);
        count++;
    }
    return count;
}

static struct io_addr one_ip4(unsigned i)
{
    (void)i;
    return ip4(192, 0, 2, 1);
}

static struct io_addr one_net4(unsigned i)
{
    return ip4(192, 0, 2, i % 250);
}

static struct io_addr one_site6(unsigned i)
{
    return ip6(1, i % 250, 0);
}

static struct io_addr one_net6(unsigned i)
{
    return ip6(1, (i % 250) << 8, 0);
}

static void test_how_fast_new_ones_come(void **state)
{
    static const struct {
        struct io_addr (*from)(unsigned i);
        unsigned count; /* in 200 seconds */
    } cases[] = {
        {one_ip4, 16 + 39}, {one_net4, 80 + 99}, {one_site6, 16 + 39}, {one_net6, 80 + 99}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct prefixes self;
        p2p__prefixes_init(&self, &defaults, &hash_key);
        unsigned count = churn(&self, cases[i].from, SECOND_US, 201 * SECOND_US);
        assert_in_range(count, cases[i].count - 1, cases[i].count + 1);
        p2p__prefixes_fini(&self);
    }
}

static void test_no_interval_is_no_rate(void **state)
{
    struct prefixes self;
    struct guest guest;
    struct prefix_limits any = defaults;
    (void)state;
    any.interval_us = 0;
    p2p__prefixes_init(&self, &any, &hash_key);
    for (int i = 0; i < 1000; i++) {
        assert_null(come(&self, &guest, ip4(192, 0, 2, 1), 5));
        leave(&self, &guest, 5);
        assert_int_equal(self.map.count, 0); /* nothing to remember */
    }
    p2p__prefixes_fini(&self);
}

static void test_handshakes_under_way(void **state)
{
    struct prefixes self;
    struct prefix_set sets[4];
    struct prefix_limits few = defaults;
    struct io_addr from = ip4(192, 0, 2, 1), other = ip4(192, 0, 2, 2);
    (void)state;
    few.half_open = 3;
    p2p__prefixes_init(&self, &few, &hash_key);
    for (int i = 0; i < 3; i++) {
        assert_null(p2p__prefixes_refuse(&self, &from, 0));
        assert_int_equal(p2p__prefixes_enter(&self, &sets[i], &from, 0), 0);
    }
    assert_string_equal(p2p__prefixes_refuse(&self, &from, 0), "half_open_per_ip");
    assert_null(p2p__prefixes_refuse(&self, &other, 0));
    p2p__prefixes_opened(&sets[0]);
    assert_null(p2p__prefixes_refuse(&self, &from, 0));
    assert_int_equal(p2p__prefixes_enter(&self, &sets[3], &from, 0), 0);
    assert_string_equal(p2p__prefixes_refuse(&self, &from, 0), "half_open_per_ip");
    p2p__prefixes_leave(&self, &sets[1], true, 0); /* gone before it was opened */
    assert_null(p2p__prefixes_refuse(&self, &from, 0));
    p2p__prefixes_leave(&self, &sets[0], false, 0);
    p2p__prefixes_leave(&self, &sets[2], true, 0);
    p2p__prefixes_leave(&self, &sets[3], true, 0);
    assert_int_equal(self.idle_count, self.map.count);
    p2p__prefixes_fini(&self);
}

/* A flood from ever new addresses: what is remembered of them has a bound, and those that are
 * connected are never forgotten. */
static void test_what_is_remembered_is_bounded(void **state)
{
    struct prefixes self;
    struct guest kept[8], guest;
    struct prefix_limits wide = defaults;
    (void)state;
    wide.conns[PREFIX_NET] = 1 << 20;
    p2p__prefixes_init(&self, &wide, &hash_key);
    for (int i = 0; i < 8; i++)
        assert_null(come(&self, &kept[i], ip4(9, 9, 9, 9), 0));
    for (unsigned i = 0; i < 100000; i++) {
        assert_null(come(&self, &guest, ip4(1 + i / 65536, i / 256 % 256, i % 256, 1), i));
        leave(&self, &guest, i);
        assert_true(self.idle_count <= PREFIXES_IDLE_MAX);
        assert_true(self.map.count <= PREFIXES_IDLE_MAX + 2);
    }
    assert_string_equal(come(&self, &guest, ip4(9, 9, 9, 9), 100000), "conns_per_ip");
    assert_int_equal(self.idle_count, PREFIXES_IDLE_MAX);
    /* All are whole again a while later. */
    for (int i = 0; i < 8; i++)
        leave(&self, &kept[i], 1000 * (uint64_t)SECOND_US);
    assert_int_equal(self.map.count, 0);
    p2p__prefixes_fini(&self);
}

static void test_no_ip_is_counted_nowhere(void **state)
{
    struct prefixes self;
    struct prefix_set set;
    const struct io_addr none = {0};
    (void)state;
    p2p__prefixes_init(&self, &defaults, &hash_key);
    for (int i = 0; i < 1000; i++) {
        assert_null(p2p__prefixes_refuse(&self, &none, 0));
        assert_int_equal(p2p__prefixes_enter(&self, &set, &none, 0), 0);
    }
    assert_int_equal(self.map.count, 0);
    p2p__prefixes_leave(&self, &set, true, 0);
    p2p__prefixes_fini(&self);
}

/* ---- no memory ---- */

static int allowed;

static void *counted(void *old, size_t size)
{
    return allowed-- > 0 ? realloc(old, size) : NULL;
}

static void *counted_new(size_t size)
{
    return counted(NULL, size);
}

static void test_out_of_memory_counts_nothing(void **state)
{
    static const p2p_mem failing = {counted_new, counted, free};
    struct io_addr from = ip6(1, 2, 3);
    (void)state;
    p2p_mem_set(&failing);
    for (int n = 0; n < 4; n++) {
        struct prefixes self;
        struct prefix_set set;
        p2p__prefixes_init(&self, &defaults, &hash_key);
        allowed = n;
        int rc = p2p__prefixes_enter(&self, &set, &from, 0);
        assert_int_equal(rc, n < PREFIX_LEVELS ? P2P_ENOMEM : 0);
        if (rc < 0)
            assert_null(set.of[0]);
        else
            p2p__prefixes_leave(&self, &set, true, 0);
        assert_int_equal(self.idle_count, self.map.count);
        p2p__prefixes_fini(&self);
    }
    p2p_mem_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_of_an_address_and_of_its_network),
        cmocka_unit_test(test_prefixes_of_ipv6),
        cmocka_unit_test(test_an_ipv4_address_mapped_into_ipv6),
        cmocka_unit_test(test_how_fast_new_ones_come),
        cmocka_unit_test(test_no_interval_is_no_rate),
        cmocka_unit_test(test_handshakes_under_way),
        cmocka_unit_test(test_what_is_remembered_is_bounded),
        cmocka_unit_test(test_no_ip_is_counted_nowhere),
        cmocka_unit_test(test_out_of_memory_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
