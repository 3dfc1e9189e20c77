#include "control_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "paths.h"

enum {
    BACKLOG = 16,
    SAME_NAME_MAX = 64, /* nodes of one identity */
    NAME_LEN = 10,      /* of a peer id; all of it could be too long for a socket's name */
};

/* ---- the folder ---- */

/* In /tmp anybody could have made it before us. */
static bool is_ours(const char *folder, struct text *why)
{
    struct stat info;
    if (lstat(folder, &info) < 0)
        text_addf(why, "%s: %s", folder, strerror(errno));
    else if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077))
        text_addf(why, "%s is not a folder of ours alone (mode 0700)", folder);
    else
        return true;
    return false;
}

bool control_folder(struct text *out, bool make, struct text *why)
{
    const char *runtime = environment("XDG_RUNTIME_DIR");
    if (runtime && runtime[0] == '/')
        text_addf(out, "%s/p2p", runtime);
    else
        text_addf(out, "/tmp/p2p-%llu", (unsigned long long)geteuid());
    if (make && mkdir(out->data, S_IRWXU) < 0 && errno != EEXIST) {
        text_addf(why, "cannot make %s: %s", out->data, strerror(errno));
        return false;
    }
    return is_ours(out->data, why);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

void control_each(const char *folder, void (*found)(void *user, const char *path), void *user)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct text path = {0};
        if (!ends_with(entry->d_name, ".sock"))
            continue;
        text_addf(&path, "%s/%s", folder, entry->d_name);
        int fd = control_connect(path.data);
        if (fd >= 0 || errno == EAGAIN)
            found(user, path.data);
        if (fd >= 0)
            close(fd);
        text_free(&path);
    }
    if (dir)
        closedir(dir);
}

/* ---- sockets ---- */

static bool set_address(struct sockaddr_un *addr, const char *path, const char *end)
{
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s%s", path, end);
    return len > 0 && (size_t)len < sizeof(addr->sun_path);
}

int control_connect(const char *path)
{
    struct sockaddr_un addr;
    errno = ENAMETOOLONG;
    if (!set_address(&addr, path, ""))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    int failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

/* A dead socket at path is removed. False, with a sentence: something else is there. */
static bool clear(const char *path, bool *taken, struct text *why)
{
    struct stat info;
    if (lstat(path, &info) < 0)
        return true; /* bind says it, if that is wrong */
    if (!S_ISSOCK(info.st_mode)) {
        text_addf(why, "%s exists, and is no socket", path);
        return false;
    }
    int fd = control_connect(path);
    if (fd < 0 && errno == ECONNREFUSED) {
        unlink(path);
        return true;
    }
    *taken = fd >= 0 || errno == EAGAIN;
    if (*taken)
        text_addf(why, "somebody listens at %s already", path);
    else
        text_addf(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

/* Nobody finds it under its name before it listens, so that whoever does not answer is dead. */
static bool bind_new(struct control_place *self, struct text *why)
{
    struct sockaddr_un addr;
    struct stat info;
    self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd >= 0 && set_address(&addr, self->path.data, "~")) {
        unlink(addr.sun_path);
        if (bind(self->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
            chmod(addr.sun_path, S_IRUSR | S_IWUSR) == 0 && listen(self->fd, BACKLOG) == 0 &&
            lstat(addr.sun_path, &info) == 0 && rename(addr.sun_path, self->path.data) == 0) {
            self->device = info.st_dev;
            self->inode = info.st_ino;
            return true;
        }
    }
    text_addf(why, "cannot make a socket at %s: %s", self->path.data, strerror(errno));
    if (self->fd >= 0)
        close(self->fd);
    return false;
}

/* Two nodes that start at the same moment take turns. -1: the folder cannot be locked. */
static int lock_folder_of(const char *path)
{
    char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[slash == folder] = '\0';
    int fd = folder ? open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    if (fd >= 0)
        (void)flock(fd, LOCK_EX);
    return fd;
}

static bool bind_locked(struct control_place *self, bool *taken, struct text *why)
{
    *taken = false;
    if (self->path.len <= CONTROL_PATH_MAX)
        return clear(self->path.data, taken, why) && bind_new(self, why);
    text_addf(why, "%s is longer than %d bytes", self->path.data, CONTROL_PATH_MAX);
    return false;
}

bool control_bind(struct control_place *self, const char *path, struct text *why)
{
    bool taken;
    int lock = lock_folder_of(path);
    *self = (struct control_place){.fd = -1};
    text_add(&self->path, path);
    bool ok = bind_locked(self, &taken, why);
    if (lock >= 0)
        close(lock);
    if (!ok)
        text_free(&self->path);
    return ok;
}

static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct text path = {0}, why = {0};
        bool taken;
        text_addf(&path, "%s/%s", folder, entry->d_name);
        if (ends_with(entry->d_name, ".sock"))
            (void)clear(path.data, &taken, &why);
        text_free(&path);
        text_free(&why);
    }
    if (dir)
        closedir(dir);
}

bool control_bind_default(struct control_place *self, const char *peer, struct text *why)
{
    struct text folder = {0};
    bool ok = false, taken = true;
    *self = (struct control_place){.fd = -1};
    if (!control_folder(&folder, true, why)) {
        text_free(&folder);
        return false;
    }
    text_addf(&self->path, "%s/", folder.data);
    int lock = lock_folder_of(self->path.data);
    sweep(folder.data);
    peer += strlen(peer) > NAME_LEN ? strlen(peer) - NAME_LEN : 0;
    for (int n = 1; !ok && taken && n <= SAME_NAME_MAX; n++) {
        self->path.len = why->len = 0;
        text_addf(&self->path, "%s/%s", folder.data, peer);
        if (n > 1)
            text_addf(&self->path, "-%d", n);
        text_add(&self->path, ".sock");
        ok = bind_locked(self, &taken, why);
    }
    if (lock >= 0)
        close(lock);
    text_free(&folder);
    if (!ok)
        text_free(&self->path);
    return ok;
}

void control_unbind(struct control_place *self)
{
    struct stat info;
    if (lstat(self->path.data, &info) == 0 && info.st_dev == self->device &&
        info.st_ino == self->inode)
        unlink(self->path.data);
    text_free(&self->path);
}
