/* What every io promises of UDP sockets, asked of each backend alike. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <p2p/sim.h>
#include <p2p/uv.h>

#include "io/udp.h"

struct seen {
    uint8_t bytes[IO_TRAIN_BYTES];
    size_t len, cars;
    uint16_t largest, last;
    struct io_train train; /* the last one's description */
};

struct party {
    struct p2p_io *io;
    struct io_udp *udp;
    struct io_addr addr, other_addr; /* two of the machine's; port 0 */
    int wakes;
};

struct bed {
    bool sim_world;
    p2p_sim *sim;
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct party a, b;
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void on_turn(void *user)
{
    (void)user;
}

static void bed_open(struct bed *self, void **state)
{
    *self = (struct bed){.sim_world = *state != NULL};
    if (self->sim_world) {
        self->sim = p2p_sim_new(NULL);
        self->a.io = p2p_sim_host(self->sim, "10.0.0.1", 0);
        self->b.io = p2p_sim_host(self->sim, "10.0.0.2", 0);
        assert_int_equal(p2p_sim_add_address(self->b.io, "10.0.0.3"), 0);
        self->a.addr = (struct io_addr){.family = 4, .ip = {10, 0, 0, 1}};
        self->b.addr = (struct io_addr){.family = 4, .ip = {10, 0, 0, 2}};
        self->b.other_addr = (struct io_addr){.family = 4, .ip = {10, 0, 0, 3}};
    } else {
        assert_int_equal(uv_loop_init(&self->loop), 0);
        uv_timer_init(&self->loop, &self->watchdog);
        uv_timer_start(&self->watchdog, on_watchdog, 20000, 0);
        self->a.io = p2p_io_uv(&self->loop);
        self->b.io = p2p_io_uv(&self->loop);
        self->a.addr = self->b.addr = (struct io_addr){.family = 4, .ip = {127, 0, 0, 1}};
        self->b.other_addr = (struct io_addr){.family = 4, .ip = {127, 0, 0, 2}};
    }
    self->a.io->turn = self->b.io->turn = on_turn;
}

static void party_close(struct party *self)
{
    if (self->udp)
        self->udp->ops->close(self->udp);
    self->io->ops->detach(self->io);
    p2p_io_free(self->io);
}

static void bed_close(struct bed *self)
{
    party_close(&self->a);
    party_close(&self->b);
    if (self->sim_world) {
        p2p_sim_free(self->sim);
        return;
    }
    uv_close((uv_handle_t *)&self->watchdog, NULL);
    uv_run(&self->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&self->loop), 0);
}

static void step(struct bed *self)
{
    if (!self->sim_world) {
        uv_run(&self->loop, UV_RUN_ONCE);
        return;
    }
    assert_true(p2p_sim_now_us(self->sim) < 60000000);
    if (!p2p_sim_step(self->sim))
        p2p_sim_run(self->sim, 1000);
}

#define UNTIL(bed, condition)                                                                      \
    while (!(condition))                                                                           \
    step(bed)

static void on_wake(struct io_udp *udp)
{
    struct party *self = udp->owner;
    self->wakes++;
}

static int bind_at(struct party *self, const struct io_addr *at, unsigned flags,
                   struct io_udp **out)
{
    int sys_errno = -1;
    int code = self->io->ops->udp(self->io, at, flags, out, &sys_errno);
    if (code == 0) {
        (*out)->owner = self;
        (*out)->wake = on_wake;
        assert_true((*out)->writable && !(*out)->troubled);
        assert_int_not_equal((*out)->local.port, 0);
    }
    return code == 0 ? 0 : -sys_errno;
}

static void bind_both(struct bed *self)
{
    assert_int_equal(bind_at(&self->a, &self->a.addr, 0, &self->a.udp), 0);
    assert_int_equal(bind_at(&self->b, &self->b.addr, 0, &self->b.udp), 0);
}

static struct io_train train_to(const struct io_udp *udp, void *bytes, size_t len, uint16_t segment)
{
    return (struct io_train){.base = bytes,
                             .len = (uint32_t)len,
                             .segment = segment,
                             .remote = udp->local,
                             .local = {.family = udp->local.family}};
}

static void send_one(struct party *from, const struct io_udp *to, const char *text)
{
    struct io_train train =
        train_to(to, (void *)(uintptr_t)text, strlen(text), (uint16_t)strlen(text));
    assert_int_equal(from->udp->ops->send(from->udp, &train, 1), 1);
}

/* Until so many datagrams have come; their bytes one behind the other. */
static void receive(struct bed *bed, struct io_udp *udp, size_t cars, struct seen *out)
{
    struct io_train trains[IO_TRAINS_MAX];
    *out = (struct seen){0};
    while (out->cars < cars) {
        UNTIL(bed, udp->readable);
        size_t count = udp->ops->recv(udp, trains, IO_TRAINS_MAX);
        for (size_t i = 0; i < count; i++) {
            struct io_train *t = &trains[i];
            assert_true(out->len + t->len <= sizeof(out->bytes));
            memcpy(out->bytes + out->len, t->base, t->len);
            out->len += t->len;
            out->cars += t->len ? (t->len + t->segment - 1) / t->segment : 1;
            out->largest = t->segment > out->largest ? t->segment : out->largest;
            out->last = t->len ? (uint16_t)((t->len - 1) % t->segment + 1) : 0;
            out->train = *t;
        }
    }
    assert_int_equal(out->cars, cars);
}

static void expect(struct bed *bed, struct io_udp *udp, const char *text, struct seen *out)
{
    receive(bed, udp, 1, out);
    assert_int_equal(out->len, strlen(text));
    assert_memory_equal(out->bytes, text, strlen(text));
}

static void test_datagrams_go_both_ways(void **state)
{
    struct bed bed;
    static struct seen seen;
    bed_open(&bed, state);
    bind_both(&bed);
    assert_int_equal(bed.b.udp->ops->recv(bed.b.udp, &seen.train, 1), 0);
    send_one(&bed.a, bed.b.udp, "ping");
    expect(&bed, bed.b.udp, "ping", &seen);
    assert_true(bed.b.wakes > 0);
    assert_true(p2p__io_addr_equal(&seen.train.remote, &bed.a.udp->local));
    assert_true(p2p__io_addr_equal(&seen.train.local, &bed.b.udp->local));
    send_one(&bed.b, bed.a.udp, "pong!");
    expect(&bed, bed.a.udp, "pong!", &seen);
    assert_int_equal(bed.a.udp->ops->recv(bed.a.udp, &seen.train, 1), 0);
    assert_false(bed.a.udp->readable);
    bed_close(&bed);
}

/* Whatever the system can do in one piece, each datagram is one. */
static void test_trains_keep_their_datagrams(void **state)
{
    struct bed bed;
    static struct seen seen;
    static uint8_t bytes[63 * 1000 + 321];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 1000);
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_train train = train_to(bed.b.udp, bytes, sizeof(bytes), 1000);
    assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
    receive(&bed, bed.b.udp, 64, &seen);
    assert_int_equal(seen.len, sizeof(bytes));
    assert_int_equal(seen.largest, 1000);
    assert_int_equal(seen.last, 321);
    assert_memory_equal(seen.bytes, bytes, sizeof(bytes));
    bed_close(&bed);
}

static void test_several_trains_at_once(void **state)
{
    struct bed bed;
    static struct seen seen;
    static uint8_t bytes[3][2000];
    struct io_train trains[3];
    bed_open(&bed, state);
    bind_both(&bed);
    for (int i = 0; i < 3; i++) {
        memset(bytes[i], 'a' + i, sizeof(bytes[i]));
        trains[i] = train_to(bed.b.udp, bytes[i], sizeof(bytes[i]), (uint16_t)(400 + 400 * i));
    }
    assert_int_equal(bed.a.udp->ops->send(bed.a.udp, trains, 3), 3);
    receive(&bed, bed.b.udp, 5 + 3 + 2, &seen);
    assert_memory_equal(seen.bytes, bytes, sizeof(bytes));
    bed_close(&bed);
}

static void test_ecn_travels(void **state)
{
    struct bed bed;
    static struct seen seen;
    char mark[] = "marked";
    bed_open(&bed, state);
    bind_both(&bed);
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        struct io_train train = train_to(bed.b.udp, mark, 6, 6);
        train.ecn = ecn;
        assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
        expect(&bed, bed.b.udp, mark, &seen);
        assert_int_equal(seen.train.ecn, ecn);
    }
    bed_close(&bed);
}

static void test_the_address_that_was_asked_answers(void **state)
{
    struct bed bed;
    static struct seen seen;
    struct io_addr any = {.family = 4};
    bed_open(&bed, state);
    assert_int_equal(bind_at(&bed.a, &bed.a.addr, 0, &bed.a.udp), 0);
    assert_int_equal(bind_at(&bed.b, &any, 0, &bed.b.udp), 0);
    struct io_train train = train_to(bed.b.udp, "who", 3, 3);
    train.remote = bed.b.other_addr;
    train.remote.port = bed.b.udp->local.port;
    assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
    expect(&bed, bed.b.udp, "who", &seen);
    assert_true(p2p__io_addr_equal(&seen.train.local, &train.remote));
    struct io_train reply = train_to(bed.a.udp, "me", 2, 2);
    reply.local = seen.train.local;
    assert_int_equal(bed.b.udp->ops->send(bed.b.udp, &reply, 1), 1);
    expect(&bed, bed.a.udp, "me", &seen);
    assert_true(p2p__io_addr_equal(&seen.train.remote, &train.remote));
    bed_close(&bed);
}

static void test_source_is_known_beforehand(void **state)
{
    struct bed bed;
    static struct seen seen;
    struct io_addr any = {.family = 4}, source;
    bed_open(&bed, state);
    assert_int_equal(bind_at(&bed.a, &any, 0, &bed.a.udp), 0);
    assert_int_equal(bind_at(&bed.b, &bed.b.addr, 0, &bed.b.udp), 0);
    assert_true(bed.a.udp->ops->source(bed.a.udp, &bed.b.udp->local, &source));
    send_one(&bed.a, bed.b.udp, "from");
    expect(&bed, bed.b.udp, "from", &seen);
    assert_true(p2p__io_addr_equal(&seen.train.remote, &source));
    assert_true(bed.b.udp->ops->source(bed.b.udp, &source, &source));
    assert_true(p2p__io_addr_equal(&source, &bed.b.udp->local));
    bed_close(&bed);
}

static void test_an_empty_datagram_is_one(void **state)
{
    struct bed bed;
    static struct seen seen;
    bed_open(&bed, state);
    bind_both(&bed);
    send_one(&bed.a, bed.b.udp, "");
    send_one(&bed.a, bed.b.udp, "x");
    receive(&bed, bed.b.udp, 2, &seen);
    assert_int_equal(seen.len, 1);
    bed_close(&bed);
}

static void test_nobody_there_is_told_and_nothing_breaks(void **state)
{
    struct bed bed;
    static struct seen seen;
    struct io_addr remote;
    int sys_errno = 0;
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_udp *gone = NULL;
    assert_int_equal(bind_at(&bed.b, &bed.b.addr, 0, &gone), 0);
    struct io_addr at = gone->local;
    gone->ops->close(gone);
    struct io_train train = train_to(bed.b.udp, "lost", 4, 4);
    train.remote = at;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
        UNTIL(&bed, bed.a.udp->troubled);
        assert_true(bed.a.wakes > 0);
        assert_true(bed.a.udp->ops->error(bed.a.udp, &remote, &sys_errno));
        assert_int_equal(sys_errno, ECONNREFUSED);
        assert_true(p2p__io_addr_equal(&remote, &at));
        while (bed.a.udp->ops->error(bed.a.udp, &remote, &sys_errno))
            continue;
        assert_false(bed.a.udp->troubled);
    }
    send_one(&bed.a, bed.b.udp, "fine");
    expect(&bed, bed.b.udp, "fine", &seen);
    send_one(&bed.b, bed.a.udp, "too");
    expect(&bed, bed.a.udp, "too", &seen);
    bed_close(&bed);
}

/* An error that nobody asks about delays neither what is sent nor what comes. */
static void test_untold_errors_stand_in_nobodys_way(void **state)
{
    struct bed bed;
    static struct seen seen;
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_udp *gone = NULL;
    assert_int_equal(bind_at(&bed.b, &bed.b.addr, 0, &gone), 0);
    struct io_train train = train_to(gone, "lost", 4, 4);
    gone->ops->close(gone);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
        send_one(&bed.a, bed.b.udp, "on");
        expect(&bed, bed.b.udp, "on", &seen);
    }
    assert_true(bed.a.udp->troubled);
    bed_close(&bed);
}

/* One that sending or receiving met itself wakes nobody. The next, which stops reading until it is
 * told, does all the same. */
static void test_an_error_behind_an_untold_one_wakes(void **state)
{
    struct bed bed;
    static struct seen seen;
    struct io_addr remote;
    int sys_errno;
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_udp *gone = NULL;
    assert_int_equal(bind_at(&bed.b, &bed.b.addr, 0, &gone), 0);
    struct io_train train = train_to(gone, "lost", 4, 4);
    gone->ops->close(gone);
    bed.a.udp->troubled = true;
    int wakes = bed.a.wakes;
    assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
    UNTIL(&bed, bed.a.wakes > wakes);
    while (bed.a.udp->ops->error(bed.a.udp, &remote, &sys_errno))
        continue;
    send_one(&bed.b, bed.a.udp, "on");
    expect(&bed, bed.a.udp, "on", &seen);
    bed_close(&bed);
}

static void test_too_long_is_lost_and_told(void **state)
{
    struct bed bed;
    static struct seen seen;
    static uint8_t bytes[65535];
    struct io_addr remote;
    int sys_errno = 0;
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_train train = train_to(bed.b.udp, bytes, sizeof(bytes), sizeof(bytes));
    assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
    assert_true(bed.a.udp->troubled);
    assert_true(bed.a.udp->ops->error(bed.a.udp, &remote, &sys_errno));
    assert_int_equal(sys_errno, EMSGSIZE);
    assert_true(p2p__io_addr_equal(&remote, &bed.b.udp->local));
    send_one(&bed.a, bed.b.udp, "short");
    expect(&bed, bed.b.udp, "short", &seen);
    bed_close(&bed);
}

static void test_a_port_is_taken_once_unless_shared(void **state)
{
    struct bed bed;
    struct io_udp *first = NULL, *second = NULL;
    struct io_addr any = {.family = 4};
    bed_open(&bed, state);
    bind_both(&bed);
    assert_int_equal(bind_at(&bed.b, &bed.b.udp->local, 0, &second), -EADDRINUSE);
    assert_int_equal(bind_at(&bed.b, &bed.b.udp->local, IO_UDP_SHARED, &second), -EADDRINUSE);
    any.port = bed.b.udp->local.port;
    assert_int_equal(bind_at(&bed.b, &any, 0, &second), -EADDRINUSE);
    assert_null(second);
    assert_int_equal(bind_at(&bed.b, &bed.b.addr, IO_UDP_SHARED, &first), 0);
    assert_int_equal(bind_at(&bed.b, &first->local, IO_UDP_SHARED, &second), 0);
    second->ops->close(second);
    first->ops->close(first);
    struct io_addr foreign = {.family = 4, .ip = {192, 0, 2, 1}};
    assert_int_equal(bind_at(&bed.b, &foreign, 0, &second), -EADDRNOTAVAIL);
    bed_close(&bed);
}

/* Not receiving is backpressure: what is left is lost, and the loop does not spin over it. */
static void test_who_does_not_receive_loses(void **state)
{
    struct bed bed;
    struct io_train trains[IO_TRAINS_MAX];
    static uint8_t bytes[60000];
    bed_open(&bed, state);
    bind_both(&bed);
    struct io_train train = train_to(bed.b.udp, bytes, sizeof(bytes), 1000);
    for (int i = 0; i < 400; i++)
        assert_int_equal(bed.a.udp->ops->send(bed.a.udp, &train, 1), 1);
    UNTIL(&bed, bed.b.udp->readable);
    for (int i = 0; i < 100; i++)
        if (bed.sim_world)
            p2p_sim_run(bed.sim, 10000);
        else
            uv_run(&bed.loop, UV_RUN_NOWAIT);
    assert_int_equal(bed.b.wakes, 1);
    size_t got = 0;
    while (bed.b.udp->readable) {
        size_t count = bed.b.udp->ops->recv(bed.b.udp, trains, IO_TRAINS_MAX);
        for (size_t i = 0; i < count; i++)
            got += trains[i].len;
    }
    assert_true(got >= 100000 && got < 400 * sizeof(bytes));
    bed_close(&bed);
}

int main(void)
{
    static int sim_world = 1;
#define BOTH(test)                                                                                 \
    {.name = "uv: " #test, .test_func = test},                                                     \
    {                                                                                              \
        .name = "sim: " #test, .test_func = test, .initial_state = &sim_world                      \
    }
    const struct CMUnitTest tests[] = {
        BOTH(test_datagrams_go_both_ways),
        BOTH(test_trains_keep_their_datagrams),
        BOTH(test_several_trains_at_once),
        BOTH(test_ecn_travels),
        BOTH(test_the_address_that_was_asked_answers),
        BOTH(test_source_is_known_beforehand),
        BOTH(test_an_empty_datagram_is_one),
        BOTH(test_nobody_there_is_told_and_nothing_breaks),
        BOTH(test_untold_errors_stand_in_nobodys_way),
        BOTH(test_an_error_behind_an_untold_one_wakes),
        BOTH(test_too_long_is_lost_and_told),
        BOTH(test_a_port_is_taken_once_unless_shared),
        BOTH(test_who_does_not_receive_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
