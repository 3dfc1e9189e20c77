/* A TCP socket as a link.
 *
 * Watching is lazy in both directions, so that a busy link costs no epoll_ctl at all: POLLIN stays
 * armed while its owner reads, POLLOUT while its owner writes more than the kernel takes; each is
 * disarmed when it keeps reporting what the owner knows already. A link whose owner does not read
 * is watched for its end only, and a reset becomes err even then.
 *
 * Whatever the system reports is P2P_ECONN with its number in sys_errno, a reset by the peer
 * (ECONNRESET, EPIPE) too. What had arrived before it can still be filled: readable says so. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/uio.h>

#include "base/mem.h"
#include "io/uv_pair.h"

enum {
    WRITE_IOVS = 64,
    /* Turns serve links in rotation, so a full one may be reported a few times before it is its
     * turn; one that is not read at all costs this many empty rounds of the loop. */
    READ_REPEATS_MAX = 8,
    /* Leftovers are read behind in their own block only when a read of this size fits. */
    IN_PLACE_MIN = 32 * 1024,
    DISCARD_STEP = 64 * 1024,
    DISCARD_STEPS = 128, /* 8 MiB: more than the largest receive buffer of a default system */
};

struct uv_link {
    struct link link;
    struct uv_sock sock;
    bool read_done; /* the end or an error was read */
    bool sent_end;  /* shutdown was called */
};

_Static_assert(sizeof(struct iov) == sizeof(struct iovec) &&
                   offsetof(struct iov, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct iov, len) == offsetof(struct iovec, iov_len),
               "struct iov is handed to sendmsg as it is");

static void tell(struct link *link)
{
    if (link->wake)
        link->wake(link);
}

static void fail(struct uv_link *self, int code, int sys_errno)
{
    if (!self->link.err) {
        self->link.err = code;
        self->link.sys_errno = sys_errno;
    }
    self->link.writable = false;
    p2p__uv_sock_arm(&self->sock, 0);
}

/* Also clears it: whoever reads or writes afterwards sees an end only. */
static int take_error(struct uv_link *self)
{
    int code = 0;
    socklen_t len = sizeof(code);
    if (getsockopt(self->sock.fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0)
        return errno;
    return code;
}

/* reading */

static void stop_reading(struct uv_link *self)
{
    self->read_done = true;
    self->link.readable = false;
    p2p__uv_sock_arm(&self->sock, self->sock.armed & UV_WRITABLE);
}

/* Nothing is left in the kernel, or it will be reported: the watching is level-triggered. */
static void drained(struct uv_link *self)
{
    self->link.readable = false;
    p2p__uv_sock_arm(&self->sock, (self->sock.armed & UV_WRITABLE) | UV_READABLE);
}

static size_t receive(struct uv_link *self, uint8_t *to, size_t len)
{
    ssize_t n;
    do
        n = recv(self->sock.fd, to, len, 0);
    while (n < 0 && errno == EINTR);
    self->sock.repeated = 0;
    if (n > 0) {
        /* A broken link is watched no more: only reading on brings its end. */
        if ((size_t)n < len && !self->link.err)
            drained(self);
        return (size_t)n;
    }
    if (n < 0 && errno == EAGAIN && !self->link.err) {
        drained(self);
        return 0;
    }
    if (n < 0)
        fail(self, P2P_ECONN, errno);
    else if (!self->link.err)
        self->link.eof = true;
    stop_reading(self);
    return 0;
}

static size_t out_of_memory(struct uv_link *self)
{
    fail(self, P2P_ENOMEM, 0);
    stop_reading(self);
    return 0;
}

/* How much can be read behind what `in` holds without asking for memory. */
static size_t room_in_place(const struct buf *in, size_t want)
{
    size_t behind = in->cap - in->tail, len = buf_len(in);
    if (in->cap == 0)
        return 0;
    return behind < want && in->head >= len ? in->cap - len : behind;
}

static size_t fill_in_place(struct uv_link *self, size_t want)
{
    struct buf *in = &self->link.in;
    uint8_t *to = p2p__buf_reserve(in, self->link.pool, want);
    if (!to)
        return out_of_memory(self);
    size_t n = receive(self, to, want);
    p2p__buf_commit(in, n);
    return n;
}

/* The scratch is needed: who left bytes there gets memory for them. */
static void evict(struct uv_io *io, const struct link *wanted_by)
{
    struct link *by = io->borrower;
    io->borrower = NULL;
    if (!by || by == wanted_by || !buf_borrowed(&by->in) || p2p__buf_settle(&by->in, by->pool) == 0)
        return;
    buf_consume(&by->in, buf_len(&by->in));
    p2p__buf_fini(&by->in, by->pool);
    (void)out_of_memory((struct uv_link *)by);
    tell(by);
}

/* Few leftovers move before the new bytes; more are copied out and joined by the new bytes, in a
 * block that the next fill can read into. */
static size_t fill_scratch(struct uv_link *self, size_t want)
{
    struct uv_io *io = self->sock.io;
    struct link *link = &self->link;
    evict(io, link);
    if (!io->scratch)
        io->scratch = p2p__realloc(NULL, UV_SCRATCH_LEN);
    if (!io->scratch || p2p__buf_settle(&link->in, link->pool) < 0)
        return out_of_memory(self);
    uint8_t *base = io->scratch + IO_HEADROOM;
    size_t n = receive(self, base, want);
    if (n > 0 && p2p__buf_join(&link->in, link->pool, base, n, IO_HEADROOM) < 0)
        return out_of_memory(self);
    io->borrower = buf_borrowed(&link->in) ? link : NULL;
    return n;
}

/* Whether `in` lies in the scratch, with so much room behind. */
static bool scratch_has(const struct uv_link *self, size_t want)
{
    const struct uv_io *io = self->sock.io;
    const struct buf *in = &self->link.in;
    return io->borrower == &self->link && buf_borrowed(in) &&
           (size_t)(io->scratch + UV_SCRATCH_LEN - (in->block + in->tail)) >= want;
}

/* The rest of a cut record, behind its beginning: what was read does not move, and the next record
 * starts a new fill. */
static size_t fill_need(struct uv_link *self)
{
    struct buf *in = &self->link.in;
    size_t need = self->link.need;
    if (!scratch_has(self, need))
        return fill_in_place(self, need);
    size_t n = receive(self, in->block + in->tail, need); /* the lender may write behind */
    in->tail += (uint32_t)n;
    return n;
}

static bool link_fills_behind(const struct link *link)
{
    return link->need <= IO_FILL_MAX && scratch_has((const struct uv_link *)link, link->need);
}

static size_t link_fill(struct link *link)
{
    struct uv_link *self = (struct uv_link *)link;
    bool behind = link->behind;
    link->behind = false;
    if (self->read_done || !link->connected) {
        link->readable = false;
        return 0;
    }
    if (behind)
        return fill_need(self);
    size_t want = buf_room(&link->in);
    if (want == 0)
        return 0;
    if (want > IO_FILL_MAX)
        want = IO_FILL_MAX;
    if (buf_len(&link->in) > IO_HEADROOM) {
        if (link->need && link->need <= want)
            return fill_need(self);
        size_t room = room_in_place(&link->in, want);
        if (room >= want || room >= IN_PLACE_MIN)
            return fill_in_place(self, room < want ? room : want);
    }
    return fill_scratch(self, want);
}

/* writing */

/* At most WRITE_IOVS pieces. Less than their sum: the kernel is full, or the link broke. */
static size_t transmit(struct uv_link *self, const struct iov *iov, size_t iov_count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iov_count};
    size_t total = 0;
    for (size_t i = 0; i < iov_count; i++)
        total += iov[i].len;
    if (total == 0)
        return 0;
    ssize_t n;
    do
        n = sendmsg(self->sock.fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        fail(self, P2P_ECONN, errno);
        self->link.readable = !self->read_done;
        return 0;
    }
    size_t taken = n < 0 ? 0 : (size_t)n;
    if (taken < total) {
        self->link.writable = false;
        p2p__uv_sock_arm(&self->sock, self->sock.armed | UV_WRITABLE);
    }
    return taken;
}

static size_t link_write(struct link *link, const struct iov *iov, size_t iov_count)
{
    struct uv_link *self = (struct uv_link *)link;
    assert(outq_len(&link->out) == 0);
    size_t taken = 0;
    while (iov_count > 0 && link->writable) {
        size_t count = iov_count < WRITE_IOVS ? iov_count : WRITE_IOVS;
        taken += transmit(self, iov, count);
        iov += count;
        iov_count -= count;
    }
    return taken;
}

static void link_flush(struct link *link)
{
    struct uv_link *self = (struct uv_link *)link;
    struct iov iov[WRITE_IOVS];
    while (link->writable && outq_unsent(&link->out) > 0) {
        size_t total;
        size_t count = p2p__outq_iov(&link->out, iov, WRITE_IOVS, SIZE_MAX, &total);
        outq_consume(&link->out, link->pool, transmit(self, iov, count));
    }
}

static void link_shutdown(struct link *link)
{
    struct uv_link *self = (struct uv_link *)link;
    assert(outq_len(&link->out) == 0);
    if (self->sent_end || !link->connected)
        return;
    self->sent_end = true;
    link->writable = false;
    shutdown(self->sock.fd, SHUT_WR);
    p2p__uv_sock_arm(&self->sock, self->sock.armed & ~UV_WRITABLE);
}

/* closing */

/* Closing a socket with unread bytes resets it, and the peer may then lose what we sent. */
static void discard_unread(int fd)
{
    uint8_t sink[DISCARD_STEP]; /* never written to */
    for (int i = 0; i < DISCARD_STEPS; i++)
        if (recv(fd, sink, sizeof(sink), MSG_TRUNC) <= 0)
            return;
}

static void link_close(struct link *link, bool abort)
{
    struct uv_link *self = (struct uv_link *)link;
    struct uv_io *io = self->sock.io;
    if (io->borrower == link)
        io->borrower = NULL;
    if (abort) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(self->sock.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    } else if (link->connected && !self->read_done) {
        discard_unread(self->sock.fd);
    }
    p2p__uv_sock_close(&self->sock);
}

static const struct link_ops ops = {
    .fill = link_fill,
    .fills_behind = link_fills_behind,
    .write = link_write,
    .flush = link_flush,
    .shutdown = link_shutdown,
    .close = link_close,
};

/* events */

/* A dial can meet itself: the system picks, or is told, the very port that it dials. */
static bool met_itself(const struct link *link)
{
    return p2p__io_addr_equal(&link->local, &link->remote);
}

static void on_connect(struct uv_link *self, int status)
{
    struct link *link = &self->link;
    int code = take_error(self);
    if (code == 0 && (status < 0 || !p2p__uv_local_addr(self->sock.fd, &link->local)))
        code = ENOTCONN;
    if (code == 0 && met_itself(link))
        code = ECONNREFUSED;
    if (code != 0) {
        fail(self, P2P_ECONN, code);
    } else {
        link->connected = link->writable = true;
        p2p__uv_sock_arm(&self->sock, UV_READABLE);
    }
    tell(link);
}

static void on_broken(struct uv_link *self)
{
    int code = take_error(self);
    fail(self, P2P_ECONN, code ? code : ECONNRESET);
    self->link.readable = !self->read_done;
    tell(&self->link);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct uv_sock *sock = poll->data;
    struct uv_link *self = sock->memory;
    struct link *link = &self->link;
    bool news = false;
    if (!link->connected) {
        on_connect(self, status);
        return;
    }
    if (status < 0) {
        on_broken(self);
        return;
    }
    int armed = sock->armed;
    if (events & UV_READABLE) {
        if (!link->readable)
            link->readable = news = true;
        else if (++sock->repeated >= READ_REPEATS_MAX)
            armed = (armed & ~UV_READABLE) | UV_DISCONNECT;
    }
    if (events & UV_WRITABLE) {
        if (!link->writable)
            link->writable = news = true;
        else
            armed &= ~UV_WRITABLE;
    }
    /* An end without an error: reading will find it, and until then it would be reported for ever.
     */
    if (events & UV_DISCONNECT)
        armed &= ~UV_DISCONNECT;
    p2p__uv_sock_arm(sock, armed);
    if (news)
        tell(link);
}

int p2p__uv_link_new(struct uv_io *io, int fd, bool connected, const struct io_addr *remote,
                     struct pool *pool, struct link **out, int *sys_errno)
{
    struct uv_link *self = p2p__alloc(sizeof(*self));
    int code = p2p__uv_sock_open(self ? &self->sock : NULL, io, fd, self, on_poll);
    if (code < 0) {
        *sys_errno = -code;
        return P2P_ELIMIT;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert(self);
    struct link *link = &self->link;
    link->ops = &ops;
    link->pool = pool;
    link->remote = *remote;
    link->connected = link->writable = connected;
    if (connected)
        p2p__uv_local_addr(fd, &link->local);
    p2p__uv_sock_arm(&self->sock, connected ? UV_READABLE : UV_WRITABLE);
    *out = link;
    return 0;
}

int p2p__uv_link_fd(const struct link *link)
{
    return ((const struct uv_link *)link)->sock.fd;
}
