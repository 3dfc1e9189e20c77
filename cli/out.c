#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void out_init(struct out *self)
{
    pthread_condattr_t attr;
    *self = (struct out){0};
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->more, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->written, &attr);
    pthread_condattr_destroy(&attr);
}

/* 0 or errno. Somebody else may have made the descriptor non-blocking: it is shared. */
static int write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static void *write_thread(void *user)
{
    struct out *self = user;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (self->queued.len == 0 && !self->stop)
            pthread_cond_wait(&self->more, &self->lock);
        if (self->queued.len == 0)
            break;
        struct out_queue free_one = self->taken;
        self->taken = self->queued;
        self->queued = free_one;
        pthread_mutex_unlock(&self->lock);
        int error = write_all(self->taken.data, self->taken.len);
        pthread_mutex_lock(&self->lock);
        self->taken.len = 0;
        if (error) {
            self->error = error;
            self->queued.len = 0;
        }
        pthread_cond_broadcast(&self->written);
        if (self->watched)
            uv_async_send(&self->async);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Signals are the loop's. */
static bool start(struct out *self)
{
    sigset_t all, old;
    if (self->started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    self->started = pthread_create(&self->thread, NULL, write_thread, self) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return self->started;
}

static bool queue_append(struct out_queue *self, const void *bytes, size_t len)
{
    if (self->cap - self->len < len) {
        size_t cap = self->cap ? self->cap : 64 << 10;
        while (cap - self->len < len)
            cap *= 2;
        char *data = realloc(self->data, cap);
        if (!data)
            return false;
        self->data = data;
        self->cap = cap;
    }
    memcpy(self->data + self->len, bytes, len);
    self->len += len;
    return true;
}

bool out_append(struct out *self, const void *bytes, size_t len)
{
    pthread_mutex_lock(&self->lock);
    bool taken = !self->error && self->queued.len + len <= OUT_LINES_MAX && start(self) &&
                 queue_append(&self->queued, bytes, len);
    if (taken)
        pthread_cond_signal(&self->more);
    pthread_mutex_unlock(&self->lock);
    return taken;
}

size_t out_room(struct out *self)
{
    pthread_mutex_lock(&self->lock);
    size_t used = self->queued.len;
    pthread_mutex_unlock(&self->lock);
    return used < OUT_STREAM_MAX ? OUT_STREAM_MAX - used : 0;
}

static struct timespec after_ms(int ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

bool out_flush(struct out *self, int timeout_ms)
{
    struct timespec until = after_ms(timeout_ms > 0 ? timeout_ms : 0);
    int late = 0;
    pthread_mutex_lock(&self->lock);
    while (self->queued.len + self->taken.len > 0 && !self->error && !late) {
        if (timeout_ms < 0)
            pthread_cond_wait(&self->written, &self->lock);
        else
            late = pthread_cond_timedwait(&self->written, &self->lock, &until);
    }
    pthread_mutex_unlock(&self->lock);
    return !late;
}

int out_error(struct out *self)
{
    pthread_mutex_lock(&self->lock);
    int error = self->error;
    pthread_mutex_unlock(&self->lock);
    return error;
}

bool out_closed(struct out *self)
{
    int error = out_error(self);
    return error == EPIPE || error == EBADF || error == ECONNRESET;
}

static void on_async(uv_async_t *async)
{
    struct out *self = async->data;
    self->on_change(self->user);
}

int out_watch(struct out *self, uv_loop_t *loop, void (*on_change)(void *user), void *user)
{
    if (uv_async_init(loop, &self->async, on_async) != 0)
        return -1;
    self->async.data = self;
    uv_unref((uv_handle_t *)&self->async);
    self->on_change = on_change;
    self->user = user;
    pthread_mutex_lock(&self->lock);
    self->watched = true;
    pthread_mutex_unlock(&self->lock);
    return 0;
}

void out_unwatch(struct out *self)
{
    pthread_mutex_lock(&self->lock);
    bool watched = self->watched;
    self->watched = false;
    pthread_mutex_unlock(&self->lock);
    if (watched)
        uv_close((uv_handle_t *)&self->async, NULL);
}

bool out_fini(struct out *self)
{
    pthread_mutex_lock(&self->lock);
    self->stop = true;
    bool stuck = self->taken.len > 0;
    pthread_cond_signal(&self->more);
    pthread_mutex_unlock(&self->lock);
    if (stuck)
        return false;
    if (self->started)
        pthread_join(self->thread, NULL);
    free(self->queued.data);
    free(self->taken.data);
    return true;
}
