/* How much memory the system lets this process have: the least of what its control groups allow. */
#ifndef P2P_IO_MEMORY_LIMIT_H
#define P2P_IO_MEMORY_LIMIT_H

#include <stdint.h>

/* groups: the file that lists a process's groups (/proc/self/cgroup); root: where they are mounted
 * (/sys/fs/cgroup). Bytes; UINT64_MAX: no limit is known. Blocks no longer than files in memory do.
 */
uint64_t p2p__memory_limit(const char *groups, const char *root);

#endif
