/* A store in one file, by LMDB. */
#ifndef P2P_STORE_LMDB_LMDB_H
#define P2P_STORE_LMDB_LMDB_H

#include <stdio.h>

#include "store/store.h"

int p2p__store_lmdb(const char *path, size_t max_bytes, struct store **out, char *why,
                    size_t why_cap);
const char *p2p__lmdb_version(const char **version);

/* NULL, or what is wrong with the file (static storage): LMDB maps it and believes every byte, so
 * one that was damaged could end the process. An empty file is good. */
const char *p2p__lmdb_check(FILE *file);

#endif
