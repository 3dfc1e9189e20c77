/* A pipe with one byte in it, or none: it never fills. */
#define _GNU_SOURCE
#include "io/flag.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool p2p__flag_open(struct flag *self)
{
    self->up = false;
    return pipe2(self->fd, O_CLOEXEC | O_NONBLOCK) == 0;
}

void p2p__flag_raise(struct flag *self)
{
    if (self->up)
        return;
    self->up = true;
    while (write(self->fd[1], "", 1) < 0 && errno == EINTR)
        ;
}

void p2p__flag_lower(struct flag *self)
{
    char byte;
    if (!self->up)
        return;
    self->up = false;
    while (read(self->fd[0], &byte, 1) < 0 && errno == EINTR)
        ;
}

void p2p__flag_close(struct flag *self)
{
    close(self->fd[0]);
    close(self->fd[1]);
}
