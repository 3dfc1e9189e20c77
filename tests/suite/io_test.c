/* What every io promises, asked of each backend alike: real sockets on libuv, and the simulator. */
#include "tests/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <p2p/sim.h>
#include <p2p/uv.h>

#include "io/io.h"

enum { IN_MAX = 2 * 65537 };

struct party {
    struct p2p_io *io;
    struct pool pool;
    struct io_addr addr; /* where it may listen; port 0 */
    struct io_listener *listener;
    int turns, wakes, changes;
    bool in_turn, nested;
};

struct io_under_test {
    const char *name;
    void (*open)(struct io_under_test *);
    void (*step)(struct io_under_test *); /* something happens, or time passes */
    void (*close)(struct io_under_test *);
    p2p_sim *sim;
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct party a, b;
};

/* The backends */

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void uv_open(struct io_under_test *self)
{
    assert_int_equal(uv_loop_init(&self->loop), 0);
    uv_timer_init(&self->loop, &self->watchdog);
    uv_timer_start(&self->watchdog, on_watchdog, 20000, 0);
    self->a.io = p2p_io_uv(&self->loop);
    self->b.io = p2p_io_uv(&self->loop);
    self->a.addr = self->b.addr = (struct io_addr){.family = 4, .ip = {127, 0, 0, 1}};
}

static void uv_step(struct io_under_test *self)
{
    uv_run(&self->loop, UV_RUN_ONCE);
}

static void uv_close_all(struct io_under_test *self)
{
    uv_close((uv_handle_t *)&self->watchdog, NULL);
    uv_run(&self->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&self->loop), 0);
}

static void sim_open(struct io_under_test *self)
{
    self->sim = p2p_sim_new(NULL);
    self->a.io = p2p_sim_host(self->sim, "10.0.0.1", 0);
    self->b.io = p2p_sim_host(self->sim, "10.0.0.2", 0);
    self->a.addr = (struct io_addr){.family = 4, .ip = {10, 0, 0, 1}};
    self->b.addr = (struct io_addr){.family = 4, .ip = {10, 0, 0, 2}};
}

static void sim_bytes_open(struct io_under_test *self)
{
    sim_open(self);
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.segments = P2P_SIM_RANDOM;
    path.jitter_us = 1000;
    path.loss_ppm = 1000;
    assert_int_equal(p2p_sim_path(self->sim, 0, 0, &path), 0);
}

static void sim_step(struct io_under_test *self)
{
    assert_true(p2p_sim_now_us(self->sim) < 3600ull * 1000000); /* its watchdog */
    if (!p2p_sim_step(self->sim))
        p2p_sim_run(self->sim, 1000);
}

static void sim_close(struct io_under_test *self)
{
    p2p_sim_free(self->sim);
}

static const struct io_under_test backends[] = {
    {.name = "uv", .open = uv_open, .step = uv_step, .close = uv_close_all},
    {.name = "sim", .open = sim_open, .step = sim_step, .close = sim_close},
    {.name = "sim, lossy", .open = sim_bytes_open, .step = sim_step, .close = sim_close},
};

enum { BACKENDS = sizeof(backends) / sizeof(backends[0]) };

#define UNTIL(self, condition)                                                                     \
    while (!(condition))                                                                           \
    (self)->step(self)

/* Parties */

static void on_turn(void *user)
{
    struct party *self = user;
    self->nested |= self->in_turn;
    self->turns++;
}

static void party_open(struct party *self)
{
    assert_non_null(self->io);
    p2p__pool_init(&self->pool, 0);
    self->io->turn = on_turn;
    self->io->user = self;
}

static void never(void *user)
{
    (void)user;
    abort();
}

static void party_close(struct party *self)
{
    if (self->listener)
        self->io->ops->unlisten(self->listener);
    self->io->ops->detach(self->io);
    assert_int_equal(self->io->ops->post(self->io, never, NULL), P2P_ECLOSED);
    p2p_io_free(self->io);
    assert_int_equal(self->pool.used_bytes, 0);
    p2p__pool_fini(&self->pool);
    assert_false(self->nested);
}

static struct io_under_test *open_backend(void **state)
{
    struct io_under_test *self = malloc(sizeof(*self));
    *self = *(const struct io_under_test *)*state;
    self->open(self);
    party_open(&self->a);
    party_open(&self->b);
    return self;
}

static void close_backend(struct io_under_test *self)
{
    party_close(&self->a);
    party_close(&self->b);
    self->close(self);
    free(self);
}

static void on_link_wake(struct link *link)
{
    struct party *self = link->owner;
    self->wakes++;
    self->io->ops->mark(self->io);
}

static void on_listener_wake(struct io_listener *listener)
{
    struct party *self = listener->owner;
    self->wakes++;
    self->io->ops->mark(self->io);
}

static void party_listen(struct party *self)
{
    int sys_errno = -1;
    assert_int_equal(self->io->ops->listen(self->io, &self->addr, &self->listener, &sys_errno), 0);
    assert_int_equal(sys_errno, 0);
    assert_int_not_equal(self->listener->local.port, 0);
    self->listener->owner = self;
    self->listener->wake = on_listener_wake;
}

static struct link *adopt(struct party *self, struct link *link)
{
    link->owner = self;
    link->wake = on_link_wake;
    link->in.max = IN_MAX;
    return link;
}

static struct link *dial(struct party *self, const struct io_addr *remote)
{
    struct link *link = NULL;
    int sys_errno = -1;
    assert_int_equal(self->io->ops->dial(self->io, remote, NULL, 0, &self->pool, &link, &sys_errno),
                     0);
    assert_false(link->connected);
    return adopt(self, link);
}

static struct link *accept_one(struct io_under_test *world, struct party *self)
{
    struct link *link = NULL;
    int sys_errno = -1;
    UNTIL(world, self->listener->acceptable);
    assert_int_equal(self->io->ops->accept(self->listener, &self->pool, &link, &sys_errno), 0);
    assert_true(link->connected && link->writable);
    return adopt(self, link);
}

static void connect_pair(struct io_under_test *world, struct link **from, struct link **to)
{
    if (!world->b.listener)
        party_listen(&world->b);
    *from = dial(&world->a, &world->b.listener->local);
    *to = accept_one(world, &world->b);
    UNTIL(world, (*from)->connected);
    assert_true((*from)->writable);
}

static void drop(struct link *link, bool abortive)
{
    p2p__buf_fini(&link->in, link->pool);
    p2p__outq_fini(&link->out, link->pool);
    link->ops->close(link, abortive);
}

static void send_bytes(struct link *link, const void *bytes, size_t len)
{
    struct iov iov = {(uint8_t *)(uintptr_t)bytes, len};
    assert_int_equal(link_send(link, &iov, 1), 0);
}

/* Until `in` holds so many bytes, settled. */
static void receive(struct io_under_test *world, struct link *link, size_t len)
{
    while (buf_len(&link->in) < len) {
        UNTIL(world, link->readable);
        link->ops->fill(link);
        assert_int_equal(link->err, 0);
        assert_false(link->eof);
        assert_int_equal(p2p__buf_settle(&link->in, link->pool), 0);
    }
}

/* Reads to the end, whichever it is; returns the bytes. */
static size_t read_out(struct io_under_test *world, struct link *link)
{
    size_t total = 0;
    while (!link->eof && !link->err) {
        UNTIL(world, link->readable);
        total += link->ops->fill(link);
        buf_consume(&link->in, buf_len(&link->in));
    }
    assert_int_equal(link->ops->fill(link), 0);
    return total;
}

/* Clocks and turns */

static void test_turns_are_marked(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct party *a = &world->a;
    a->io->ops->mark(a->io);
    a->io->ops->mark(a->io);
    assert_int_equal(a->turns, 0);
    UNTIL(world, a->turns > 0);
    uint64_t start = io_now_us(a->io);
    a->io->ops->wake_at(a->io, start + 3600000000u);
    a->io->ops->wake_at(a->io, start + 3000);
    UNTIL(world, a->turns > 1);
    assert_true(io_now_us(a->io) >= start + 3000);
    assert_int_equal(a->turns, 2);
    assert_int_equal(world->b.turns, 0);
    assert_true(a->io->ops->on_thread(a->io));
    assert_true(a->io->ops->wall_us(a->io) > 1700000000000000);
    close_backend(world);
}

static uint64_t turn_clock;

static void spinning_turn(void *user)
{
    struct party *self = user;
    self->turns++;
    turn_clock = io_now_us(self->io);
    self->io->ops->mark(self->io);
    self->io->ops->wake_at(self->io, turn_clock);
    self->nested |= io_now_us(self->io) != turn_clock; /* it stands still within a turn */
}

static void test_a_host_that_never_rests_delays_nobody(void **state)
{
    struct io_under_test *world = open_backend(state);
    world->a.io->turn = spinning_turn;
    world->a.io->ops->mark(world->a.io);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    send_bytes(to, "through", 7);
    receive(world, from, 7);
    assert_true(world->a.turns > 3);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

static char posted[8];

static void post_a(void *user)
{
    (void)user;
    strcat(posted, "a");
}

static void post_b(void *user)
{
    struct party *self = user;
    strcat(posted, "b");
    assert_int_equal(self->io->ops->post(self->io, post_a, self), 0);
}

static void test_posts_run_in_order(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct p2p_io *io = world->a.io;
    posted[0] = 0;
    assert_int_equal(io->ops->post(io, post_a, &world->a), 0);
    assert_int_equal(io->ops->post(io, post_b, &world->a), 0);
    assert_string_equal(posted, "");
    UNTIL(world, strlen(posted) == 3);
    assert_string_equal(posted, "aba");
    assert_int_equal(io->ops->post(io, post_a, &world->a), 0);
    close_backend(world); /* which runs it */
    assert_string_equal(posted, "abaa");
}

static void test_random_and_interfaces(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct p2p_io *io = world->a.io;
    uint8_t one[32] = {0}, two[32] = {0};
    io->ops->random(io, one, 32);
    io->ops->random(io, two, 32);
    assert_memory_not_equal(one, two, 32);
    struct io_interface list[64];
    int count = io->ops->interfaces(io, list, 64);
    bool loopback = false;
    assert_true(count > 0);
    for (int i = 0; i < count && i < 64; i++) {
        assert_int_equal(list[i].addr.port, 0);
        assert_int_equal(list[i].loopback, p2p__io_addr_is_loopback(&list[i].addr));
        loopback |= list[i].loopback;
    }
    assert_true(loopback);
    assert_int_equal(io->ops->interfaces(io, NULL, 0), count);
    close_backend(world);
}

static void count_change(void *user)
{
    struct party *self = user;
    self->changes++;
}

static void test_interfaces_are_watched(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct p2p_io *io = world->a.io;
    io->interfaces_changed = count_change;
    assert_int_equal(io->ops->watch_interfaces(io), 0);
    assert_int_equal(io->ops->watch_interfaces(io), 0);
    if (world->sim) {
        int before = io->ops->interfaces(io, NULL, 0);
        assert_int_equal(world->a.changes, 0);
        assert_int_equal(p2p_sim_add_address(io, "10.9.9.9"), 0);
        assert_int_equal(world->a.changes, 1);
        assert_int_equal(io->ops->interfaces(io, NULL, 0), before + 1);
        assert_int_equal(p2p_sim_add_address(io, "10.9.9.9"), P2P_EEXIST);
        assert_int_equal(p2p_sim_add_address(world->b.io, "10.9.9.8"), 0); /* another's */
        assert_int_equal(world->a.changes, 1);
        p2p_sim_host_down(io);
        p2p_sim_host_up(io);
        assert_int_equal(world->a.changes, 3);
    }
    close_backend(world); /* leaves nothing open */
}

/* Links */

static void test_both_ends_know_the_addresses(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    assert_true(p2p__io_addr_equal(&from->remote, &world->b.listener->local));
    assert_true(p2p__io_addr_equal(&from->remote, &to->local));
    assert_true(p2p__io_addr_equal(&from->local, &to->remote));
    assert_true(world->a.wakes > 0 && world->b.wakes > 0);
    UNTIL(world, world->a.turns > 0 && world->b.turns > 0);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

static void test_nothing_more_to_accept_is_again(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to, *none = NULL;
    int sys_errno = -1;
    connect_pair(world, &from, &to);
    assert_int_equal(world->b.io->ops->accept(world->b.listener, &world->b.pool, &none, &sys_errno),
                     P2P_EAGAIN);
    assert_false(world->b.listener->acceptable);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

static void test_fill_borrows_keeps_to_the_room_and_appends(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    connect_pair(world, &from, &to);
    to->in.max = 200;
    send_bytes(from, bytes, sizeof(bytes));
    UNTIL(world, to->readable);
    assert_true(to->ops->fill(to) > 0);
    assert_true(buf_borrowed(&to->in));
    assert_int_equal(p2p__buf_settle(&to->in, to->pool), 0);
    receive(world, to, 200);
    assert_false(buf_borrowed(&to->in));
    assert_int_equal(to->ops->fill(to), 0);
    assert_true(to->readable); /* there is more, only no room */
    assert_memory_equal(buf_data(&to->in), bytes, 200);
    buf_consume(&to->in, 150);
    receive(world, to, 150);
    assert_memory_equal(buf_data(&to->in), bytes + 150, 150);
    assert_int_equal(to->ops->fill(to), 0);
    assert_false(to->readable);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

/* More than any window, in both directions at once, with a reader that pauses. */
static void test_bulk_arrives_whole_and_backpressure_holds(void **state)
{
    struct io_under_test *world = open_backend(state);
    enum { TOTAL = 20 * 1024 * 1024, CHUNK = 100000, IN_FLIGHT_MAX = 16 * 1024 * 1024 };
    struct link *from, *to;
    connect_pair(world, &from, &to);
    static uint8_t chunk[CHUNK + 251];
    for (size_t i = 0; i < sizeof(chunk); i++)
        chunk[i] = (uint8_t)(i % 251);
    size_t sent = 0, got = 0;
    while (from->writable) { /* nobody reads */
        struct iov iov = {chunk + sent % 251, CHUNK};
        sent += from->ops->write(from, &iov, 1);
        assert_true(sent < IN_FLIGHT_MAX);
    }
    while (got < TOTAL) {
        if (from->writable && sent < TOTAL) {
            struct iov iov = {chunk + sent % 251, TOTAL - sent < CHUNK ? TOTAL - sent : CHUNK};
            sent += from->ops->write(from, &iov, 1);
        }
        if (!to->readable) {
            world->step(world);
            continue;
        }
        to->ops->fill(to);
        for (const uint8_t *p = buf_data(&to->in), *end = p + buf_len(&to->in); p < end; p++)
            if (*p != (uint8_t)(got++ % 251))
                fail_msg("byte %zu is wrong", got - 1);
        buf_consume(&to->in, buf_len(&to->in));
    }
    assert_int_equal(got, sent);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

static void test_flush_sends_what_was_refused(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    size_t len = 12 * 1024 * 1024, got = 0;
    uint8_t *bytes = calloc(1, len);
    send_bytes(from, bytes, len);
    free(bytes);
    assert_true(outq_len(&from->out) > 0);
    assert_false(from->writable);
    while (got < len) {
        if (outq_len(&from->out) && from->writable)
            from->ops->flush(from);
        if (to->readable)
            got += to->ops->fill(to);
        else
            world->step(world);
        buf_consume(&to->in, buf_len(&to->in));
    }
    assert_int_equal(outq_len(&from->out), 0);
    drop(from, false);
    drop(to, false);
    close_backend(world);
}

/* Ends */

static void test_shutdown_ends_one_direction(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    send_bytes(from, "last words", 10);
    from->ops->shutdown(from);
    assert_int_equal(read_out(world, to), 10);
    assert_true(to->eof && !to->err && !to->readable);
    send_bytes(to, "answer", 6);
    receive(world, from, 6);
    drop(to, false);
    buf_consume(&from->in, 6);
    assert_int_equal(read_out(world, from), 0);
    assert_true(from->eof && !from->err);
    drop(from, false);
    close_backend(world);
}

static void test_close_delivers_what_was_taken(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    static uint8_t bytes[60000];
    connect_pair(world, &from, &to);
    send_bytes(to, "unread by the other end", 23);
    UNTIL(world, from->readable);
    send_bytes(from, bytes, sizeof(bytes));
    assert_int_equal(outq_len(&from->out), 0);
    drop(from, false);
    assert_int_equal(read_out(world, to), sizeof(bytes));
    assert_true(to->eof);
    drop(to, false);
    close_backend(world);
}

static void test_abort_resets(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    drop(from, true);
    read_out(world, to);
    assert_int_equal(to->err, P2P_ECONN);
    assert_int_equal(to->sys_errno, ECONNRESET);
    assert_false(to->eof);
    drop(to, true);
    close_backend(world);
}

static void test_writing_to_a_closed_end_fails(void **state)
{
    struct io_under_test *world = open_backend(state);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    drop(from, false);
    while (!to->err) {
        struct iov iov = {(uint8_t *)posted, 1};
        if (to->writable)
            to->ops->write(to, &iov, 1);
        if (to->readable && !to->eof)
            to->ops->fill(to);
        world->step(world);
    }
    assert_int_equal(to->err, P2P_ECONN);
    assert_true(to->sys_errno == ECONNRESET || to->sys_errno == EPIPE);
    drop(to, false);
    close_backend(world);
}

static void test_dialing_may_be_given_up(void **state)
{
    struct io_under_test *world = open_backend(state);
    party_listen(&world->b);
    for (int i = 0; i < 2; i++)
        drop(dial(&world->a, &world->b.listener->local), i == 1);
    struct link *from, *to;
    connect_pair(world, &from, &to);
    drop(from, false);
    read_out(world, to);
    drop(to, false);
    close_backend(world);
}

/* Ports */

static void test_nobody_listens_is_refused(void **state)
{
    struct io_under_test *world = open_backend(state);
    party_listen(&world->b);
    struct io_addr at = world->b.listener->local;
    world->b.io->ops->unlisten(world->b.listener);
    world->b.listener = NULL;
    struct link *link = dial(&world->a, &at);
    UNTIL(world, link->err);
    assert_int_equal(link->err, P2P_ECONN);
    assert_int_equal(link->sys_errno, ECONNREFUSED);
    assert_false(link->connected);
    assert_true(world->a.wakes > 0);
    drop(link, false);
    close_backend(world);
}

static void test_a_port_in_use_is_told(void **state)
{
    struct io_under_test *world = open_backend(state);
    party_listen(&world->b);
    struct io_listener *second = NULL;
    int sys_errno = 0;
    assert_int_equal(
        world->b.io->ops->listen(world->b.io, &world->b.listener->local, &second, &sys_errno),
        P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRINUSE);
    assert_null(second);
    struct io_addr foreign = {.family = 4, .ip = {192, 0, 2, 1}};
    assert_int_equal(world->b.io->ops->listen(world->b.io, &foreign, &second, &sys_errno),
                     P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRNOTAVAIL);
    close_backend(world);
}

static void test_dials_come_from_the_listening_port(void **state)
{
    struct io_under_test *world = open_backend(state);
    party_listen(&world->a);
    party_listen(&world->b);
    struct link *from = NULL;
    int sys_errno = -1;
    assert_int_equal(world->a.io->ops->dial(world->a.io, &world->b.listener->local,
                                            &world->a.listener->local, IO_DIAL_REUSE_PORT,
                                            &world->a.pool, &from, &sys_errno),
                     0);
    adopt(&world->a, from);
    struct link *to = accept_one(world, &world->b);
    assert_true(p2p__io_addr_equal(&to->remote, &world->a.listener->local));
    UNTIL(world, from->connected);
    drop(from, true);
    drop(to, true);
    close_backend(world);
}

typedef void (*io_test)(void **state);

int main(void)
{
    static const struct {
        const char *name;
        io_test run;
    } tests[] = {
        {"turns are marked", test_turns_are_marked},
        {"a host that never rests delays nobody", test_a_host_that_never_rests_delays_nobody},
        {"posts run in order", test_posts_run_in_order},
        {"random and interfaces", test_random_and_interfaces},
        {"interfaces are watched", test_interfaces_are_watched},
        {"both ends know the addresses", test_both_ends_know_the_addresses},
        {"nothing more to accept is again", test_nothing_more_to_accept_is_again},
        {"fill borrows, keeps to the room and appends",
         test_fill_borrows_keeps_to_the_room_and_appends},
        {"bulk arrives whole and backpressure holds",
         test_bulk_arrives_whole_and_backpressure_holds},
        {"flush sends what was refused", test_flush_sends_what_was_refused},
        {"shutdown ends one direction", test_shutdown_ends_one_direction},
        {"close delivers what was taken", test_close_delivers_what_was_taken},
        {"abort resets", test_abort_resets},
        {"writing to a closed end fails", test_writing_to_a_closed_end_fails},
        {"dialing may be given up", test_dialing_may_be_given_up},
        {"nobody listens is refused", test_nobody_listens_is_refused},
        {"a port in use is told", test_a_port_in_use_is_told},
        {"dials come from the listening port", test_dials_come_from_the_listening_port},
    };
    enum { TESTS = sizeof(tests) / sizeof(tests[0]) };
    static char names[TESTS * BACKENDS][80];
    static struct CMUnitTest runs[TESTS * BACKENDS];
    for (size_t i = 0; i < TESTS * BACKENDS; i++) {
        const struct io_under_test *backend = &backends[i % BACKENDS];
        snprintf(names[i], sizeof(names[i]), "%s: %s", backend->name, tests[i / BACKENDS].name);
        runs[i] = (struct CMUnitTest){.name = names[i],
                                      .test_func = tests[i / BACKENDS].run,
                                      .initial_state = (void *)(uintptr_t)backend};
    }
    return cmocka_run_group_tests(runs, NULL, NULL);
}
