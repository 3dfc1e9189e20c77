/* The libuv backend of io.h: one io's life, and the table of what it can do.
 *
 * Memory outlives the handles in it: detach starts closing them, and whichever comes last, free or
 * the last close callback, releases. That is why both are legal in any callback. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "crypto/crypto.h"
#include "io/memory_limit.h"

_Static_assert(sizeof(uv_thread_t) <= sizeof(uintptr_t), "a thread's id fits an atomic integer");

static int64_t wall_us(struct p2p_io *base)
{
    (void)base;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Straight from the kernel: a buffer of our own would be shared with a forked child. Nobody can go
 * on without randomness, and nobody would handle an error that never happens. */
static void random_bytes(struct p2p_io *base, void *out, size_t len)
{
    (void)base;
    if (len && uv_random(NULL, NULL, out, len, 0, NULL) != 0)
        abort();
}

static bool on_thread(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    return atomic_load_explicit(&self->thread, memory_order_relaxed) == (uintptr_t)uv_thread_self();
}

static void detach(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    self->busy++;
    if (!self->detached)
        p2p__uv_post_close(self);
    if (!self->detached) {          /* nor by one of the posts */
        assert(self->sockets == 0); /* the owner closes its links and listeners first */
        self->detached = true;
        base->turn = NULL;
        p2p__uv_turn_close(self);
        p2p__uv_dns_close(self);
        p2p__uv_watch_close(self);
        p2p__uv_close(self, (uv_handle_t *)&self->async);
    }
    p2p__uv_leave(self);
}

static void release(struct uv_io *self)
{
    if (self->private_loop) {
        uv_run(self->loop, UV_RUN_DEFAULT); /* only closing handles are left: it does not block */
        int left = uv_loop_close(self->loop);
        assert(left == 0);
        (void)left;
        p2p__free(self->loop);
    }
    uv_mutex_destroy(&self->post_lock);
    p2p__free(self->scratch);
    p2p__free(self->trains);
    p2p__free(self);
}

void p2p__uv_unref(struct uv_io *self)
{
    assert(self->handles > 0);
    self->handles--;
    if (self->handles == 0 && self->free_wanted && !self->private_loop)
        release(self);
}

static void on_closed(uv_handle_t *handle)
{
    p2p__uv_unref(handle->data);
}

void p2p__uv_close(struct uv_io *self, uv_handle_t *handle)
{
    handle->data = self;
    uv_close(handle, on_closed);
}

void p2p__uv_leave(struct uv_io *self)
{
    if (--self->busy == 0 && self->free_wanted && self->private_loop)
        release(self);
}

static void uv_io_free(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    assert(self->detached || !base->turn); /* the host has been closed */
    assert(!self->free_wanted);
    self->busy++;
    detach(base);
    self->free_wanted = true;
    if (!self->private_loop && self->handles == 0)
        release(self); /* the loop has run since an earlier detach */
    else
        p2p__uv_leave(self);
}

static uint64_t memory_max(void)
{
    return p2p__memory_limit("/proc/self/cgroup", "/sys/fs/cgroup");
}

static void trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

#define COMMON_OPS                                                                                 \
    .name = "uv", .now_us = p2p__uv_now_us, .wall_us = wall_us, .random = random_bytes,            \
    .mark = p2p__uv_mark, .wake_at = p2p__uv_wake_at, .dial = p2p__uv_dial, .trim = trim,          \
    .listen = p2p__uv_listen, .adopt = p2p__uv_adopt, .dial_local = p2p__uv_dial_local,            \
    .listen_local = p2p__uv_listen_local, .accept = p2p__uv_accept, .resume = p2p__uv_resume,      \
    .unlisten = p2p__uv_unlisten, .udp = p2p__uv_udp, .resolve = p2p__uv_resolve,                  \
    .resolve_end = p2p__uv_resolve_end, .name_servers = p2p__uv_name_servers,                      \
    .interfaces = p2p__uv_interfaces, .watch_interfaces = p2p__uv_watch_interfaces,                \
    .fds_max = p2p__uv_fds_max, .memory_max = memory_max, .post = p2p__uv_post,                    \
    .job = p2p__uv_job, .job_end = p2p__uv_job_end, .on_thread = on_thread, .detach = detach,      \
    .free = uv_io_free

static const struct io_ops loop_ops = {COMMON_OPS};

static const struct io_ops poll_ops = {
    COMMON_OPS,
    .fd = p2p__uv_poll_fd,
    .timeout_ms = p2p__uv_poll_timeout_ms,
    .process = p2p__uv_poll_process,
};

static struct uv_io *io_open(uv_loop_t *loop, bool private_loop)
{
    struct uv_io *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    if (uv_mutex_init(&self->post_lock) != 0) {
        p2p__free(self);
        return NULL;
    }
    self->base.ops = private_loop ? &poll_ops : &loop_ops;
    self->base.crypto = &p2p__crypto_real;
    self->loop = loop;
    self->private_loop = private_loop;
    self->fine_fd = -1;
    atomic_init(&self->thread, (uintptr_t)uv_thread_self());
    /* The one handle whose making can fail comes first, when there is nothing to take back. */
    if (uv_async_init(loop, &self->async, p2p__uv_on_async) != 0) {
        uv_mutex_destroy(&self->post_lock);
        p2p__free(self);
        return NULL;
    }
    self->async.data = self;
    self->handles++;
    p2p__uv_turn_open(self);
    return self;
}

p2p_io *p2p_io_uv(uv_loop_t *loop)
{
    /* Structs grew and functions came between minor versions; patches are alike. */
    if (uv_version() >> 8 < UV_VERSION_HEX >> 8)
        return NULL;
    struct uv_io *self = io_open(loop, false);
    return self ? &self->base : NULL;
}

p2p_io *p2p_io_poll(void)
{
    if (uv_version() >> 8 < UV_VERSION_HEX >> 8)
        return NULL;
    uv_loop_t *loop = p2p__alloc(sizeof(*loop));
    if (!loop)
        return NULL;
    if (uv_loop_init(loop) != 0) {
        p2p__free(loop);
        return NULL;
    }
    struct uv_io *self = io_open(loop, true);
    if (!self) {
        uv_loop_close(loop);
        p2p__free(loop);
        return NULL;
    }
    return &self->base;
}
