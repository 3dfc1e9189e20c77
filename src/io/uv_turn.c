/* When the host's turn runs: right before the loop polls and right after, if it is due.
 *
 * While it is due an idle handle is active, and the loop then polls without sleeping. So a host
 * that marks itself for ever still lets every other descriptor of the loop be polled between its
 * turns. A deadline does nothing but mark. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    FINE_US = 2000, /* nearer deadlines take the timerfd: the loop's timers know milliseconds */
};

static uint64_t fresh_us(void)
{
    return uv_hrtime() / 1000;
}

uint64_t p2p__uv_now_us(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    return self->in_turn ? self->turn_now_us : fresh_us();
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

void p2p__uv_mark(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    if (self->turn_due || self->detached)
        return;
    self->turn_due = true;
    uv_idle_start(&self->idle, on_idle);
}

static void run_if_due(struct uv_io *self)
{
    if (!self->turn_due)
        return;
    assert(!self->in_turn);
    self->turn_due = false;
    uv_idle_stop(&self->idle);
    if (!self->base.turn)
        return;
    self->in_turn = true;
    self->turn_now_us = fresh_us();
    self->base.turn(self->base.user);
    self->in_turn = false;
}

static void on_prepare(uv_prepare_t *handle)
{
    struct uv_io *self = handle->data;
    /* A loop may be made on one thread and run on another. */
    atomic_store_explicit(&self->thread, (uintptr_t)uv_thread_self(), memory_order_relaxed);
    run_if_due(self);
}

static void on_check(uv_check_t *handle)
{
    run_if_due(handle->data);
}

static void fired(struct uv_io *self)
{
    uint64_t at_us = self->deadline_us;
    self->deadline_us = UINT64_MAX;
    if (at_us <= fresh_us())
        p2p__uv_mark(&self->base);
    else
        p2p__uv_wake_at(&self->base, at_us);
}

static void on_timer(uv_timer_t *timer)
{
    fired(timer->data);
}

static void on_fine(uv_poll_t *handle, int status, int events)
{
    struct uv_io *self = handle->data;
    (void)status;
    (void)events;
    uint64_t expirations;
    if (read(self->fine_fd, &expirations, sizeof(expirations)) > 0)
        fired(self);
}

static bool fine_open(struct uv_io *self)
{
    if (self->fine_fd >= 0)
        return true;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return false;
    if (uv_poll_init(self->loop, &self->fine, fd) != 0) {
        close(fd);
        return false;
    }
    self->handles++;
    self->fine.data = self;
    self->fine_fd = fd;
    uv_poll_start(&self->fine, UV_READABLE, on_fine);
    return true;
}

/* The same clock as uv_hrtime. A past time fires at once; 0 would disarm. */
static bool fine_start(struct uv_io *self, uint64_t at_us)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_us / 1000000),
                                         .tv_nsec = (long)(at_us % 1000000) * 1000}};
    return fine_open(self) && timerfd_settime(self->fine_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0;
}

void p2p__uv_wake_at(struct p2p_io *base, uint64_t at_us)
{
    struct uv_io *self = (struct uv_io *)base;
    if (self->detached || at_us == self->deadline_us)
        return;
    self->deadline_us = at_us;
    uv_timer_stop(&self->timer);
    /* A timerfd that still runs for an earlier wish is left: firing, it finds what is wished now.
     */
    if (at_us == UINT64_MAX)
        return;
    uint64_t now_us = p2p__uv_now_us(base);
    if (at_us <= now_us) {
        self->deadline_us = UINT64_MAX;
        p2p__uv_mark(base);
        return;
    }
    if (at_us - now_us < FINE_US && fine_start(self, at_us))
        return;
    /* Relative to the loop's own idea of now, which may be stale. Rounded up, for a timer that
     * fires early would have to be set again. Never zero: set again and again within its own round,
     * such a timer keeps libuv from polling. */
    uint64_t at_ms = at_us / 1000 + 1, loop_ms = uv_now(self->loop);
    uv_timer_start(&self->timer, on_timer, at_ms > loop_ms ? at_ms - loop_ms : 1, 0);
}

void p2p__uv_turn_open(struct uv_io *self)
{
    self->deadline_us = UINT64_MAX;
    uv_prepare_init(self->loop, &self->prepare);
    uv_check_init(self->loop, &self->check);
    uv_idle_init(self->loop, &self->idle);
    uv_timer_init(self->loop, &self->timer);
    self->handles += 4;
    self->prepare.data = self->check.data = self->timer.data = self;
    /* These two keep the loop alive until detach. */
    uv_prepare_start(&self->prepare, on_prepare);
    uv_check_start(&self->check, on_check);
}

void p2p__uv_turn_close(struct uv_io *self)
{
    self->turn_due = false;
    p2p__uv_close(self, (uv_handle_t *)&self->prepare);
    p2p__uv_close(self, (uv_handle_t *)&self->check);
    p2p__uv_close(self, (uv_handle_t *)&self->idle);
    p2p__uv_close(self, (uv_handle_t *)&self->timer);
    if (self->fine_fd >= 0) {
        p2p__uv_close(self, (uv_handle_t *)&self->fine);
        close(self->fine_fd);
        self->fine_fd = -1;
    }
}
