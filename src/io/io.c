/* The public functions of every io: each asks the backend that made it. */
#include "io/io.h"

#include <assert.h>

int p2p_io_fd(const p2p_io *io)
{
    assert(io->ops->fd);
    return io->ops->fd(io);
}

int p2p_io_timeout_ms(const p2p_io *io)
{
    assert(io->ops->timeout_ms);
    return io->ops->timeout_ms(io);
}

void p2p_io_process(p2p_io *io)
{
    assert(io->ops->process);
    io->ops->process(io);
}

void p2p_io_free(p2p_io *io)
{
    if (io)
        io->ops->free(io);
}
