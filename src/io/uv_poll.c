/* p2p_io_poll's three functions: a loop of our own, run a step at a time by another. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <assert.h>

int p2p__uv_poll_fd(const struct p2p_io *base)
{
    return uv_backend_fd(((const struct uv_io *)base)->loop);
}

int p2p__uv_poll_timeout_ms(const struct p2p_io *base)
{
    const struct uv_io *self = (const struct uv_io *)base;
    if (!uv_loop_alive(self->loop))
        return -1; /* libuv says 0, and the caller would spin */
    uv_update_time(self->loop);
    return uv_backend_timeout(self->loop);
}

void p2p__uv_poll_process(struct p2p_io *base)
{
    struct uv_io *self = (struct uv_io *)base;
    assert(!self->processing); /* not from within its own callbacks */
    self->processing = true;
    self->busy++;
    uv_run(self->loop, UV_RUN_NOWAIT);
    self->processing = false;
    p2p__uv_leave(self);
}
