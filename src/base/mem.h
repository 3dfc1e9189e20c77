/* Every allocation of the library goes through here, so that an application can bring its own
 * allocator (p2p_mem_set) and the tests can make the n-th one fail. */
#ifndef P2P_BASE_MEM_H
#define P2P_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory, or NULL. */
void *p2p__alloc(size_t size);
void *p2p__realloc(void *old, size_t size);
void p2p__free(void *memory);
/* A NUL-terminated copy of len bytes, or NULL. */
char *p2p__strndup(const char *text, size_t len);

#endif
