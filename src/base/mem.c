#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/mem.h>

static p2p_mem mem = {malloc, realloc, free};

void p2p_mem_set(const p2p_mem *functions)
{
    mem = functions ? *functions : (p2p_mem){malloc, realloc, free};
}

void *p2p__alloc(size_t size)
{
    void *memory = mem.malloc(size);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *p2p__realloc(void *old, size_t size)
{
    return old ? mem.realloc(old, size) : mem.malloc(size);
}

void p2p__free(void *memory)
{
    if (memory)
        mem.free(memory);
}

char *p2p__strndup(const char *text, size_t len)
{
    char *copy = p2p__realloc(NULL, len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
