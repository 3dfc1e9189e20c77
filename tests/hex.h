/* Bytes written down in hex. */
#ifndef P2P_TESTS_HEX_H
#define P2P_TESTS_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes decoded, at most cap; stops at what is no pair of digits. */
static inline size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;
    unsigned byte = 0;
    while (n < cap && hex[0] && hex[1] && sscanf(hex, "%2x", &byte) == 1) {
        out[n++] = (uint8_t)byte;
        hex += 2;
    }
    return n;
}

#endif
