/* An io driven by poll(2). */
#define _GNU_SOURCE
#include "io/uv_test.h"

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
    assert_in_range(p2p_io_timeout_ms(w->io), 0, 51);
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
        cmocka_unit_test(test_poll_echo),
        cmocka_unit_test(test_poll_turns_and_deadlines),
        cmocka_unit_test(test_poll_free_within_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
