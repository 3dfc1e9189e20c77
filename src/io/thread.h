/* The I/O thread of a host that was given no io. */
#ifndef P2P_IO_THREAD_H
#define P2P_IO_THREAD_H

struct p2p_io;

/* Runs an io made by p2p_io_poll on a thread of its own until its host detaches; the thread then
 * frees the io and ends. 0, or P2P_ENOMEM when no thread can be had. */
int p2p__io_thread_start(struct p2p_io *io);

#endif
