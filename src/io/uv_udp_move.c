/* Trains of datagrams in and out of a UDP socket: recvmmsg with GRO, sendmsg with GSO, and beside
 * each train its ECN mark and our own address. */
#define _GNU_SOURCE
#include "io/uv_udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/mem.h"

enum {
    TRAIN_MAX = 65536, /* what the system puts together at most */
};

/* The system's own layout of what comes beside a datagram. */
union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                  CMSG_SPACE(sizeof(int))];
};

/* in */

static void read_control(struct msghdr *msg, struct io_train *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        const uint8_t *data = CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, data, sizeof(info));
            memcpy(out->local.ip, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, data, sizeof(info));
            memcpy(out->local.ip, &info.ipi6_addr, 16);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                out->local.scope = info.ipi6_ifindex;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            out->ecn = data[0] & IO_ECN_MASK; /* one byte, unlike IPv6's */
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, data, sizeof(value));
            out->ecn = (uint8_t)(value & IO_ECN_MASK);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, data, sizeof(value));
            out->segment = (uint16_t)value;
        }
    }
}

/* False: nobody could use it. */
static bool decode(const struct uv_udp *self, struct mmsghdr *in, const union uv_sockaddr *from,
                   struct io_train *out)
{
    *out = (struct io_train){
        .base = in->msg_hdr.msg_iov->iov_base, .len = in->msg_len, .local = self->udp.local};
    if ((in->msg_hdr.msg_flags & MSG_TRUNC) || !p2p__uv_sockaddr_decode(from, &out->remote))
        return false;
    read_control(&in->msg_hdr, out);
    if (out->segment == 0 || out->segment > out->len)
        out->segment = (uint16_t)(out->len < UINT16_MAX ? out->len : UINT16_MAX);
    return true;
}

/* How many messages; 0: nothing now. A call may fail with what became of an earlier datagram, and
 * takes that off the socket. What fails otherwise is as if nothing were there: it cannot spin. */
static int receive(struct uv_udp *self, struct mmsghdr *msgs, unsigned count)
{
    int got = recvmmsg(self->sock.fd, msgs, count, MSG_DONTWAIT, NULL);
    if (got < 0 && p2p__uv_udp_is_report(errno)) {
        self->udp.troubled = true;
        got = recvmmsg(self->sock.fd, msgs, count, MSG_DONTWAIT, NULL);
    }
    return got < 0 ? 0 : got;
}

/* Pages that no train ever reached are never touched. */
static uint8_t *scratch(struct uv_io *io)
{
    if (!io->trains)
        io->trains = p2p__realloc(NULL, (size_t)IO_TRAINS_MAX * TRAIN_MAX);
    return io->trains;
}

size_t p2p__uv_udp_recv(struct io_udp *udp, struct io_train *out, size_t cap)
{
    struct uv_udp *self = (struct uv_udp *)udp;
    struct mmsghdr msgs[IO_TRAINS_MAX];
    struct iovec iov[IO_TRAINS_MAX];
    union uv_sockaddr from[IO_TRAINS_MAX];
    union control control[IO_TRAINS_MAX];
    uint8_t *bytes = scratch(self->sock.io);
    if (cap > IO_TRAINS_MAX)
        cap = IO_TRAINS_MAX;
    size_t used = 0, got = bytes ? cap : 0;
    while (used == 0 && got == cap) {
        for (size_t i = 0; i < cap; i++) {
            iov[i] = (struct iovec){bytes + i * TRAIN_MAX, TRAIN_MAX};
            msgs[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                              .msg_namelen = sizeof(from[i]),
                                              .msg_iov = &iov[i],
                                              .msg_iovlen = 1,
                                              .msg_control = &control[i],
                                              .msg_controllen = sizeof(control[i])};
        }
        got = (size_t)receive(self, msgs, (unsigned)cap);
        for (size_t i = 0; i < got; i++)
            used += decode(self, &msgs[i], &from[i], &out[used]);
    }
    self->sock.repeated = 0;
    if (got < cap) {
        udp->readable = false;
        p2p__uv_sock_arm(&self->sock, self->sock.armed | UV_READABLE);
    }
    return used;
}

/* out */

static void *put_control(struct msghdr *msg, int level, int type, const void *value, size_t len)
{
    struct cmsghdr *c =
        (struct cmsghdr *)(void *)((uint8_t *)msg->msg_control + msg->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    msg->msg_controllen += CMSG_SPACE(len);
    return c;
}

static void write_control(const struct io_train *in, bool cut, struct msghdr *msg)
{
    bool v4 = in->remote.family == 4;
    int ecn = in->ecn;
    uint16_t segment = in->segment;
    if (cut)
        put_control(msg, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    if (ecn)
        put_control(msg, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &ecn,
                    sizeof(ecn));
    if (p2p__io_addr_is_any(&in->local))
        return;
    if (v4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, in->local.ip, 4);
        put_control(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = in->local.scope};
        memcpy(&info.ipi6_addr, in->local.ip, 16);
        put_control(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void refused(struct uv_udp *self, const struct io_train *train, int code)
{
    self->refused = train->remote;
    self->refused_errno = code;
    self->udp.troubled = true;
}

enum outcome { TAKEN, FULL };

/* One call of the system for bytes that it cuts, or does not. */
static int transmit(struct uv_udp *self, const struct io_train *train, bool cut)
{
    union uv_sockaddr to;
    union control control;
    struct iovec iov = {train->base, train->len};
    struct msghdr msg = {.msg_name = &to,
                         .msg_namelen = p2p__uv_sockaddr_encode(&train->remote, &to),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control};
    struct io_train spoken = *train;
    if (!self->any) /* the socket's own is the only one it has */
        memset(spoken.local.ip, 0, sizeof(spoken.local.ip));
    write_control(&spoken, cut, &msg);
    if (msg.msg_controllen == 0)
        msg.msg_control = NULL;
    if (sendmsg(self->sock.fd, &msg, MSG_NOSIGNAL) >= 0)
        return 0;
    if (!p2p__uv_udp_is_report(errno))
        return errno;
    /* Perhaps an earlier datagram's, which this call took off the socket. */
    self->udp.troubled = true;
    return sendmsg(self->sock.fd, &msg, MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

static enum outcome full(struct uv_udp *self)
{
    self->udp.writable = false;
    p2p__uv_sock_arm(&self->sock, self->sock.armed | UV_WRITABLE);
    return FULL;
}

/* The cars one by one. Those before a full system are lost with the rest: a train is all or
 * nothing, and whoever sends it again only repeats them. */
static enum outcome send_cars(struct uv_udp *self, const struct io_train *train)
{
    struct io_train car = *train;
    for (uint32_t at = 0; at < train->len; at += train->segment) {
        uint32_t left = train->len - at;
        car.base = train->base + at;
        car.len = left < train->segment ? left : train->segment;
        int code = transmit(self, &car, false);
        if (code == EAGAIN && at == 0)
            return full(self);
        if (code == EAGAIN) {
            full(self);
            break;
        }
        if (code)
            refused(self, train, code);
    }
    return TAKEN;
}

static enum outcome send_train(struct uv_udp *self, const struct io_train *train)
{
    bool cut = train->len > train->segment;
    if (cut && self->no_gso)
        return send_cars(self, train);
    int code = transmit(self, train, cut);
    if (code == EAGAIN)
        return full(self);
    /* EIO: the device cannot do it. EINVAL: a car is longer than the device takes, and each of them
     * is refused alone. */
    if (cut && (code == EIO || code == EINVAL)) {
        self->no_gso |= code == EIO;
        return send_cars(self, train);
    }
    if (code)
        refused(self, train, code);
    return TAKEN;
}

size_t p2p__uv_udp_send(struct io_udp *udp, const struct io_train *in, size_t count)
{
    struct uv_udp *self = (struct uv_udp *)udp;
    size_t taken = 0;
    while (taken < count && udp->writable) {
        assert(in[taken].len <= in[taken].segment || in[taken].len <= IO_TRAIN_BYTES);
        if (send_train(self, &in[taken]) == FULL)
            break;
        taken++;
    }
    return taken;
}
