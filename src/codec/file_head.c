#define _GNU_SOURCE
#include "codec/file_head.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum {
    WRITER_MS = 1000, /* in which somebody is to begin to write into a named pipe */
};

/* To open a named pipe as usual would keep us until somebody else opens it. */
static int open_at_once(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct pollfd bytes = {.fd = fd, .events = POLLIN};
    if (fd < 0)
        return -errno;
    (void)poll(&bytes, 1, WRITER_MS);
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

ssize_t p2p__file_head(const char *path, uint8_t *out, size_t cap)
{
    int fd = open_at_once(path), err = 0;
    size_t len = 0;
    ssize_t got = 1;
    if (fd < 0)
        return fd;
    while (len < cap && got != 0 && err == 0) {
        got = read(fd, out + len, cap - len);
        if (got > 0)
            len += (size_t)got;
        else if (got < 0 && errno != EINTR)
            err = errno;
    }
    (void)close(fd);
    return err ? -err : (ssize_t)len;
}
