/* An io without a world: time stands where it is put, and whatever a test makes up comes in over
 * links that never run dry unless it says so. For what neither sockets nor the simulator can do,
 * and for fuzzing a whole host. */
#ifndef P2P_TESTS_FAKE_IO_H
#define P2P_TESTS_FAKE_IO_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/crypto.h"
#include "io/io.h"

enum {
    FAKE_PORT = 4001,
};

struct fake_link;

/* Up to room bytes for the host at out; 0: nothing now (or never again, when the link says eof). */
typedef size_t (*fake_source)(struct fake_link *, uint8_t *out, size_t room);

struct fake_link {
    struct link link;
    struct fake_link *next; /* waiting to be accepted */
    struct fake_io *io;
    fake_source source;
    void *user;
    bool dry;      /* the source is at its end: eof follows */
    bool deaf;     /* takes nothing that is written */
    uint8_t *sent; /* what the host wrote */
    size_t sent_len, sent_cap;
    size_t filled; /* bytes brought, and calls */
    size_t fills;
};

struct fake_io {
    struct p2p_io io;
    struct io_listener listener;
    struct fake_link *waiting;
    uint64_t now_us, wake_us, dice;
    int links;
    bool marked, listening;
    uint8_t scratch[IO_HEADROOM + IO_FILL_MAX];
};

static inline struct fake_io *fake_of(struct p2p_io *io)
{
    return (struct fake_io *)io;
}

static inline uint64_t fake_now_us(struct p2p_io *io)
{
    return fake_of(io)->now_us;
}

static inline int64_t fake_wall_us(struct p2p_io *io)
{
    return (int64_t)fake_of(io)->now_us + 1767225600000000;
}

static inline void fake_random(struct p2p_io *io, void *out, size_t len)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        uint64_t *x = &fake_of(io)->dice;
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        bytes[i] = (uint8_t)(*x >> 24);
    }
}

static inline void fake_mark(struct p2p_io *io)
{
    fake_of(io)->marked = true;
}

static inline void fake_wake_at(struct p2p_io *io, uint64_t at_us)
{
    fake_of(io)->wake_us = at_us;
}

/* ---- links ---- */

static inline size_t fake_fill(struct link *link)
{
    struct fake_link *self = (struct fake_link *)link;
    uint8_t *bytes = self->io->scratch + IO_HEADROOM;
    size_t room = buf_room(&link->in);
    size_t n = self->source(self, bytes, room < IO_FILL_MAX ? room : IO_FILL_MAX);
    self->fills++;
    self->filled += n;
    if (n == 0) {
        link->readable = self->dry && !link->eof;
        if (room)
            link->eof = self->dry;
    } else if (buf_len(&link->in) == 0) {
        p2p__buf_borrow(&link->in, link->pool, self->io->scratch, IO_HEADROOM, IO_HEADROOM + n);
    } else if (p2p__buf_append(&link->in, link->pool, bytes, n) < 0) {
        link->err = P2P_ENOMEM;
        return 0;
    }
    return n;
}

static inline size_t fake_write(struct link *link, const struct iov *iov, size_t iov_count)
{
    struct fake_link *self = (struct fake_link *)link;
    size_t taken = 0;
    if (self->deaf) {
        link->writable = false;
        return 0;
    }
    for (size_t i = 0; i < iov_count; i++) {
        if (self->sent_cap - self->sent_len < iov[i].len) {
            self->sent_cap = (self->sent_len + iov[i].len) * 2;
            self->sent = realloc(self->sent, self->sent_cap);
            assert(self->sent);
        }
        if (iov[i].len)
            memcpy(self->sent + self->sent_len, iov[i].base, iov[i].len);
        self->sent_len += iov[i].len;
        taken += iov[i].len;
    }
    return taken;
}

static inline void fake_flush(struct link *link)
{
    struct iov iov[8];
    size_t bytes;
    for (size_t n; (n = p2p__outq_iov(&link->out, iov, 8, SIZE_MAX, &bytes)) > 0;) {
        size_t taken = fake_write(link, iov, n);
        outq_consume(&link->out, link->pool, taken);
        if (taken < bytes)
            return;
    }
}

static inline void fake_shutdown(struct link *link)
{
    (void)link;
}

static inline void fake_close(struct link *link, bool abort)
{
    struct fake_link *self = (struct fake_link *)link;
    (void)abort;
    self->io->links--;
    free(self->sent);
    free(self);
}

static const struct link_ops fake_link_ops = {
    .fill = fake_fill,
    .write = fake_write,
    .flush = fake_flush,
    .shutdown = fake_shutdown,
    .close = fake_close,
};

/* A remote that connects; the host accepts it in its next turn and owns it from then on. */
static inline struct fake_link *fake_connect(struct fake_io *self, fake_source source, void *user)
{
    struct fake_link *link = calloc(1, sizeof(*link));
    assert(link);
    link->link.ops = &fake_link_ops;
    link->link.connected = link->link.readable = link->link.writable = true;
    link->link.local = (struct io_addr){.family = 4, .port = FAKE_PORT, .ip = {10, 0, 0, 1}};
    link->link.remote = (struct io_addr){.family = 4, .port = 1, .ip = {10, 0, 0, 2}};
    link->io = self;
    link->source = source;
    link->user = user;
    link->next = self->waiting;
    self->waiting = link;
    self->listener.acceptable = true;
    self->listener.wake(&self->listener);
    return link;
}

/* There may be more in the source. */
static inline void fake_wake(struct fake_link *link)
{
    link->link.readable = true;
    link->link.wake(&link->link);
}

/* ---- the rest of io ---- */

static inline int fake_dial(struct p2p_io *io, const struct io_addr *remote,
                            const struct io_addr *local, unsigned flags, struct pool *pool,
                            struct link **out, int *sys_errno)
{
    (void)io, (void)remote, (void)local, (void)flags, (void)pool;
    *out = NULL;
    *sys_errno = 0;
    return P2P_ECONN;
}

static inline int fake_listen(struct p2p_io *io, const struct io_addr *at, struct io_listener **out,
                              int *sys_errno)
{
    struct fake_io *self = fake_of(io);
    *sys_errno = 0;
    assert(!self->listening);
    self->listening = true;
    self->listener.local = *at;
    *out = &self->listener;
    return 0;
}

static inline int fake_accept(struct io_listener *listener, struct pool *pool, struct link **out,
                              int *sys_errno)
{
    struct fake_io *self =
        (struct fake_io *)(void *)((char *)listener - offsetof(struct fake_io, listener));
    *sys_errno = 0;
    if (!self->waiting) {
        listener->acceptable = false;
        return P2P_EAGAIN;
    }
    *out = &self->waiting->link;
    (*out)->pool = pool;
    self->waiting = self->waiting->next;
    self->links++;
    return 0;
}

static inline void fake_resume(struct io_listener *listener)
{
    (void)listener;
}

static inline int fake_interfaces(struct p2p_io *io, struct io_interface *out, size_t cap)
{
    (void)io, (void)out, (void)cap;
    return 0;
}

static inline int fake_watch_interfaces(struct p2p_io *io)
{
    (void)io;
    return 0;
}

static inline int fake_post(struct p2p_io *io, void (*fn)(void *user), void *user)
{
    (void)io, (void)fn, (void)user;
    return P2P_ECLOSED;
}

static inline int fake_job(struct p2p_io *io, void (*run)(void *user), void *user,
                           struct io_job **out)
{
    (void)io, (void)run, (void)user, (void)out;
    return P2P_ENOTSUP;
}

static inline bool fake_on_thread(struct p2p_io *io)
{
    (void)io;
    return true;
}

static inline void fake_detach(struct p2p_io *io)
{
    io->turn = NULL;
}

static const struct io_ops fake_io_ops = {
    .name = "fake",
    .now_us = fake_now_us,
    .wall_us = fake_wall_us,
    .random = fake_random,
    .mark = fake_mark,
    .wake_at = fake_wake_at,
    .dial = fake_dial,
    .listen = fake_listen,
    .accept = fake_accept,
    .resume = fake_resume,
    .unlisten = fake_resume,
    .interfaces = fake_interfaces,
    .watch_interfaces = fake_watch_interfaces,
    .post = fake_post,
    .job = fake_job,
    .on_thread = fake_on_thread,
    .detach = fake_detach,
    .free = fake_detach,
};

static inline void fake_io_init(struct fake_io *self, const struct p2p__crypto *crypto)
{
    memset(self, 0, offsetof(struct fake_io, scratch));
    self->io.ops = &fake_io_ops;
    self->io.crypto = crypto;
    self->now_us = 1000000;
    self->wake_us = UINT64_MAX;
    self->dice = 88172645463325252;
}

/* Turns until nobody asks for another; at most so many. */
static inline int fake_turns(struct fake_io *self, int max)
{
    int turns = 0;
    while (self->io.turn && self->marked && turns < max) {
        self->marked = false;
        self->io.turn(self->io.user);
        turns++;
    }
    return turns;
}

/* Time passes, deadline by deadline. */
static inline void fake_pass(struct fake_io *self, uint64_t us)
{
    uint64_t end = self->now_us + us;
    while (self->io.turn && self->wake_us <= end) {
        if (self->wake_us > self->now_us)
            self->now_us = self->wake_us;
        self->wake_us = UINT64_MAX;
        self->marked = true;
        fake_turns(self, 1000);
    }
    if (self->now_us < end)
        self->now_us = end;
}

#endif
