/* Which libraries do the work of real sockets, and of the name service. */
#ifndef P2P_IO_VERSION_H
#define P2P_IO_VERSION_H

#include <stddef.h>

enum {
    IO_LIBRARIES = 2,
};

/* At run time. The nth library's name and version, of IO_LIBRARIES. Static storage. */
const char *p2p__io_version(size_t index, const char **version);

#endif
