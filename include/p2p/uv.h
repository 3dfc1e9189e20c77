/* A host on the application's own libuv loop. The only public header that names libuv. */
#ifndef P2P_UV_H
#define P2P_UV_H

#include <uv.h>

#include <p2p/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An io on a loop that the caller owns and runs; everything of the host then happens on that
 * loop's thread. The loop stays alive while the host has not been closed. NULL when out of memory,
 * or when the libuv at run time is older than the one compiled with. Free with p2p_io_free once the
 * host's close callback has come; the last uv handles close during the next turns of the loop. */
P2P_API p2p_io *p2p_io_uv(uv_loop_t *loop);

#ifdef __cplusplus
}
#endif

#endif
