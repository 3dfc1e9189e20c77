/* Any two descriptors as a link: a pipe each way, a serial line, a terminal, one socket for both.
 */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

enum {
    READ_MAX = 64 * 1024,
    WRITE_IOVS = 64,
    REPEATS_MAX = 8, /* of a report that the owner knows already */
};

/* The writing side: freed by itself, since each watch is closed in its own time. */
struct out_side {
    struct uv_sock sock;
    struct uv_fds *fds; /* NULL: the link is gone */
};

struct uv_fds {
    struct link link;
    struct uv_sock sock;
    struct out_side *out; /* NULL: our side has ended */
    bool read_done;
};

static void tell(struct link *link)
{
    if (link->wake)
        link->wake(link);
}

static void fail(struct uv_fds *self, int sys_errno)
{
    if (!self->link.err) {
        self->link.err = P2P_ECONN;
        self->link.sys_errno = sys_errno;
    }
    self->link.writable = false;
}

static struct uv_fds *fds_of(struct link *link)
{
    return P2P__CONTAINER(link, struct uv_fds, link);
}

/* ---- reading ---- */

static size_t fill(struct link *link)
{
    struct uv_fds *self = fds_of(link);
    size_t want = buf_room(&link->in);
    link->behind = false;
    if (self->read_done) {
        link->readable = false;
        return 0;
    }
    if (want == 0)
        return 0;
    want = want < READ_MAX ? want : READ_MAX;
    uint8_t *to = p2p__buf_reserve(&link->in, link->pool, want);
    ssize_t n;
    if (!to) {
        link->err = link->err ? link->err : P2P_ENOMEM;
        return 0;
    }
    do
        n = read(self->sock.fd, to, want);
    while (n < 0 && errno == EINTR);
    self->sock.repeated = 0;
    if (n > 0) {
        p2p__buf_commit(&link->in, (size_t)n);
        return (size_t)n;
    }
    (void)p2p__buf_settle(&link->in, link->pool);
    link->readable = false;
    if (n < 0 && errno == EAGAIN) {
        p2p__uv_sock_arm(&self->sock, UV_READABLE);
        return 0;
    }
    self->read_done = true;
    p2p__uv_sock_arm(&self->sock, 0);
    if (n == 0 || errno == EIO) /* a terminal hangs up with EIO */
        link->eof = true;
    else
        fail(self, errno);
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct uv_sock *sock = poll->data;
    struct uv_fds *self = sock->memory;
    (void)status; /* reading finds out */
    (void)events;
    if (!self->link.readable) {
        self->link.readable = true;
        tell(&self->link);
    } else if (status < 0 || ++sock->repeated >= REPEATS_MAX) {
        p2p__uv_sock_arm(sock, 0);
    }
}

/* ---- writing ---- */

/* A pipe without a reader raises SIGPIPE, which must not be the program's end (MSG_NOSIGNAL is for
 * sockets only). */
static ssize_t write_quietly(int fd, const struct iovec *iov, int count)
{
    static const struct timespec now;
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = writev(fd, iov, count);
    int code = errno;
    if (n < 0 && code == EPIPE && !was_pending)
        (void)sigtimedwait(&pipe_only, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return n;
}

static size_t transmit(struct uv_fds *self, const struct iov *iov, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += iov[i].len;
    if (!self->out || total == 0)
        return 0;
    ssize_t n;
    do
        n = write_quietly(self->out->sock.fd, (const struct iovec *)(uintptr_t)iov, (int)count);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        fail(self, errno);
        self->link.readable = !self->read_done;
        return 0;
    }
    size_t taken = n < 0 ? 0 : (size_t)n;
    if (taken < total) {
        self->link.writable = false;
        p2p__uv_sock_arm(&self->out->sock, UV_WRITABLE);
    }
    return taken;
}

static size_t write_iov(struct link *link, const struct iov *iov, size_t count)
{
    size_t taken = 0;
    for (size_t n; count > 0 && link->writable; iov += n, count -= n) {
        n = count < WRITE_IOVS ? count : WRITE_IOVS;
        taken += transmit(fds_of(link), iov, n);
    }
    return taken;
}

static void flush(struct link *link)
{
    struct iov iov[WRITE_IOVS];
    while (link->writable && outq_unsent(&link->out) > 0) {
        size_t total;
        size_t count = p2p__outq_iov(&link->out, iov, WRITE_IOVS, SIZE_MAX, &total);
        outq_consume(&link->out, link->pool, transmit(fds_of(link), iov, count));
    }
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct uv_sock *sock = poll->data;
    struct out_side *out = sock->memory;
    (void)status;
    (void)events;
    p2p__uv_sock_arm(sock, 0);
    if (out->fds && !out->fds->link.writable) {
        out->fds->link.writable = true;
        tell(&out->fds->link);
    }
}

static void end_out(struct uv_fds *self)
{
    if (!self->out)
        return;
    self->out->fds = NULL;
    p2p__uv_sock_close(&self->out->sock);
    self->out = NULL;
    self->link.writable = false;
}

/* Two descriptors of one socket share its end: shutdown does what close does to a pipe. */
static void shut(struct link *link)
{
    struct uv_fds *self = fds_of(link);
    if (self->out)
        shutdown(self->out->sock.fd, SHUT_WR);
    end_out(self);
}

static void close_both(struct link *link, bool abort)
{
    struct uv_fds *self = fds_of(link);
    (void)abort;
    end_out(self);
    p2p__uv_sock_close(&self->sock);
}

static const struct link_ops ops = {
    .fill = fill,
    .write = write_iov,
    .flush = flush,
    .shutdown = shut,
    .close = close_both,
};

/* ---- the beginning ---- */

/* A regular file is always ready, and never brings what comes later. */
static int check(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) != 0)
        return errno;
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))
        return EINVAL;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : errno;
}

/* What the system cannot wait for (/dev/null) is the caller's mistake, the rest is a want. */
static int watch_failed(int code)
{
    return code == UV_EPERM ? P2P_ECONN : P2P_ELIMIT;
}

static int refuse(int read_fd, int write_fd, int code, int number, int *sys_errno)
{
    *sys_errno = number;
    if (read_fd >= 0)
        close(read_fd);
    if (write_fd >= 0)
        close(write_fd);
    return code;
}

int p2p__uv_adopt(struct p2p_io *base, int read_fd, int write_fd, struct pool *pool,
                  struct link **out, int *sys_errno)
{
    struct uv_io *io = (struct uv_io *)base;
    int own = read_fd == write_fd ? fcntl(write_fd, F_DUPFD_CLOEXEC, 0) : write_fd;
    int bad = own < 0 ? errno : check(read_fd);
    if (!bad)
        bad = check(own);
    if (bad)
        return refuse(read_fd, own, P2P_ECONN, bad, sys_errno);
    struct uv_fds *self = p2p__alloc(sizeof(*self));
    struct out_side *side = p2p__alloc(sizeof(*side));
    if (!self || !side) {
        p2p__free(self);
        p2p__free(side);
        return refuse(read_fd, own, P2P_ENOMEM, 0, sys_errno);
    }
    int code = p2p__uv_sock_open(&side->sock, io, own, side, on_writable);
    if (code < 0) {
        p2p__free(self);
        return refuse(read_fd, -1, watch_failed(code), -code, sys_errno);
    }
    code = p2p__uv_sock_open(&self->sock, io, read_fd, self, on_readable);
    if (code < 0) {
        p2p__uv_sock_close(&side->sock);
        *sys_errno = -code;
        return watch_failed(code);
    }
    self->out = side;
    side->fds = self;
    self->link.ops = &ops;
    self->link.pool = pool;
    self->link.connected = self->link.writable = true;
    p2p__uv_sock_arm(&self->sock, UV_READABLE);
    *out = &self->link;
    return 0;
}
