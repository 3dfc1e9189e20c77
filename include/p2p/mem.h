/* An allocator of the application's choice. */
#ifndef P2P_MEM_H
#define P2P_MEM_H

#include <p2p/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct p2p_mem {
    void *(*malloc)(size_t size);
    void *(*realloc)(void *old, size_t size);
    void (*free)(void *memory);
} p2p_mem;

/* For every allocation that the library itself makes, process-wide; NULL: the C library's. Call it
 * before anything else of the library. The functions must be thread-safe if hosts run on several
 * threads; returning NULL is always survived. Libraries below (OpenSSL, libuv) have their own. */
P2P_API void p2p_mem_set(const p2p_mem *functions);

#ifdef __cplusplus
}
#endif

#endif
