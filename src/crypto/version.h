/* Which crypto libraries do the work. */
#ifndef P2P_CRYPTO_VERSION_H
#define P2P_CRYPTO_VERSION_H

#include <stddef.h>

/* The index-th library and its version; NULL past the end. Static storage. */
const char *p2p__crypto_version(size_t index, const char **version);

#endif
