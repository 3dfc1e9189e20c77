#define _GNU_SOURCE
#include "io/uv_pair.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "io/uv_internal.h"

int p2p__uv_pair(struct p2p_io *io, struct pool *pool, struct link **out, int *fd, int *sys_errno)
{
    static const struct io_addr nowhere;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        *sys_errno = errno;
        return P2P_ELIMIT;
    }
    int rc = p2p__uv_link_new((struct uv_io *)io, pair[0], true, &nowhere, pool, out, sys_errno);
    if (rc < 0) {
        close(pair[1]);
        return rc;
    }
    *fd = pair[1];
    return 0;
}

void p2p__uv_pair_cancel(struct link *link, int *fd)
{
    link->ops->close(link, false);
    close(*fd);
    *fd = -1;
}

bool p2p__uv_pair_gone(const struct link *link)
{
    struct pollfd self = {.fd = p2p__uv_link_fd(link)};
    return poll(&self, 1, 0) == 1 && (self.revents & POLLHUP);
}
