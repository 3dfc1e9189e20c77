/* What the fuzzer's bytes say to do next, number by number; zeros when they are over. */
#ifndef P2P_FUZZ_SCRIPT_H
#define P2P_FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

struct script {
    const uint8_t *at;
    size_t left;
};

/* Of so many bytes, big-endian; fewer at the end. */
static inline uint32_t script_next(struct script *self, size_t bytes)
{
    uint32_t value = 0;
    for (; bytes > 0 && self->left > 0; bytes--, self->left--)
        value = value << 8 | *self->at++;
    return value;
}

#endif
