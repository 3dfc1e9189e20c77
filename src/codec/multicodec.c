#include "codec/multicodec.h"

#include <string.h>

static const struct multicodec table[] = {
#define X(identifier, name, tag, code) {name, tag, code},
#include "codec/multicodec.def"
#undef X
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

const struct multicodec *p2p__multicodec_by_code(uint64_t code)
{
    size_t low = 0;
    size_t high = TABLE_COUNT;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < TABLE_COUNT && table[low].code == code ? &table[low] : NULL;
}

const struct multicodec *p2p__multicodec_by_name(const char *name, size_t name_len)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (strlen(table[i].name) == name_len && memcmp(table[i].name, name, name_len) == 0)
            return &table[i];
    }
    return NULL;
}
