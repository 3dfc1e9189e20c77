/* Word of interfaces that come, go or change their addresses, from the kernel (rtnetlink), and of
 * default routes, which say from which address the world is spoken to. What changed is not read
 * from the messages: whoever is told asks for the whole list again. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    READS_PER_POLL = 16, /* more is waiting then, and the loop calls again */
};

struct uv_watch {
    struct uv_sock sock;
};

union message {
    struct nlmsghdr head;
    uint8_t bytes[4096];
};

/* A router's other routes come and go all the time. */
static bool is_news(const union message *message, size_t len)
{
    const struct nlmsghdr *head = &message->head;
    struct rtmsg route;
    if (len < NLMSG_HDRLEN + sizeof(route) ||
        (head->nlmsg_type != RTM_NEWROUTE && head->nlmsg_type != RTM_DELROUTE))
        return true;
    memcpy(&route, message->bytes + NLMSG_HDRLEN, sizeof(route));
    return route.rtm_dst_len == 0;
}

/* Messages that were lost (ENOBUFS) are news as well. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct uv_sock *sock = handle->data;
    struct p2p_io *io = &sock->io->base;
    union message message;
    bool news = false;
    (void)status;
    (void)events;
    for (int i = 0; i < READS_PER_POLL; i++) {
        ssize_t len = recv(sock->fd, &message, sizeof(message), MSG_TRUNC);
        if (len >= 0)
            news |= is_news(&message, (size_t)len);
        else if (errno == ENOBUFS)
            news = true;
        else if (errno != EINTR)
            break;
    }
    if (news && io->interfaces_changed && io->turn)
        io->interfaces_changed(io->user);
}

int p2p__uv_watch_interfaces(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    if (self->watch)
        return 0;
    struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                          RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return P2P_ENOTSUP;
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        return P2P_ENOTSUP;
    }
    struct uv_watch *watch = p2p__alloc(sizeof(*watch));
    int code = p2p__uv_sock_open(&watch->sock, self, fd, watch, on_poll);
    if (code < 0)
        return code == UV_ENOMEM ? P2P_ENOMEM : P2P_ENOTSUP;
    p2p__uv_sock_arm(&watch->sock, UV_READABLE);
    self->watch = watch;
    self->sockets--; /* ours, not the owner's: it closes with the io */
    return 0;
}

void p2p__uv_watch_close(struct uv_io *self)
{
    if (!self->watch)
        return;
    self->sockets++;
    p2p__uv_sock_close(&self->watch->sock);
    self->watch = NULL;
}
