/* Unix stream sockets, by path; and by number for hosts of one process, whatever loops they run on:
 * those live in Linux's abstract namespace, named after the process, and refuse every other one. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

_Static_assert(IO_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path) - 1, "a path and a NUL");

static socklen_t encode(const struct io_local *at, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (at->path_len) {
        memcpy(out->sun_path, at->path, at->path_len);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at->path_len + 1);
    }
    int len = snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1, "libp2p/memory/%ld/%llu",
                       (long)getpid(), (unsigned long long)at->number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

bool p2p__uv_same_process(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getpid();
}

static int give_up(int fd, int fallback, int *sys_errno)
{
    *sys_errno = errno;
    if (fd >= 0)
        close(fd);
    return *sys_errno == EMFILE || *sys_errno == ENFILE ? P2P_ELIMIT : fallback;
}

/* A Unix connect never waits: it is there, or refused, or the listener's queue is full (EAGAIN). */
int p2p__uv_dial_local(struct p2p_io *base, const struct io_local *remote, struct pool *pool,
                       struct link **out, int *sys_errno)
{
    static const struct io_addr nowhere = {0};
    struct sockaddr_un to;
    socklen_t len = encode(remote, &to);
    int fd = local_socket();
    *sys_errno = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0)
        return give_up(fd, P2P_ECONN, sys_errno);
    if (!remote->path_len && !p2p__uv_same_process(fd)) {
        errno = ECONNREFUSED;
        return give_up(fd, P2P_ECONN, sys_errno);
    }
    return p2p__uv_link_new((struct uv_io *)base, fd, true, &nowhere, pool, out, sys_errno);
}

/* A socket file whose process is gone. Nothing but a socket is ever removed. */
static bool is_stale(const struct io_local *at)
{
    struct stat status;
    struct sockaddr_un to;
    socklen_t len = encode(at, &to);
    if (!at->path_len || lstat(to.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = local_socket();
    bool dead = fd >= 0 && connect(fd, (struct sockaddr *)&to, len) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead;
}

/* Nobody can connect before listen, so nobody else ever can. */
static int bind_local(int fd, const struct io_local *at)
{
    struct sockaddr_un to;
    socklen_t len = encode(at, &to);
    if (bind(fd, (struct sockaddr *)&to, len) != 0) {
        if (errno != EADDRINUSE)
            return -1;
        if (!is_stale(at)) {
            errno = EADDRINUSE;
            return -1;
        }
        unlink(to.sun_path);
        if (bind(fd, (struct sockaddr *)&to, len) != 0)
            return -1;
    }
    return at->path_len ? chmod(to.sun_path, S_IRUSR | S_IWUSR) : 0;
}

int p2p__uv_listen_local(struct p2p_io *base, const struct io_local *at, struct io_listener **out,
                         int *sys_errno)
{
    static const struct io_addr nowhere = {0};
    struct io_local *name = p2p__alloc(sizeof(*name));
    if (!name)
        return P2P_ENOMEM;
    *name = *at;
    int fd = local_socket();
    *sys_errno = 0;
    if (fd < 0 || bind_local(fd, at) < 0 || listen(fd, IO_LISTEN_BACKLOG) != 0) {
        p2p__free(name);
        return give_up(fd, P2P_ELISTEN, sys_errno);
    }
    return p2p__uv_listener_new((struct uv_io *)base, fd, &nowhere, name, out, sys_errno);
}

void p2p__uv_local_forget(struct io_local *name)
{
    if (name->path_len)
        unlink(name->path);
    p2p__free(name);
}
