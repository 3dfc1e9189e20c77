/* UDP sockets: opening, watching, and what the network says of datagrams that did not arrive. */
#define _GNU_SOURCE
#include "io/uv_udp.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    BUFFER_BYTES = 4 * 1024 * 1024, /* asked for; the system gives what it allows */
    REPEATS_MAX = 8,                /* reports of what the owner knows: see READ_REPEATS_MAX */
};

static struct uv_udp *udp_of(struct io_udp *udp)
{
    return (struct uv_udp *)udp;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* Datagrams are never cut on the way, and nobody on the way may talk us into short ones: protocols
 * here find the length of a path themselves (RFC 8899). What the network reports goes to the error
 * queue. Whatever an old system lacks is not an error, but slower. */
static void configure(struct uv_udp *self, int fd, const struct io_addr *at)
{
    if (at->family == 4) {
        set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        set(fd, IPPROTO_IP, IP_RECVTOS, 1);
        set(fd, IPPROTO_IP, IP_RECVERR, 1);
        if (self->any)
            set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
        if (self->any)
            set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    self->no_gso = !set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
}

static int bound_socket(const struct io_addr *at, unsigned flags)
{
    int family = at->family == 4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (flags & IO_UDP_SHARED) {
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    union uv_sockaddr addr;
    socklen_t len = p2p__uv_sockaddr_encode(at, &addr);
    if (bind(fd, &addr.any, len) == 0)
        return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

/* events */

/* libuv stops watching a socket that has an error to tell, and calls it EBADF. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct uv_sock *sock = poll->data;
    struct uv_udp *self = sock->memory;
    struct io_udp *udp = &self->udp;
    bool news = false;
    if (status < 0) {
        int armed = sock->armed;
        sock->armed = 0;
        /* Also when the owner has not been told of an earlier one, which may have woken nobody:
         * reading goes on only once it is told. */
        udp->troubled = news = true;
        p2p__uv_sock_arm(sock, armed & UV_WRITABLE);
    }
    if (events & UV_READABLE) {
        if (!udp->readable)
            udp->readable = news = true;
        else if (++sock->repeated >= REPEATS_MAX)
            p2p__uv_sock_arm(sock, sock->armed & ~UV_READABLE);
    }
    if (events & UV_WRITABLE) {
        news |= !udp->writable;
        udp->writable = true;
        p2p__uv_sock_arm(sock, sock->armed & ~UV_WRITABLE);
    }
    if (news && udp->wake)
        udp->wake(udp);
}

/* errors */

bool p2p__uv_udp_is_report(int code)
{
    return code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH ||
           code == EHOSTDOWN || code == ENOPROTOOPT || code == EPROTO || code == EACCES ||
           code == EMSGSIZE;
}

/* One message of the error queue: where the datagram was sent is in its name. */
static bool next_report(struct uv_udp *self, struct io_addr *remote, int *sys_errno)
{
    union uv_sockaddr to = {.any = {.sa_family = AF_UNSPEC}};
    union {
        struct cmsghdr align;
        uint8_t bytes[512];
    } control;
    struct msghdr msg = {.msg_name = &to,
                         .msg_namelen = sizeof(to),
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    if (recvmsg(self->sock.fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    *sys_errno = EIO;
    if (!p2p__uv_sockaddr_decode(&to, remote))
        *remote = (struct io_addr){0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        struct sock_extended_err report;
        if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof(report)))
            continue;
        memcpy(&report, CMSG_DATA(c), sizeof(report));
        if (report.ee_errno)
            *sys_errno = (int)report.ee_errno;
    }
    return true;
}

static bool udp_error(struct io_udp *udp, struct io_addr *remote, int *sys_errno)
{
    struct uv_udp *self = udp_of(udp);
    if (self->refused_errno) {
        *remote = self->refused;
        *sys_errno = self->refused_errno;
        self->refused_errno = 0;
        return true;
    }
    if (next_report(self, remote, sys_errno))
        return true;
    if (udp->troubled && !udp->readable)
        p2p__uv_sock_arm(&self->sock, self->sock.armed | UV_READABLE);
    udp->troubled = false;
    return false;
}

/* A socket for a moment: connecting it asks the routing table, and sends nothing. */
static bool udp_source(struct io_udp *udp, const struct io_addr *remote, struct io_addr *out)
{
    if (!udp_of(udp)->any) {
        *out = udp->local;
        return true;
    }
    int family = remote->family == 4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    union uv_sockaddr to;
    socklen_t len = p2p__uv_sockaddr_encode(remote, &to);
    bool ok = connect(fd, &to.any, len) == 0 && p2p__uv_local_addr(fd, out);
    close(fd);
    out->port = udp->local.port;
    return ok;
}

static void udp_close(struct io_udp *udp)
{
    p2p__uv_sock_close(&udp_of(udp)->sock);
}

static const struct io_udp_ops ops = {
    .recv = p2p__uv_udp_recv,
    .send = p2p__uv_udp_send,
    .error = udp_error,
    .source = udp_source,
    .close = udp_close,
};

static bool out_of_resources(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM || code == ENOSPC;
}

int p2p__uv_udp(struct p2p_io *base, const struct io_addr *at, unsigned flags, struct io_udp **out,
                int *sys_errno)
{
    *sys_errno = 0;
    int fd = bound_socket(at, flags);
    if (fd < 0) {
        *sys_errno = errno;
        return out_of_resources(errno) ? P2P_ELIMIT : P2P_ELISTEN;
    }
    struct uv_udp *self = p2p__alloc(sizeof(*self));
    int code =
        p2p__uv_sock_open(self ? &self->sock : NULL, (struct uv_io *)base, fd, self, on_poll);
    if (code < 0) {
        *sys_errno = -code;
        return P2P_ELIMIT;
    }
    assert(self);
    self->udp.ops = &ops;
    self->udp.writable = true;
    self->any = p2p__io_addr_is_any(at);
    p2p__uv_local_addr(fd, &self->udp.local);
    configure(self, fd, at);
    p2p__uv_sock_arm(&self->sock, UV_READABLE);
    *out = &self->udp;
    return 0;
}
