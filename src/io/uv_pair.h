/* A link to a socket that is handed out. */
#ifndef P2P_IO_UV_PAIR_H
#define P2P_IO_UV_PAIR_H

#include <stdbool.h>

struct link;
struct p2p_io;
struct pool;

/* On the loop's thread of an io on libuv: a connected link, and in *fd the other end of a pair of
 * Unix stream sockets, which is the caller's. 0, or P2P_ELIMIT or P2P_ENOMEM with *sys_errno. */
int p2p__uv_pair(struct p2p_io *io, struct pool *pool, struct link **out, int *fd, int *sys_errno);

/* Closes both. */
void p2p__uv_pair_cancel(struct link *link, int *fd);

/* After the link's eof: whether the other end is closed, not only its sending side. */
bool p2p__uv_pair_gone(const struct link *link);

/* uv_link.c: the link's descriptor. */
int p2p__uv_link_fd(const struct link *link);

#endif
