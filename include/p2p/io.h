/* The world that a host lives in: clock, randomness, sockets. One p2p_io serves one host; it must
 * outlive it. <p2p/uv.h> makes one on a libuv loop, <p2p/sim.h> in a simulation, and
 * p2p_io_poll() for any other event loop. */
#ifndef P2P_IO_H
#define P2P_IO_H

#include <p2p/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct p2p_io p2p_io;

/* For a loop of any other kind: wait until p2p_io_fd is readable or p2p_io_timeout_ms has passed,
 * then call p2p_io_process; all on one thread. NULL when out of memory or descriptors. */
P2P_API p2p_io *p2p_io_poll(void);

/* The descriptor to wait on (for reading). It stays the same. */
P2P_API int p2p_io_fd(const p2p_io *io);

/* Milliseconds until p2p_io_process must be called though the descriptor is quiet; 0: at once,
 * -1: no limit. Ask before each wait. */
P2P_API int p2p_io_timeout_ms(const p2p_io *io);

/* Does what is due, without blocking; callbacks come from inside. */
P2P_API void p2p_io_process(p2p_io *io);

/* Frees an io whose host has been closed (its close callback has come), or that never had one. */
P2P_API void p2p_io_free(p2p_io *io);

#ifdef __cplusplus
}
#endif

#endif
