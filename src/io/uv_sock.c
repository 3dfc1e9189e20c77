/* A descriptor that the loop watches. Descriptors are ours, not libuv's streams, because reading is
 * pulled: nothing is read before the owner asks. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>
#include <unistd.h>

#include "base/mem.h"

int p2p__uv_sock_open(struct uv_sock *self, struct uv_io *io, int fd, void *memory, uv_poll_cb cb)
{
    if (!memory) {
        close(fd);
        return UV_ENOMEM;
    }
    *self = (struct uv_sock){.io = io, .fd = fd, .memory = memory, .on_poll = cb};
    int code = uv_poll_init_socket(io->loop, &self->poll, fd);
    if (code != 0) { /* out of the system's watches or memory */
        close(fd);
        p2p__free(memory);
        return code;
    }
    self->poll.data = self;
    io->handles++;
    io->sockets++;
    return 0;
}

/* Costs up to two epoll_ctl when something changes, and nothing otherwise. */
void p2p__uv_sock_arm(struct uv_sock *self, int events)
{
    if (events == self->armed)
        return;
    self->armed = events;
    self->repeated = 0;
    int code =
        events ? uv_poll_start(&self->poll, events, self->on_poll) : uv_poll_stop(&self->poll);
    assert(code == 0); /* someone else polls our descriptor on this loop */
    (void)code;
}

static void on_closed(uv_handle_t *handle)
{
    struct uv_sock *self = handle->data;
    struct uv_io *io = self->io;
    p2p__free(self->memory);
    p2p__uv_unref(io);
}

void p2p__uv_sock_close(struct uv_sock *self)
{
    uv_close((uv_handle_t *)&self->poll, on_closed); /* stops watching at once */
    close(self->fd);
    self->fd = -1;
    self->io->sockets--;
}
