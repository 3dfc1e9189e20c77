#include "cli.h"

#include "in.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RING = 256 << 10, /* bytes read ahead; a power of two */
};

/* The thread owns what lies behind tail, the loop what lies from head to tail. */
struct in {
    uv_async_t async; /* first: it outlives the rest */
    pthread_mutex_t lock;
    pthread_cond_t room;
    size_t head, tail; /* counted on and on; modulo RING a place */
    bool ended, closed;
    bool async_closed, thread_ended;
    int error;
    void (*on_change)(void *user);
    void *user;
    char ring[RING];
};

/* Whichever of thread and handle ends last frees it; called with the lock held, gives it up. */
static void leave(struct in *self)
{
    bool last = self->async_closed && self->thread_ended;
    pthread_mutex_unlock(&self->lock);
    if (!last)
        return;
    pthread_cond_destroy(&self->room);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static ssize_t read_some(struct in *self, size_t at, size_t room)
{
    size_t to_wrap = RING - at % RING;
    ssize_t n;
    do
        n = read(STDIN_FILENO, self->ring + at % RING, room < to_wrap ? room : to_wrap);
    while (n < 0 && errno == EINTR);
    return n;
}

static void *read_thread(void *user)
{
    struct in *self = user;
    pthread_mutex_lock(&self->lock);
    while (!self->ended && !self->closed) {
        size_t room = RING - (self->tail - self->head);
        if (room == 0) {
            pthread_cond_wait(&self->room, &self->lock);
            continue;
        }
        size_t at = self->tail;
        pthread_mutex_unlock(&self->lock);
        ssize_t n = read_some(self, at, room);
        int error = n < 0 ? errno : 0;
        pthread_mutex_lock(&self->lock);
        if (n > 0)
            self->tail += (size_t)n;
        else
            self->ended = true;
        self->error = error;
        if (!self->closed)
            uv_async_send(&self->async);
    }
    self->thread_ended = true;
    leave(self);
    return NULL;
}

static void on_async(uv_async_t *async)
{
    struct in *self = async->data;
    self->on_change(self->user);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct in *self = handle->data;
    pthread_mutex_lock(&self->lock);
    self->async_closed = true;
    leave(self);
}

struct in *in_open(uv_loop_t *loop, void (*on_change)(void *user), void *user)
{
    struct in *self = calloc(1, sizeof(*self));
    if (!self || uv_async_init(loop, &self->async, on_async) != 0) {
        free(self);
        return NULL;
    }
    self->async.data = self;
    self->on_change = on_change;
    self->user = user;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->room, NULL);
    sigset_t all, old;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, NULL, read_thread, self);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) {
        pthread_detach(thread);
        return self;
    }
    self->closed = self->thread_ended = true;
    uv_close((uv_handle_t *)&self->async, on_async_closed);
    return NULL;
}

const char *in_peek(struct in *self, size_t *len)
{
    pthread_mutex_lock(&self->lock);
    size_t at = self->head % RING, held = self->tail - self->head;
    pthread_mutex_unlock(&self->lock);
    *len = held < RING - at ? held : RING - at;
    return self->ring + at;
}

void in_consume(struct in *self, size_t n)
{
    pthread_mutex_lock(&self->lock);
    self->head += n;
    pthread_cond_signal(&self->room);
    pthread_mutex_unlock(&self->lock);
}

bool in_ended(struct in *self, int *error)
{
    pthread_mutex_lock(&self->lock);
    bool ended = self->ended && self->head == self->tail;
    *error = self->error;
    pthread_mutex_unlock(&self->lock);
    return ended;
}

void in_close(struct in *self)
{
    pthread_mutex_lock(&self->lock);
    self->closed = true;
    pthread_cond_signal(&self->room);
    pthread_mutex_unlock(&self->lock);
    uv_close((uv_handle_t *)&self->async, on_async_closed);
}
