/* Turns, deadlines, posts, and the ways an io can end. */
#define _GNU_SOURCE
#include "io/uv_test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"

static void mark(struct world *w)
{
    w->io->ops->mark(w->io);
}

/* turns */

static void mark_from_timer(uv_timer_t *timer)
{
    mark(timer->data);
}

static void test_mark_brings_one_turn(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    mark(&w);
    mark(&w);
    assert_int_equal(w.turns, 0); /* from a fresh stack */
    RUN_UNTIL(&w, w.turns > 0);
    assert_quiet(&w);
    assert_int_equal(w.turns, 1);
    uv_timer_t timer;
    uv_timer_init(&w.loop, &timer);
    timer.data = &w;
    uv_timer_start(&timer, mark_from_timer, 1, 0);
    RUN_UNTIL(&w, w.turns == 2);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_quiet(&w);
    assert_int_equal(w.turns, 2);
    world_close(&w);
}

static void mark_from_check(uv_check_t *check)
{
    mark(check->data);
    uv_check_stop(check);
}

static void mark_from_prepare(uv_prepare_t *prepare)
{
    mark(prepare->data);
    uv_prepare_stop(prepare);
}

/* Also from where our own handlers have run already in this round of the loop. */
static void test_mark_from_any_phase(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    /* libuv runs the youngest first, so that these run after the io's own. */
    uv_check_t check;
    uv_prepare_t prepare;
    uv_check_init(&w.loop, &check);
    uv_prepare_init(&w.loop, &prepare);
    check.data = prepare.data = &w;
    uv_prepare_start(&prepare, mark_from_prepare);
    uv_check_start(&check, mark_from_check);
    struct p2p_io *first = w.io;
    w.io = p2p_io_uv(&w.loop);
    w.io->turn = world_turn;
    w.io->user = &w;
    first->ops->detach(first);
    p2p_io_free(first);
    uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.turns, 1);
    RUN_UNTIL(&w, w.turns == 2);
    uv_close((uv_handle_t *)&check, NULL);
    uv_close((uv_handle_t *)&prepare, NULL);
    world_close(&w);
}

static void mark_again(struct world *w)
{
    mark(w);
}

static void on_count(uv_poll_t *poll, int status, int events)
{
    (void)events;
    char byte;
    int *fd = poll->data;
    assert_int_equal(status, 0);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    fd[2]++;
}

/* A host that always has more to do delays no other descriptor of its loop, nor its timers. */
static void test_self_marking_host_is_fair(void **state)
{
    (void)state;
    struct world w;
    int fd[3] = {0}; /* a pipe's two ends, and how often it was read */
    world_open(&w);
    w.on_turn = mark_again;
    assert_int_equal(pipe(fd), 0);
    uv_poll_t poll;
    uv_poll_init(&w.loop, &poll, fd[0]);
    poll.data = fd;
    uv_poll_start(&poll, UV_READABLE, on_count);
    mark(&w);
    for (int i = 1; i <= 100; i++) {
        unsigned before = w.turns;
        assert_int_equal(write(fd[1], "x", 1), 1);
        RUN_UNTIL(&w, fd[2] == i);
        assert_in_range(w.turns - before, 1, 4);
    }
    unsigned before = w.turns;
    uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(w.turns > before);
    w.on_turn = NULL;
    uv_close((uv_handle_t *)&poll, NULL);
    close(fd[0]);
    close(fd[1]);
    assert_quiet(&w);
    world_close(&w);
}

static void look_at_clock(struct world *w)
{
    uint64_t *seen = w->user, from = uv_hrtime();
    seen[0] = io_now_us(w->io);
    while (uv_hrtime() < from + 2000000)
        ;
    seen[1] = io_now_us(w->io);
}

static void test_clock(void **state)
{
    (void)state;
    struct world w;
    uint64_t seen[2] = {0};
    world_open(&w);
    w.user = seen;
    w.on_turn = look_at_clock;
    uint64_t before = io_now_us(w.io);
    mark(&w);
    RUN_UNTIL(&w, w.turns == 1);
    assert_int_equal(seen[0], seen[1]); /* constant within a turn */
    assert_true(seen[0] >= before);
    assert_true(io_now_us(w.io) >= seen[0] + 2000);
    int64_t wall_us = w.io->ops->wall_us(w.io);
    assert_true(llabs(wall_us / 1000000 - (int64_t)time(NULL)) <= 1);
    world_close(&w);
}

/* deadlines */

static uint64_t wait_for_turn(struct world *w, uint64_t in_us)
{
    unsigned before = w->turns;
    uint64_t at_us = io_now_us(w->io) + in_us;
    w->io->ops->wake_at(w->io, at_us);
    RUN_UNTIL(w, w->turns > before);
    assert_int_equal(w->turns, before + 1);
    assert_true(io_now_us(w->io) >= at_us);
    return io_now_us(w->io) - at_us;
}

/* The best of some tries: on a busy machine any single one may be late. */
static uint64_t best_delay(struct world *w, uint64_t in_us)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t late = wait_for_turn(w, in_us);
        best = late < best ? late : best;
    }
    return best;
}

static void test_deadlines(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_in_range(best_delay(&w, 100), 0, 700);
    assert_in_range(best_delay(&w, 1999), 0, 700);
    assert_in_range(best_delay(&w, 2000), 0, 3000);
    assert_in_range(best_delay(&w, 7300), 0, 3000);
    assert_quiet(&w); /* none is left */
    world_close(&w);
}

static void test_deadline_replaced(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct p2p_io *io = w.io;
    uint64_t now_us = io_now_us(io);
    for (uint64_t soon = 500; soon <= 5000; soon += 4500) {
        io->ops->wake_at(io, now_us + soon);
        io->ops->wake_at(io, UINT64_MAX);
        uint64_t end_us = now_us + 2 * soon;
        while (io_now_us(io) < end_us)
            uv_run(&w.loop, UV_RUN_NOWAIT);
        assert_int_equal(w.turns, 0);
    }
    /* An earlier wish that was replaced by a later one brings no turn of its own. */
    now_us = io_now_us(io);
    io->ops->wake_at(io, now_us + 300);
    io->ops->wake_at(io, now_us + 9000);
    while (io_now_us(io) < now_us + 6000)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.turns, 0);
    RUN_UNTIL(&w, w.turns == 1);
    assert_true(io_now_us(io) >= now_us + 9000);
    /* And a later one by an earlier one. */
    now_us = io_now_us(io);
    io->ops->wake_at(io, now_us + 3600 * UINT64_C(1000000));
    io->ops->wake_at(io, now_us + 300);
    RUN_UNTIL(&w, w.turns == 2);
    /* The past is now, as often as it is asked for. */
    for (unsigned i = 3; i < 6; i++) {
        io->ops->wake_at(io, now_us);
        RUN_UNTIL(&w, w.turns == i);
    }
    assert_quiet(&w);
    assert_int_equal(w.turns, 5);
    world_close(&w);
}

static void ask_again(struct world *w)
{
    if (w->turns < 50)
        w->io->ops->wake_at(w->io, io_now_us(w->io) + (w->turns % 2 ? 150 : 2500));
}

static void test_deadlines_from_turns(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.on_turn = ask_again;
    mark(&w);
    RUN_UNTIL(&w, w.turns == 50);
    assert_quiet(&w);
    world_close(&w);
}

/* Without a descriptor for the fine clock, the coarse one serves. */
static void test_X01_deadline_without_descriptors(void **state)
{
    (void)state;
    struct world w;
    struct rlimit before;
    world_open(&w);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_for_turn(&w, 100);
    setrlimit(RLIMIT_NOFILE, &before);
    wait_for_turn(&w, 100);
    world_close(&w);
}

static void test_random(void **state)
{
    (void)state;
    struct world w;
    uint8_t a[1000] = {0}, b[1000] = {0};
    unsigned seen[256] = {0}, kinds = 0;
    world_open(&w);
    w.io->ops->random(w.io, a, sizeof(a));
    w.io->ops->random(w.io, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    for (size_t i = 0; i < sizeof(a); i++)
        kinds += seen[a[i]]++ == 0;
    assert_true(kinds > 200); /* 251 are expected */
    w.io->ops->random(w.io, NULL, 0);
    assert_ptr_equal(w.io->crypto, &p2p__crypto_real);
    world_close(&w);
}

/* posts */

enum {
    THREADS = 4,
    POSTS = 500,
};

struct poster {
    struct p2p_io *io;
    uv_thread_t thread;
    int next; /* the number that must come next, written on the loop's thread */
    struct poster_item {
        struct poster *from;
        int number;
    } item[POSTS];
    bool saw_loop_thread;
};

static void on_posted(void *user)
{
    struct poster_item *item = user;
    assert_int_equal(item->number, item->from->next);
    assert_true(item->from->io->ops->on_thread(item->from->io));
    item->from->next++;
}

static void post_all(void *user)
{
    struct poster *self = user;
    self->saw_loop_thread = self->io->ops->on_thread(self->io);
    for (int i = 0; i < POSTS; i++) {
        self->item[i] = (struct poster_item){self, i};
        if (self->io->ops->post(self->io, on_posted, &self->item[i]) != 0)
            abort();
    }
}

static void test_post_from_threads(void **state)
{
    (void)state;
    struct world w;
    struct poster *posters = calloc(THREADS, sizeof(*posters));
    world_open(&w);
    for (int i = 0; i < THREADS; i++) {
        posters[i].io = w.io;
        assert_int_equal(uv_thread_create(&posters[i].thread, post_all, &posters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        RUN_UNTIL(&w, posters[i].next == POSTS);
    for (int i = 0; i < THREADS; i++) {
        uv_thread_join(&posters[i].thread);
        assert_false(posters[i].saw_loop_thread);
    }
    assert_int_equal(w.turns, 0);
    free(posters);
    world_close(&w);
}

struct run_elsewhere {
    struct world *w;
    bool before, within, after;
};

static void note_thread(void *user)
{
    struct run_elsewhere *self = user;
    self->within = self->w->io->ops->on_thread(self->w->io);
}

static void run_elsewhere(void *user)
{
    struct run_elsewhere *self = user;
    self->before = self->w->io->ops->on_thread(self->w->io);
    self->w->io->ops->post(self->w->io, note_thread, self);
    while (!self->within)
        uv_run(&self->w->loop, UV_RUN_ONCE);
}

/* A loop made here and run there belongs to there. */
static void test_loop_runs_on_another_thread(void **state)
{
    (void)state;
    struct world w;
    struct run_elsewhere self = {.w = &w};
    uv_thread_t thread;
    world_open(&w);
    assert_true(w.io->ops->on_thread(w.io));
    assert_int_equal(uv_thread_create(&thread, run_elsewhere, &self), 0);
    uv_thread_join(&thread);
    assert_false(self.before);
    assert_true(self.within);
    assert_false(w.io->ops->on_thread(w.io));
    uv_run(&w.loop, UV_RUN_NOWAIT); /* and comes back with it */
    assert_true(w.io->ops->on_thread(w.io));
    world_close(&w);
}

static void post_itself(void *user)
{
    struct world *w = user;
    w->turns++;
    w->link_wakes = (unsigned)-w->io->ops->post(w->io, post_itself, w);
}

static void test_endless_posts_are_fair(void **state)
{
    (void)state;
    struct world w;
    int fd[3] = {0};
    world_open(&w);
    assert_int_equal(pipe(fd), 0);
    uv_poll_t poll;
    uv_poll_init(&w.loop, &poll, fd[0]);
    poll.data = fd;
    uv_poll_start(&poll, UV_READABLE, on_count);
    assert_int_equal(w.io->ops->post(w.io, post_itself, &w), 0);
    for (int i = 1; i <= 20; i++) {
        unsigned before = w.turns;
        assert_int_equal(write(fd[1], "x", 1), 1);
        RUN_UNTIL(&w, fd[2] == i);
        assert_in_range(w.turns - before, 0, 4);
    }
    uv_close((uv_handle_t *)&poll, NULL);
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(w.link_wakes, 0);
    /* What is posted while the queue is run for the last time is refused. */
    unsigned before = w.turns;
    w.io->ops->detach(w.io);
    assert_int_equal(w.turns, before + 1);
    assert_int_equal(w.link_wakes, -P2P_ECLOSED);
    world_close(&w);
}

static void count_call(void *user)
{
    ++*(int *)user;
}

static void test_detach_runs_posts(void **state)
{
    (void)state;
    struct world w;
    int calls = 0;
    world_open(&w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w.io->ops->post(w.io, count_call, &calls), 0);
    mark(&w);
    w.io->ops->detach(w.io);
    assert_int_equal(calls, 3);
    assert_int_equal(w.io->ops->post(w.io, count_call, &calls), P2P_ECLOSED);
    mark(&w);
    w.io->ops->wake_at(w.io, 0);
    assert_null(w.io->turn);
    world_close(&w); /* detaches again: harmless */
    assert_int_equal(w.turns, 0);
    assert_int_equal(calls, 3);
}

/* the end */

static void detach_and_free(struct world *w)
{
    struct p2p_io *io = w->io;
    w->io = NULL;
    io->ops->detach(io);
    p2p_io_free(io);
}

static void test_free_within_turn(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.io->ops->wake_at(w.io, io_now_us(w.io) + 100); /* with a fine timer under way */
    w.on_turn = detach_and_free;
    mark(&w);
    RUN_UNTIL(&w, w.turns == 1);
    assert_null(w.io);
    world_close(&w);
    assert_int_equal(w.turns, 1);
}

static void detach_and_free_by(void *user)
{
    detach_and_free(user);
}

static void test_free_within_post(void **state)
{
    (void)state;
    struct world w;
    int calls = 0;
    world_open(&w);
    w.io->ops->post(w.io, count_call, &calls);
    w.io->ops->post(w.io, detach_and_free_by, &w);
    w.io->ops->post(w.io, count_call, &calls);
    RUN_UNTIL(&w, !w.io);
    assert_int_equal(calls, 2); /* those that waited were run by detach */
    world_close(&w);
}

/* Closed by a post that detach itself runs. */
static void test_free_within_detach(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    w.io->ops->post(w.io, detach_and_free_by, &w);
    w.io->ops->detach(w.io);
    assert_null(w.io);
    world_close(&w);
}

static void free_by_wake(struct link *link)
{
    struct world *w = link->owner;
    link_drop(link, false);
    detach_and_free(w);
}

static void test_free_within_wake(void **state)
{
    (void)state;
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "x");
    link_drop(p.a, false);
    w.io->ops->unlisten(p.listener);
    p.b->wake = free_by_wake;
    RUN_UNTIL(&w, !w.io);
    world_close(&w);
}

/* The loop may be run dry between detach and free. */
static void test_free_after_the_loop_ended(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct p2p_io *io = w.io;
    w.io = NULL;
    io->ops->detach(io);
    world_close(&w);
    p2p_io_free(io);
}

static void test_free_without_a_host(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    p2p_io_free(p2p_io_uv(&loop));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    p2p_io_free(p2p_io_poll());
    p2p_io_free(NULL);
}

/* The loop goes on while the host is attached, though nothing is under way. */
static void test_keeps_the_loop_alive(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    uv_close((uv_handle_t *)&w.watchdog, NULL);
    uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_true(uv_loop_alive(&w.loop));
    w.io->ops->detach(w.io);
    assert_int_equal(uv_run(&w.loop, UV_RUN_DEFAULT), 0);
    assert_false(uv_loop_alive(&w.loop));
    p2p_io_free(w.io);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

static void detach_with_a_link(void)
{
    struct world w;
    world_open(&w);
    dial(&w, localhost(9));
    w.io->ops->detach(w.io);
}

static void free_while_attached(void)
{
    struct world w;
    world_open(&w);
    p2p_io_free(w.io);
}

/* The scratch is lent to a link that was not settled. */
static void fill_two(void)
{
    struct world w;
    struct pair p;
    world_open(&w);
    pair_open(&w, &p, localhost(0));
    send_text(p.a, "x");
    send_text(p.b, "x");
    RUN_UNTIL(&w, p.a->readable && p.b->readable);
    p.a->ops->fill(p.a);
    p.b->ops->fill(p.b);
}

static void assert_aborts(void (*misuse)(void))
{
    pid_t child = fork();
    if (child == 0) {
        close(2); /* the assertion's text is no news */
        misuse();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_aborts(detach_with_a_link);
    assert_aborts(free_while_attached);
    assert_aborts(fill_two);
}

/* driven by poll(2) */

struct polled {
    struct world w; /* its loop is not used */
    unsigned waits;
};

static void polled_open(struct polled *self)
{
    memset(self, 0, sizeof(*self));
    self->w.io = p2p_io_poll();
    assert_non_null(self->w.io);
    self->w.io->turn = world_turn;
    self->w.io->user = &self->w;
}

static void polled_step(struct polled *self)
{
    struct pollfd fd = {.fd = p2p_io_fd(self->w.io), .events = POLLIN};
    int timeout_ms = p2p_io_timeout_ms(self->w.io);
    assert_true(timeout_ms >= -1);
    if (poll(&fd, 1, timeout_ms < 0 ? WATCHDOG_MS : timeout_ms) == 0 && timeout_ms < 0)
        fail_msg("what the test waits for did not come");
    self->waits++;
    p2p_io_process(self->w.io);
}

#define STEP_UNTIL(self, condition)                                                                \
    while (!(condition))                                                                           \
    polled_step(self)

static void test_poll_echo(void **state)
{
    (void)state;
    struct polled self;
    polled_open(&self);
    struct world *w = &self.w;
    int fd = p2p_io_fd(w->io);
    struct io_listener *listener = listen_at(w, localhost(0));
    struct link *a = dial(w, listener->local), *b = NULL;
    int sys_errno;
    STEP_UNTIL(&self, a->connected && listener->acceptable);
    assert_int_equal(w->io->ops->accept(listener, &w->pool, &b, &sys_errno), 0);
    adopt(w, b);
    for (int i = 0; i < 100; i++) {
        send_text(i % 2 ? a : b, "ball");
        struct link *to = i % 2 ? b : a;
        STEP_UNTIL(&self, to->readable);
        assert_int_equal(to->ops->fill(to), 4);
        buf_consume(&to->in, 4);
    }
    assert_in_range(self.waits, 100, 600); /* it slept in between */
    assert_int_equal(p2p_io_fd(w->io), fd);
    link_drop(a, false);
    link_drop(b, false);
    w->io->ops->unlisten(listener);
    w->io->ops->detach(w->io);
    p2p_io_free(w->io);
    p2p__pool_fini(&w->pool);
}

static void test_poll_turns_and_deadlines(void **state)
{
    (void)state;
    struct polled self;
    polled_open(&self);
    struct world *w = &self.w;
    mark(w);
    assert_int_equal(p2p_io_timeout_ms(w->io), 0);
    STEP_UNTIL(&self, w->turns == 1);
    while (p2p_io_timeout_ms(w->io) == 0)
        p2p_io_process(w->io);
    assert_int_equal(p2p_io_timeout_ms(w->io), -1);
    uint64_t now_us = io_now_us(w->io);
    w->io->ops->wake_at(w->io, now_us + 50000);
    assert_in_range(p2p_io_timeout_ms(w->io), 1, 51);
    /* Time that passes outside counts. */
    while (io_now_us(w->io) < now_us + 20000)
        ;
    assert_in_range(p2p_io_timeout_ms(w->io), 0, 31);
    STEP_UNTIL(&self, w->turns == 2);
    assert_true(io_now_us(w->io) >= now_us + 50000);
    w->io->ops->wake_at(w->io, io_now_us(w->io) + 200);
    STEP_UNTIL(&self, w->turns == 3);
    int calls = 0;
    w->io->ops->post(w->io, count_call, &calls);
    STEP_UNTIL(&self, calls == 1);
    assert_true(self.waits < 60);
    w->io->ops->detach(w->io);
    p2p_io_process(w->io);
    assert_int_equal(p2p_io_timeout_ms(w->io), -1); /* nothing to do, ever */
    p2p_io_process(w->io);
    p2p_io_free(w->io);
}

static void test_poll_free_within_turn(void **state)
{
    (void)state;
    struct polled self;
    polled_open(&self);
    self.w.on_turn = detach_and_free;
    mark(&self.w);
    STEP_UNTIL(&self, !self.w.io);
    polled_open(&self);
    self.w.io->ops->post(self.w.io, detach_and_free_by, &self.w);
    STEP_UNTIL(&self, !self.w.io);
    polled_open(&self);
    self.w.io->ops->post(self.w.io, detach_and_free_by, &self.w);
    self.w.io->ops->detach(self.w.io); /* outside of process */
    assert_null(self.w.io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mark_brings_one_turn),
        cmocka_unit_test(test_mark_from_any_phase),
        cmocka_unit_test(test_self_marking_host_is_fair),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_replaced),
        cmocka_unit_test(test_deadlines_from_turns),
        cmocka_unit_test(test_X01_deadline_without_descriptors),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_post_from_threads),
        cmocka_unit_test(test_loop_runs_on_another_thread),
        cmocka_unit_test(test_endless_posts_are_fair),
        cmocka_unit_test(test_detach_runs_posts),
        cmocka_unit_test(test_free_within_turn),
        cmocka_unit_test(test_free_within_post),
        cmocka_unit_test(test_free_within_detach),
        cmocka_unit_test(test_free_within_wake),
        cmocka_unit_test(test_free_after_the_loop_ended),
        cmocka_unit_test(test_free_without_a_host),
        cmocka_unit_test(test_keeps_the_loop_alive),
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_poll_echo),
        cmocka_unit_test(test_poll_turns_and_deadlines),
        cmocka_unit_test(test_poll_free_within_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
