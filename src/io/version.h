/* Which library does the work of real sockets. */
#ifndef P2P_IO_VERSION_H
#define P2P_IO_VERSION_H

/* libuv's version at run time. Static storage. */
const char *p2p__io_version(void);

#endif
