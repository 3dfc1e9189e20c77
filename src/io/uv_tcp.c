/* TCP: dialing, and listeners.
 *
 * Sharing a listener's port. A dial from the port we listen on needs SO_REUSEPORT on both sockets
 * when the dial binds. But two listeners that both have it when they bind may share a port in
 * silence, and "port in use" would be an error no more. So a listener binds and listens without it,
 * which fails while any other socket listens there, whatever options that one has; and gets it
 * afterwards, which Linux allows at any time and looks at only when the next socket binds. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    /* Owners leave connections waiting when a limit is reached: see READ_REPEATS_MAX. */
    ACCEPT_REPEATS_MAX = 8,
};

struct uv_listener {
    struct io_listener listener;
    struct uv_sock sock;
    struct io_local *name; /* of a Unix socket */
    bool asleep;           /* until resume */
};

static bool out_of_resources(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM || code == ENOSPC;
}

static void set(int fd, int level, int option)
{
    int on = 1;
    setsockopt(fd, level, option, &on, sizeof(on));
}

/* IPv6 sockets carry IPv6 only, on every system alike: :: beside 0.0.0.0 on one port works, and no
 * v4-mapped address gets around a rule about IPv4. */
static int tcp_socket(const struct io_addr *addr)
{
    int family = addr->family == 4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return fd;
}

static int bind_to(int fd, const struct io_addr *addr)
{
    union uv_sockaddr at;
    socklen_t len = p2p__uv_sockaddr_encode(addr, &at);
    return bind(fd, &at.any, len);
}

/* What failed is in errno. */
static int give_up(int fd, int fallback, int *sys_errno)
{
    *sys_errno = errno;
    if (fd >= 0)
        close(fd);
    return out_of_resources(*sys_errno) ? P2P_ELIMIT : fallback;
}

static int start_connect(int fd, const struct io_addr *remote, const struct io_addr *local,
                         unsigned flags)
{
    if (flags & IO_DIAL_REUSE_PORT) {
        set(fd, SOL_SOCKET, SO_REUSEADDR);
        set(fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (local && local->port == 0)
        set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT); /* a port may serve several remotes */
    if (local && bind_to(fd, local) != 0)
        return -1;
    union uv_sockaddr to;
    socklen_t len = p2p__uv_sockaddr_encode(remote, &to);
    return connect(fd, &to.any, len) == 0 || errno == EINPROGRESS || errno == EINTR ? 0 : -1;
}

int p2p__uv_dial(struct p2p_io *base, const struct io_addr *remote, const struct io_addr *local,
                 unsigned flags, struct pool *pool, struct link **out, int *sys_errno)
{
    *sys_errno = 0;
    int fd = tcp_socket(remote);
    if (fd < 0 || start_connect(fd, remote, local, flags) < 0)
        return give_up(fd, P2P_ECONN, sys_errno);
    return p2p__uv_link_new((struct uv_io *)base, fd, false, remote, pool, out, sys_errno);
}

static void on_incoming(uv_poll_t *poll, int status, int events)
{
    struct uv_sock *sock = poll->data;
    struct uv_listener *self = sock->memory;
    (void)status; /* accept will tell */
    (void)events;
    if (!self->listener.acceptable) {
        self->listener.acceptable = true;
        if (self->listener.wake)
            self->listener.wake(&self->listener);
    } else if (++sock->repeated >= ACCEPT_REPEATS_MAX) {
        p2p__uv_sock_arm(sock, 0);
    }
}

static int start_listen(int fd, const struct io_addr *at, struct io_addr *local)
{
    set(fd, SOL_SOCKET, SO_REUSEADDR); /* a restart need not wait for TIME_WAIT */
    if (bind_to(fd, at) != 0 || listen(fd, IO_LISTEN_BACKLOG) != 0)
        return -1;
    set(fd, SOL_SOCKET, SO_REUSEPORT);
    return p2p__uv_local_addr(fd, local) ? 0 : -1;
}

int p2p__uv_listener_new(struct uv_io *io, int fd, const struct io_addr *local,
                         struct io_local *name, struct io_listener **out, int *sys_errno)
{
    struct uv_listener *self = p2p__alloc(sizeof(*self));
    int code = p2p__uv_sock_open(self ? &self->sock : NULL, io, fd, self, on_incoming);
    if (code < 0) {
        *sys_errno = -code;
        if (name)
            p2p__uv_local_forget(name);
        return P2P_ELIMIT;
    }
    assert(self);
    self->listener.local = *local;
    self->name = name;
    p2p__uv_sock_arm(&self->sock, UV_READABLE);
    *out = &self->listener;
    return 0;
}

int p2p__uv_listen(struct p2p_io *base, const struct io_addr *at, struct io_listener **out,
                   int *sys_errno)
{
    *sys_errno = 0;
    struct io_addr local;
    int fd = tcp_socket(at);
    if (fd < 0 || start_listen(fd, at, &local) < 0)
        return give_up(fd, P2P_ELISTEN, sys_errno);
    return p2p__uv_listener_new((struct uv_io *)base, fd, &local, NULL, out, sys_errno);
}

/* The connection is gone, or was refused by a rule of the system; the next may be fine: accept(2).
 */
static bool only_this_one(int code)
{
    switch (code) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ETIMEDOUT:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/* The connection stays in the backlog and would be reported for ever. */
static int sleep_until_resume(struct uv_listener *self)
{
    self->asleep = true;
    self->listener.acceptable = false;
    p2p__uv_sock_arm(&self->sock, 0);
    return P2P_ELIMIT;
}

/* Numbers are for this process only. */
static bool is_stranger(const struct uv_listener *self, int fd)
{
    return self->name && !self->name->path_len && !p2p__uv_same_process(fd);
}

int p2p__uv_accept(struct io_listener *listener, struct pool *pool, struct link **out,
                   int *sys_errno)
{
    struct uv_listener *self = (struct uv_listener *)listener;
    union uv_sockaddr from = {.any = {.sa_family = AF_UNSPEC}};
    struct io_addr remote;
    *sys_errno = 0;
    if (self->asleep)
        return P2P_EAGAIN;
    int fd;
    do {
        socklen_t len = sizeof(from);
        fd = accept4(self->sock.fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && is_stranger(self, fd)) {
            close(fd);
            fd = -1;
            errno = ECONNABORTED;
        }
    } while (fd < 0 && only_this_one(errno));
    if (fd < 0 && errno == EAGAIN) {
        listener->acceptable = false;
        p2p__uv_sock_arm(&self->sock, UV_READABLE);
        return P2P_EAGAIN;
    }
    if (fd < 0) {
        *sys_errno = errno;
        return sleep_until_resume(self);
    }
    self->sock.repeated = 0;
    p2p__uv_sockaddr_decode(&from, &remote);
    int code = p2p__uv_link_new(self->sock.io, fd, true, &remote, pool, out, sys_errno);
    return code < 0 ? sleep_until_resume(self) : 0;
}

void p2p__uv_resume(struct io_listener *listener)
{
    struct uv_listener *self = (struct uv_listener *)listener;
    if (!self->asleep)
        return;
    self->asleep = false;
    p2p__uv_sock_arm(&self->sock, UV_READABLE);
}

void p2p__uv_unlisten(struct io_listener *listener)
{
    struct uv_listener *self = (struct uv_listener *)listener;
    if (self->name)
        p2p__uv_local_forget(self->name);
    p2p__uv_sock_close(&self->sock);
}
