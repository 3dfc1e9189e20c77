#define _GNU_SOURCE
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/crypto.h"

void p2p__file_stamp(const char *path, struct file_stamp *out)
{
    struct stat info;
    *out = (struct file_stamp){0};
    if (stat(path, &info) != 0)
        return;
    *out = (struct file_stamp){.device = info.st_dev,
                               .inode = info.st_ino,
                               .size = (uint64_t)info.st_size,
                               .changed_s = info.st_ctim.tv_sec,
                               .changed_ns = info.st_ctim.tv_nsec};
}

bool p2p__file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

/* Up to cap bytes: 0, or an errno. */
static int read_all(int fd, char *out, size_t cap, size_t *len)
{
    ssize_t got = 1;
    *len = 0;
    while (*len < cap && got != 0) {
        got = read(fd, out + *len, cap - *len);
        if (got > 0)
            *len += (size_t)got;
        else if (got < 0 && errno != EINTR)
            return errno;
    }
    return 0;
}

int p2p__file_read(const char *path, size_t max, char **out, size_t *out_len)
{
    struct stat info;
    *out = NULL;
    /* A named pipe would keep us waiting for somebody to write. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno;
    int code = fstat(fd, &info) != 0 ? errno : 0;
    size_t cap = code == 0 && info.st_size > 0 && (uint64_t)info.st_size < max
                     ? (size_t)info.st_size + 1
                     : max + 1;
    char *bytes = code == 0 ? p2p__alloc(cap) : NULL;
    if (code == 0)
        code = bytes ? read_all(fd, bytes, cap, out_len) : ENOMEM;
    (void)close(fd);
    if (code == 0 && *out_len == cap)
        code = cap > max ? EFBIG : EAGAIN; /* it grew while it was read */
    if (code == 0) {
        *out = bytes;
        return 0;
    }
    if (bytes)
        p2p__wipe(bytes, cap);
    p2p__free(bytes);
    return code;
}
