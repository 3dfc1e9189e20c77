/* What a simulated path does to datagrams, and what a machine's address means to its sockets. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/mem.h>
#include <p2p/sim.h>

#include "io/udp.h"

enum { MANY = 20000 };

struct pair {
    p2p_sim *sim;
    p2p_io *a, *b;
    struct io_udp *from, *to;
};

static void turn(void *user)
{
    (void)user;
}

static struct io_udp *bind_any(p2p_io *io)
{
    struct io_addr any = {.family = 4};
    struct io_udp *udp = NULL;
    int sys_errno;
    assert_int_equal(io->ops->udp(io, &any, 0, &udp, &sys_errno), 0);
    return udp;
}

static void pair_open(struct pair *self, const p2p_sim_path_options *path)
{
    self->sim = p2p_sim_new(NULL);
    self->a = p2p_sim_host(self->sim, "10.0.0.1", 0);
    self->b = p2p_sim_host(self->sim, "10.0.0.2", 0);
    if (path)
        assert_int_equal(p2p_sim_path(self->sim, 0, 0, path), 0);
    self->a->turn = self->b->turn = turn;
    self->from = bind_any(self->a);
    self->to = bind_any(self->b);
}

static void pair_close(struct pair *self)
{
    self->from->ops->close(self->from);
    self->to->ops->close(self->to);
    self->a->ops->detach(self->a);
    self->b->ops->detach(self->b);
    p2p_sim_free(self->sim);
}

static void send_to(struct io_udp *from, uint8_t last, uint16_t port, uint32_t tag, uint16_t len)
{
    uint8_t bytes[2000] = {0};
    memcpy(bytes, &tag, sizeof(tag));
    struct io_train train = {.base = bytes,
                             .len = len,
                             .segment = len,
                             .remote = {.family = 4, .port = port, .ip = {10, 0, 0, last}},
                             .local = {.family = 4}};
    assert_int_equal(from->ops->send(from, &train, 1), 1);
}

static void send_tag(struct pair *p, uint32_t tag, uint16_t len)
{
    send_to(p->from, 2, p->to->local.port, tag, len);
}

static uint32_t highest; /* tag so far */

/* How many came; counts[tag], and how many came before one that was sent earlier. */
static size_t drain(struct io_udp *udp, uint8_t *counts, size_t *overtakers, struct io_train *last)
{
    struct io_train trains[IO_TRAINS_MAX];
    size_t got = 0;
    while (udp->readable) {
        size_t n = udp->ops->recv(udp, trains, IO_TRAINS_MAX);
        for (size_t i = 0; i < n; i++) {
            for (uint32_t at = 0; at < trains[i].len; at += trains[i].segment, got++) {
                uint32_t tag;
                memcpy(&tag, trains[i].base + at, sizeof(tag));
                if (counts)
                    counts[tag]++;
                if (overtakers && tag < highest)
                    (*overtakers)++;
                highest = tag > highest ? tag : highest;
            }
            if (last)
                *last = trains[i];
        }
    }
    return got;
}

static size_t send_many(struct pair *p, uint8_t *counts, size_t *overtakers)
{
    size_t got = 0;
    highest = 0;
    memset(counts, 0, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        send_tag(p, i, 100);
        p2p_sim_run(p->sim, 100);
        got += drain(p->to, counts, overtakers, NULL);
    }
    p2p_sim_run(p->sim, 1000000);
    return got + drain(p->to, counts, overtakers, NULL);
}

static bool near(size_t got, double expected)
{
    return (double)got > expected * 0.8 && (double)got < expected * 1.2;
}

static void test_loss_duplicates_and_order(void **state)
{
    (void)state;
    static uint8_t counts[MANY];
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    struct pair p;
    size_t overtakers = 0, twice = 0, never = 0;
    pair_open(&p, &path);
    assert_int_equal(send_many(&p, counts, &overtakers), MANY);
    assert_int_equal(overtakers, 0);
    path.loss_ppm = 50000;
    path.duplicate_ppm = 20000;
    path.reorder_ppm = 10000;
    assert_int_equal(p2p_sim_path(p.sim, 0, 0, &path), 0);
    send_many(&p, counts, &overtakers);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(counts[i] <= 2);
        never += counts[i] == 0;
        twice += counts[i] == 2;
    }
    assert_true(near(never, MANY * 0.05));
    assert_true(near(twice, MANY * 0.95 * 0.02));
    assert_true(near(overtakers, MANY * 0.95 * 1.02 * 0.01));
    pair_close(&p);
}

static void test_jitter_lets_one_overtake_another(void **state)
{
    (void)state;
    static uint8_t counts[MANY];
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.jitter_us = 500;
    struct pair p;
    size_t overtakers = 0;
    pair_open(&p, &path);
    assert_int_equal(send_many(&p, counts, &overtakers), MANY);
    assert_true(overtakers > MANY / 10);
    pair_close(&p);
}

static void test_longer_than_the_path_takes_vanishes(void **state)
{
    (void)state;
    static uint8_t counts[4];
    struct pair p;
    pair_open(&p, NULL);
    send_tag(&p, 1, 1472);
    send_tag(&p, 2, 1473);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(drain(p.to, counts, NULL, NULL), 1);
    assert_int_equal(counts[1], 1);
    pair_close(&p);
}

/* 100,000 bytes a second take a second; what the queue before it cannot hold is lost. */
static void test_rate_and_queue(void **state)
{
    (void)state;
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.rate = 100000;
    struct pair p;
    pair_open(&p, &path);
    for (uint32_t i = 0; i < 100; i++)
        send_tag(&p, i, 1000 - 28);
    p2p_sim_run(p.sim, 25000 + 500000);
    assert_int_equal(drain(p.to, NULL, NULL, NULL), 50);
    p2p_sim_run(p.sim, 500000);
    assert_int_equal(drain(p.to, NULL, NULL, NULL), 50);
    path.queue_bytes = 10000;
    assert_int_equal(p2p_sim_path(p.sim, 0, 0, &path), 0);
    for (uint32_t i = 0; i < 100; i++)
        send_tag(&p, i, 1000 - 28);
    p2p_sim_run(p.sim, 2000000);
    assert_int_equal(drain(p.to, NULL, NULL, NULL), 10);
    pair_close(&p);
}

static void test_a_box_forgets_ports(void **state)
{
    (void)state;
    struct pair p;
    struct io_train train;
    struct io_addr remote;
    int sys_errno;
    pair_open(&p, NULL);
    uint16_t before = p.from->local.port;
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(drain(p.to, NULL, NULL, &train), 1);
    assert_int_equal(train.remote.port, before);
    p2p_sim_rebind(p.a);
    assert_int_equal(p.from->local.port, before);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(drain(p.to, NULL, NULL, &train), 1);
    assert_int_not_equal(train.remote.port, before);
    send_to(p.to, 1, before, 1, 10);
    send_to(p.to, 1, train.remote.port, 2, 10);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(drain(p.from, NULL, NULL, &train), 1);
    assert_int_equal(train.base[0], 2);
    assert_true(p.to->ops->error(p.to, &remote, &sys_errno));
    assert_int_equal(remote.port, before);
    pair_close(&p);
}

static int changes;

static void changed(void *user)
{
    (void)user;
    changes++;
}

static void test_a_machine_moves(void **state)
{
    (void)state;
    struct pair p;
    struct io_train train;
    struct io_addr source, remote;
    int sys_errno;
    pair_open(&p, NULL);
    p.a->interfaces_changed = changed;
    p.a->ops->watch_interfaces(p.a);
    changes = 0;
    struct io_addr at = {.family = 4, .ip = {10, 0, 0, 1}};
    struct io_udp *bound = NULL;
    assert_int_equal(p.a->ops->udp(p.a, &at, 0, &bound, &sys_errno), 0);
    assert_int_equal(p2p_sim_remove_address(p.a, "10.0.0.9"), P2P_ENOENT);
    assert_int_equal(p2p_sim_remove_address(p.a, "10.0.0"), P2P_EADDR);
    send_tag(&p, 0, 10);
    send_to(p.to, 1, p.from->local.port, 0, 10); /* under way while it moves: lost */
    assert_int_equal(p2p_sim_add_address(p.a, "10.0.0.7"), 0);
    assert_int_equal(p2p_sim_remove_address(p.a, "10.0.0.1"), 0);
    assert_int_equal(changes, 2);
    assert_true(p.from->ops->source(p.from, &p.to->local, &source));
    assert_int_equal(source.ip[3], 7);
    assert_false(bound->ops->source(bound, &p.to->local, &source));
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(drain(p.to, NULL, NULL, &train), 1);
    assert_int_equal(train.remote.ip[3], 1);
    send_tag(&p, 0, 10);
    send_to(bound, 2, p.to->local.port, 0, 10);
    assert_true(bound->ops->error(bound, &remote, &sys_errno));
    assert_int_equal(sys_errno, ENETUNREACH);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(drain(p.to, NULL, NULL, &train), 1);
    assert_int_equal(train.remote.ip[3], 7);
    assert_int_equal(drain(p.from, NULL, NULL, NULL), 0);
    send_to(p.to, 7, p.from->local.port, 0, 10);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(drain(p.from, NULL, NULL, NULL), 1);
    bound->ops->close(bound);
    pair_close(&p);
}

static void test_walls_are_silent_and_refusal_is_not(void **state)
{
    (void)state;
    struct pair p;
    struct io_addr remote;
    int sys_errno;
    pair_open(&p, NULL);
    p2p_sim_blackhole(p.b, true);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 100000);
    p2p_sim_blackhole(p.b, false);
    p2p_sim_host_down(p.b);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 100000);
    p2p_sim_host_up(p.b);
    int wall = p2p_sim_partition(p.sim, &p.a, 1, NULL, 0);
    send_tag(&p, 0, 10);
    send_to(p.from, 99, 1, 0, 10); /* nobody has that address */
    p2p_sim_run(p.sim, 100000);
    p2p_sim_heal(p.sim, wall);
    assert_false(p.to->readable || p.from->troubled);
    p2p_sim_refuse(p.b, true);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 49999);
    assert_false(p.from->troubled);
    p2p_sim_run(p.sim, 1);
    assert_true(p.from->ops->error(p.from, &remote, &sys_errno));
    assert_int_equal(sys_errno, ECONNREFUSED);
    p2p_sim_refuse(p.b, false);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(drain(p.to, NULL, NULL, NULL), 1);
    pair_close(&p);
}

/* Whoever is freed with datagrams under way, unread, or on their way back. */
static void test_machines_go_in_the_middle(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p, NULL);
    send_tag(&p, 0, 10);
    p2p_sim_run(p.sim, 50000);
    send_tag(&p, 0, 10);
    send_to(p.from, 2, 9, 0, 10);
    p2p_sim_run(p.sim, 25000);
    send_tag(&p, 0, 10);
    send_to(p.to, 1, p.from->local.port, 0, 10);
    p.a->ops->detach(p.a);
    p2p_io_free(p.a);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(drain(p.to, NULL, NULL, NULL), 2);
    send_to(p.to, 1, 9, 0, 10);
    p.b->ops->detach(p.b);
    p2p_sim_free(p.sim);
}

static uint64_t run_hash(uint64_t seed)
{
    p2p_sim_options options = P2P_SIM_OPTIONS_INIT;
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    static uint8_t counts[MANY];
    options.seed = seed;
    path.loss_ppm = path.duplicate_ppm = path.reorder_ppm = 100000;
    struct pair p = {.sim = p2p_sim_new(&options)};
    p.a = p2p_sim_host(p.sim, "10.0.0.1", 0);
    p.b = p2p_sim_host(p.sim, "10.0.0.2", 0);
    assert_int_equal(p2p_sim_path(p.sim, 0, 0, &path), 0);
    p.a->turn = p.b->turn = turn;
    p.from = bind_any(p.a);
    p.to = bind_any(p.b);
    for (uint32_t i = 0; i < 1000; i++)
        send_tag(&p, i, (uint16_t)(10 + i % 1000));
    p2p_sim_run(p.sim, 1000000);
    drain(p.to, counts, NULL, NULL);
    uint64_t hash = p2p_sim_hash(p.sim);
    pair_close(&p);
    return hash;
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    assert_true(run_hash(7) == run_hash(7));
    assert_true(run_hash(7) != run_hash(8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_duplicates_and_order),
        cmocka_unit_test(test_jitter_lets_one_overtake_another),
        cmocka_unit_test(test_longer_than_the_path_takes_vanishes),
        cmocka_unit_test(test_rate_and_queue),
        cmocka_unit_test(test_a_box_forgets_ports),
        cmocka_unit_test(test_a_machine_moves),
        cmocka_unit_test(test_walls_are_silent_and_refusal_is_not),
        cmocka_unit_test(test_machines_go_in_the_middle),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
