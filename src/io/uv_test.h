/* One loop with a watchdog, an io on it, and links made by hand. Tests step the loop and look. */
#ifndef P2P_IO_UV_TEST_H
#define P2P_IO_UV_TEST_H

#include "tests/test.h"

#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <p2p/uv.h>

#include "io/io.h"

enum {
    WATCHDOG_MS = 20000,
    IN_MAX = 2 * 65537,
};

struct world {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct p2p_io *io;
    struct pool pool;
    unsigned link_wakes, listener_wakes, turns;
    void (*on_turn)(struct world *);
    void *user;
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void world_turn(void *user)
{
    struct world *w = user;
    w->turns++;
    if (w->on_turn)
        w->on_turn(w);
}

static inline void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    p2p__pool_init(&w->pool, 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->watchdog);
    uv_timer_start(&w->watchdog, on_watchdog, WATCHDOG_MS, 0);
    w->io = p2p_io_uv(&w->loop);
    assert_non_null(w->io);
    w->io->turn = world_turn;
    w->io->user = w;
}

/* The loop ends by itself once the io is gone: nothing is left behind. */
static inline void world_close(struct world *w)
{
    if (w->io) {
        w->io->ops->detach(w->io);
        p2p_io_free(w->io);
    }
    uv_close((uv_handle_t *)&w->watchdog, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(w->pool.used_bytes, 0);
    p2p__pool_fini(&w->pool);
}

#define RUN_UNTIL(w, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(w)->loop, UV_RUN_ONCE)

/* After a few rounds the loop would sleep: nothing spins. */
static inline void assert_quiet(struct world *w)
{
    for (int i = 0; i < 32; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    struct pollfd backend = {.fd = uv_backend_fd(&w->loop), .events = POLLIN};
    assert_int_equal(poll(&backend, 1, 0), 0);
    assert_int_not_equal(uv_backend_timeout(&w->loop), 0);
}

static inline void on_link_wake(struct link *link)
{
    ((struct world *)link->owner)->link_wakes++;
}

static inline void on_listener_wake(struct io_listener *listener)
{
    ((struct world *)listener->owner)->listener_wakes++;
}

static inline struct link *adopt(struct world *w, struct link *link)
{
    link->owner = w;
    link->wake = on_link_wake;
    link->in.max = IN_MAX;
    return link;
}

static inline struct io_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct io_addr){.family = 4, .port = port, .ip = {a, b, c, d}};
}

static inline struct io_addr localhost(uint16_t port)
{
    return ip4(127, 0, 0, 1, port);
}

static inline struct io_listener *listen_at(struct world *w, struct io_addr at)
{
    struct io_listener *listener = NULL;
    int sys_errno = -1;
    assert_int_equal(w->io->ops->listen(w->io, &at, &listener, &sys_errno), 0);
    assert_int_equal(sys_errno, 0);
    assert_int_not_equal(listener->local.port, 0);
    listener->owner = w;
    listener->wake = on_listener_wake;
    return listener;
}

static inline struct link *dial(struct world *w, struct io_addr remote)
{
    struct link *link = NULL;
    int sys_errno = -1;
    assert_int_equal(w->io->ops->dial(w->io, &remote, NULL, 0, &w->pool, &link, &sys_errno), 0);
    assert_false(link->connected);
    assert_int_equal(link->err, 0);
    return adopt(w, link);
}

static inline struct link *accept_one(struct world *w, struct io_listener *listener)
{
    struct link *link = NULL;
    int sys_errno = -1;
    RUN_UNTIL(w, listener->acceptable);
    assert_int_equal(w->io->ops->accept(listener, &w->pool, &link, &sys_errno), 0);
    assert_true(link->connected && link->writable);
    return adopt(w, link);
}

struct pair {
    struct io_listener *listener;
    struct link *a, *b;
};

static inline void pair_open(struct world *w, struct pair *p, struct io_addr at)
{
    p->listener = listen_at(w, at);
    p->a = dial(w, p->listener->local);
    p->b = accept_one(w, p->listener);
    RUN_UNTIL(w, p->a->connected);
    assert_true(p->a->writable);
    assert_true(p2p__io_addr_equal(&p->a->remote, &p->b->local));
    assert_true(p2p__io_addr_equal(&p->a->local, &p->b->remote));
}

static inline void link_drop(struct link *link, bool abort)
{
    p2p__buf_fini(&link->in, link->pool);
    p2p__outq_fini(&link->out, link->pool);
    link->ops->close(link, abort);
}

static inline void pair_close(struct world *w, struct pair *p)
{
    if (p->a)
        link_drop(p->a, false);
    if (p->b)
        link_drop(p->b, false);
    w->io->ops->unlisten(p->listener);
}

static inline void send_text(struct link *link, const char *text)
{
    struct iov iov = {(uint8_t *)(uintptr_t)text, strlen(text)};
    assert_int_equal(link_send(link, &iov, 1), 0);
}

static inline void expect_text(struct world *w, struct link *link, const char *text)
{
    while (buf_len(&link->in) < strlen(text)) {
        RUN_UNTIL(w, link->readable);
        link->ops->fill(link);
        assert_int_equal(link->err, 0);
    }
    assert_memory_equal(buf_data(&link->in), text, strlen(text));
    buf_consume(&link->in, strlen(text));
}

static inline void mark(struct world *w)
{
    w->io->ops->mark(w->io);
}

static inline void on_count(uv_poll_t *poll, int status, int events)
{
    (void)events;
    char byte;
    int *fd = poll->data;
    assert_int_equal(status, 0);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    fd[2]++;
}

static inline int try_dial(struct world *w, struct io_addr to, const struct io_addr *from,
                           unsigned flags, struct link **out, int *sys_errno)
{
    *out = NULL;
    return w->io->ops->dial(w->io, &to, from, flags, &w->pool, out, sys_errno);
}

static inline int try_listen(struct world *w, struct io_addr at, int *sys_errno)
{
    struct io_listener *listener = NULL;
    int code = w->io->ops->listen(w->io, &at, &listener, sys_errno);
    if (code == 0)
        w->io->ops->unlisten(listener);
    return code;
}

static inline void detach_and_free(struct world *w)
{
    struct p2p_io *io = w->io;
    w->io = NULL;
    io->ops->detach(io);
    p2p_io_free(io);
}

static inline void detach_and_free_by(void *user)
{
    detach_and_free(user);
}

static inline void count_call(void *user)
{
    ++*(int *)user;
}

static inline uint16_t free_port(struct world *w)
{
    struct io_listener *listener = listen_at(w, localhost(0));
    uint16_t port = listener->local.port;
    w->io->ops->unlisten(listener);
    return port;
}

static inline void limit_descriptors(struct rlimit *before)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    int next = dup(0);
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

#endif
