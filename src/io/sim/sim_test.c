/* Clocks, turns, latency, rate, windows, replay: the world when nothing is broken. */
#include "tests/test.h"

#include <stdlib.h>

#include "crypto/crypto.h"
#include "io/sim/queue.h"
#include "io/sim/rng.h"
#include "tests/sim_links.h"

/* Events */

struct trace {
    p2p_sim *sim;
    char order[32];
    uint64_t at[32];
    size_t count;
    char name;
};

struct note {
    struct trace *trace;
    char name;
};

static void take_note(void *user)
{
    struct note *note = user;
    struct trace *trace = note->trace;
    trace->at[trace->count] = p2p_sim_now_us(trace->sim);
    trace->order[trace->count++] = note->name;
}

static void test_events_come_by_time_then_by_order(void **state)
{
    (void)state;
    struct trace trace = {.sim = sim_with(1, NULL)};
    struct note notes[] = {{&trace, 'a'}, {&trace, 'b'}, {&trace, 'c'}, {&trace, 'd'}};
    assert_int_equal(p2p_sim_at(trace.sim, 50, take_note, &notes[0]), 0);
    assert_int_equal(p2p_sim_at(trace.sim, 10, take_note, &notes[1]), 0);
    assert_int_equal(p2p_sim_at(trace.sim, 50, take_note, &notes[2]), 0);
    assert_int_equal(p2p_sim_at(trace.sim, 11, take_note, &notes[3]), 0);
    p2p_sim_run(trace.sim, 49);
    assert_string_equal(trace.order, "bd");
    assert_int_equal(p2p_sim_now_us(trace.sim), 49);
    p2p_sim_run(trace.sim, 1);
    assert_string_equal(trace.order, "bdac");
    assert_int_equal(trace.at[0], 10);
    assert_int_equal(trace.at[3], 50);
    assert_int_equal(p2p_sim_events(trace.sim), 4);
    assert_false(p2p_sim_step(trace.sim));
    /* The past is now. */
    assert_int_equal(p2p_sim_at(trace.sim, 3, take_note, &notes[0]), 0);
    assert_true(p2p_sim_step(trace.sim));
    assert_int_equal(trace.at[4], 50);
    p2p_sim_free(trace.sim);
}

/* Random sets, moves and removals against a plain table. */
static void test_queue_keeps_order_under_random_use(void **state)
{
    (void)state;
    enum { EVENTS = 200, ROUNDS = 20000 };
    struct sim_event events[EVENTS] = {0};
    uint64_t at[EVENTS], set_in[EVENTS];
    struct sim_queue queue = {0};
    struct sim_rng rng;
    sim_rng_init(&rng, 5, 5);
    for (int i = 0; i < EVENTS; i++) {
        assert_int_equal(p2p__sim_queue_reserve(&queue), 0);
        at[i] = SIM_NEVER;
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t i = sim_rng_below(&rng, EVENTS);
        uint64_t to = sim_rng_below(&rng, 5) ? sim_rng_below(&rng, 50) : SIM_NEVER;
        p2p__sim_queue_set(&queue, &events[i], to);
        set_in[i] = to == at[i] ? set_in[i] : round;
        at[i] = to;
        if (round % 2)
            continue;
        uint64_t best = EVENTS;
        for (uint64_t k = 0; k < EVENTS; k++)
            if (at[k] != SIM_NEVER && (best == EVENTS || at[k] < at[best] ||
                                       (at[k] == at[best] && set_in[k] < set_in[best])))
                best = k;
        assert_true(sim_queue_at(&queue) == (best == EVENTS ? SIM_NEVER : at[best]));
        assert_ptr_equal(p2p__sim_queue_pop(&queue), best == EVENTS ? NULL : &events[best]);
        if (best < EVENTS)
            at[best] = SIM_NEVER;
    }
    for (int i = 0; i < EVENTS; i++)
        p2p__sim_queue_release(&queue, &events[i]);
    assert_int_equal(queue.count + queue.reserved, 0);
    free(queue.slots);
}

/* Machines */

static void test_turns_come_by_mark_and_by_deadline(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine m;
    machine_init(&m, sim, 1, 0);
    const struct io_ops *ops = m.io->ops;
    ops->mark(m.io);
    ops->mark(m.io);
    assert_int_equal(m.turns, 0);
    p2p_sim_run(sim, 0);
    assert_int_equal(m.turns, 1);
    uint64_t now = ops->now_us(m.io);
    ops->wake_at(m.io, now + 700);
    ops->wake_at(m.io, now + 500);
    p2p_sim_run(sim, 499);
    assert_int_equal(m.turns, 1);
    p2p_sim_run(sim, 1);
    assert_int_equal(m.turns, 2);
    assert_int_equal(m.turn_at, now + 500);
    p2p_sim_run(sim, 1000);
    assert_int_equal(m.turns, 2);
    ops->wake_at(m.io, ops->now_us(m.io) + 10);
    ops->wake_at(m.io, UINT64_MAX);
    p2p_sim_run(sim, 1000);
    assert_int_equal(m.turns, 2);
    ops->wake_at(m.io, 0); /* it has passed */
    p2p_sim_run(sim, 0);
    assert_int_equal(m.turns, 3);
    machine_fini(&m);
    p2p_sim_free(sim);
}

static void marks_for_ever(void *user)
{
    struct machine *m = user;
    m->turns++;
    m->io->ops->mark(m->io);
    m->io->ops->wake_at(m->io, 0);
}

static void test_a_host_that_marks_itself_lets_time_pass(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine m, other;
    machine_init(&m, sim, 1, 0);
    machine_init(&other, sim, 2, 0);
    m.io->turn = marks_for_ever;
    m.io->ops->mark(m.io);
    other.io->ops->wake_at(other.io, io_now_us(other.io) + 100);
    p2p_sim_run(sim, 100);
    assert_int_equal(m.turns, 101);
    assert_int_equal(other.turns, 1);
    machine_fini(&m);
    machine_fini(&other);
    p2p_sim_free(sim);
}

static void test_posts_run_in_order_and_before_detach_returns(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine m;
    machine_init(&m, sim, 1, 0);
    struct trace trace = {.sim = sim};
    struct note a = {&trace, 'a'}, b = {&trace, 'b'}, c = {&trace, 'c'};
    const struct io_ops *ops = m.io->ops;
    assert_int_equal(ops->post(m.io, take_note, &a), 0);
    assert_int_equal(ops->post(m.io, take_note, &b), 0);
    assert_string_equal(trace.order, "");
    p2p_sim_run(sim, 0);
    assert_string_equal(trace.order, "ab");
    assert_int_equal(m.turns, 0); /* a post is no mark */
    assert_int_equal(ops->post(m.io, take_note, &c), 0);
    ops->mark(m.io);
    ops->detach(m.io);
    assert_string_equal(trace.order, "abc");
    assert_int_equal(ops->post(m.io, take_note, &a), P2P_ECLOSED);
    p2p_sim_run(sim, 1000);
    assert_int_equal(m.turns, 0);
    assert_string_equal(trace.order, "abc");
    machine_fini(&m);
    p2p_sim_free(sim);
}

static void free_in_turn(void *user)
{
    struct machine *m = user;
    m->turns++;
    m->io->ops->detach(m->io);
    p2p_io_free(m->io);
}

static void test_an_io_may_be_freed_in_its_own_turn(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine m;
    machine_init(&m, sim, 1, 0);
    m.io->turn = free_in_turn;
    m.io->ops->mark(m.io);
    p2p_sim_run(sim, 10);
    assert_int_equal(m.turns, 1);
    p2p_sim_free(sim);
}

static void test_clocks_step_apart(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine a, b;
    machine_init(&a, sim, 1, 0);
    machine_init(&b, sim, 2, 0);
    const struct io_ops *ops = a.io->ops;
    uint64_t now = ops->now_us(a.io);
    int64_t wall = ops->wall_us(a.io);
    assert_true(now > 0);
    assert_true(wall == 1767225600000000);
    p2p_sim_clock_step(a.io, -5000000, 0);
    assert_true(ops->wall_us(a.io) == wall - 5000000);
    assert_true(ops->now_us(a.io) == now);
    assert_true(ops->wall_us(b.io) == wall);
    ops->wake_at(a.io, now + 60000000);
    p2p_sim_clock_step(a.io, 0, 30000000);
    p2p_sim_run(sim, 29999999);
    assert_int_equal(a.turns, 0);
    p2p_sim_run(sim, 1);
    assert_int_equal(a.turns, 1);
    assert_true(a.turn_at == now + 60000000);
    assert_true(ops->now_us(b.io) == now + 30000000);
    /* A deadline that passes during the jump is due at once. */
    ops->wake_at(a.io, ops->now_us(a.io) + 10);
    p2p_sim_clock_step(a.io, 0, 1000);
    p2p_sim_run(sim, 0);
    assert_int_equal(a.turns, 2);
    machine_fini(&a);
    machine_fini(&b);
    p2p_sim_free(sim);
}

static void test_addresses_are_told_and_unique(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    p2p_io *io = p2p_sim_host(sim, NULL, 0);
    char text[46];
    assert_int_equal(p2p_sim_address(io, 0, text, sizeof(text)), 0);
    assert_string_equal(text, "10.0.0.1");
    assert_int_equal(p2p_sim_add_address(io, "2001:db8::1"), 0);
    assert_int_equal(p2p_sim_address(io, 1, text, sizeof(text)), 0);
    assert_string_equal(text, "2001:db8::1");
    assert_int_equal(p2p_sim_address(io, 2, text, sizeof(text)), P2P_ENOENT);
    assert_int_equal(p2p_sim_add_address(io, "2001:db8::1"), P2P_EEXIST);
    assert_null(p2p_sim_host(sim, "10.0.0.1", 0));
    static const char *const bad[] = {"",   "10.0.0",  "10.0.0.256", "127.0.0.1", "::1",
                                      "::", "0.0.0.0", "224.0.0.1",  "ff02::1",   "host"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(p2p_sim_host(sim, bad[i], 0));
        assert_int_equal(p2p_sim_add_address(io, bad[i]), P2P_EADDR);
    }
    struct io_interface list[4];
    assert_int_equal(io->ops->interfaces(io, list, 1), 4);
    assert_int_equal(io->ops->interfaces(io, list, 4), 4);
    assert_true(list[0].loopback && list[1].loopback && !list[2].loopback);
    assert_int_equal(list[2].addr.ip[0], 10);
    assert_int_equal(list[3].addr.family, 6);
    assert_true(list[3].up);
    p2p_sim_host_down(io);
    assert_int_equal(io->ops->interfaces(io, list, 4), 4);
    assert_true(list[0].up && !list[3].up);
    p2p_sim_free(sim);
}

static void test_machines_draw_apart_and_repeatably(void **state)
{
    (void)state;
    uint8_t draw[3][2][20];
    for (int run = 0; run < 3; run++) {
        p2p_sim *sim = sim_with(run < 2 ? 7 : 8, NULL);
        p2p_io *a = p2p_sim_host(sim, NULL, 0), *b = p2p_sim_host(sim, NULL, 0);
        if (run == 1) /* what one draws changes nothing for the other */
            b->ops->random(b, draw[run][1], 20);
        a->ops->random(a, draw[run][0], 20);
        if (run != 1)
            b->ops->random(b, draw[run][1], 20);
        p2p_sim_free(sim);
    }
    assert_memory_equal(draw[0], draw[1], sizeof(draw[0]));
    assert_memory_not_equal(draw[0][0], draw[0][1], 20);
    assert_memory_not_equal(draw[0][0], draw[2][0], 20);
}

static void test_crypto_is_real_unless_asked(void **state)
{
    (void)state;
    p2p_sim_options options = P2P_SIM_OPTIONS_INIT;
    for (int cheap = 0; cheap < 2; cheap++) {
        options.cheap_crypto = cheap;
        p2p_sim *sim = p2p_sim_new(cheap ? &options : NULL);
        p2p_io *io = p2p_sim_host(sim, NULL, 0);
        const struct p2p__crypto *want = cheap ? &p2p__crypto_cheap : &p2p__crypto_real;
        assert_ptr_equal(io->crypto, want);
        p2p_sim_free(sim);
    }
}

/* Work beside the loop */

struct job_log {
    struct trace trace;
    bool woken;
};

static void run_job(void *user)
{
    struct job_log *log = user;
    take_note(&(struct note){&log->trace, 'r'});
}

static void job_woken(struct io_job *job)
{
    struct job_log *log = job->owner;
    assert_true(job->done);
    log->woken = true;
}

static uint64_t job_at(uint64_t seed)
{
    struct job_log log = {.trace.sim = sim_with(seed, NULL)};
    p2p_io *io = p2p_sim_host(log.trace.sim, NULL, 0);
    struct io_job *job, *dropped;
    assert_int_equal(io->ops->job(io, run_job, &log, &job), 0);
    job->owner = &log;
    job->wake = job_woken;
    assert_int_equal(log.trace.count, 0); /* not at once */
    p2p_sim_run(log.trace.sim, 20000);
    assert_int_equal(log.trace.count, 1);
    assert_true(log.woken);
    io->ops->job_end(job);
    /* A machine that is gone ends its work unfinished. */
    assert_int_equal(io->ops->job(io, run_job, &log, &dropped), 0);
    p2p_sim_free(log.trace.sim);
    assert_int_equal(log.trace.count, 1);
    return log.trace.at[0];
}

static void test_a_job_takes_its_time(void **state)
{
    (void)state;
    uint64_t first = job_at(1);
    assert_true(first > 0);
    assert_true(first == job_at(1));
    assert_true(first != job_at(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_by_time_then_by_order),
        cmocka_unit_test(test_queue_keeps_order_under_random_use),
        cmocka_unit_test(test_turns_come_by_mark_and_by_deadline),
        cmocka_unit_test(test_a_host_that_marks_itself_lets_time_pass),
        cmocka_unit_test(test_posts_run_in_order_and_before_detach_returns),
        cmocka_unit_test(test_an_io_may_be_freed_in_its_own_turn),
        cmocka_unit_test(test_clocks_step_apart),
        cmocka_unit_test(test_addresses_are_told_and_unique),
        cmocka_unit_test(test_machines_draw_apart_and_repeatably),
        cmocka_unit_test(test_crypto_is_real_unless_asked),
        cmocka_unit_test(test_a_job_takes_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
