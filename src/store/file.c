/* Which library keeps the file. */
#include <stdio.h>

#include "store/store.h"
#ifdef P2P_LMDB
#include "store/lmdb/lmdb.h"
#endif

int p2p__store_file(const char *path, size_t max_bytes, struct store **out, char *why,
                    size_t why_cap)
{
#ifdef P2P_LMDB
    return p2p__store_lmdb(path, max_bytes, out, why, why_cap);
#else
    (void)max_bytes;
    *out = NULL;
    snprintf(why, why_cap, "cannot open %s: this build has no LMDB to keep it", path);
    return P2P_ENOTSUP;
#endif
}

const char *p2p__store_version(const char **version)
{
#ifdef P2P_LMDB
    return p2p__lmdb_version(version);
#else
    *version = NULL;
    return NULL;
#endif
}
