/* Which libraries the transports bring. */
#ifndef P2P_TRANSPORT_VERSION_H
#define P2P_TRANSPORT_VERSION_H

#include <stddef.h>

/* Its name, or NULL past the last. */
const char *p2p__transport_version(size_t index, const char **version);

#endif
