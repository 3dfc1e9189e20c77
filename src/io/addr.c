#include "io/io.h"

#include <string.h>

static size_t ip_len(const struct io_addr *a)
{
    return a->family == 4 ? 4 : 16;
}

/* ::ffff:a.b.c.d reaches what a.b.c.d reaches, so it is judged by that. */
static bool is_mapped(const struct io_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return a->family == 6 && memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

bool p2p__io_addr_equal(const struct io_addr *a, const struct io_addr *b)
{
    return a->family == b->family && a->port == b->port &&
           (a->family == 4 || a->scope == b->scope) && memcmp(a->ip, b->ip, ip_len(a)) == 0;
}

bool p2p__io_addr_is_loopback(const struct io_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    if (a->family == 4)
        return a->ip[0] == 127;
    return is_mapped(a) ? a->ip[12] == 127 : memcmp(a->ip, one, sizeof(one)) == 0;
}

bool p2p__io_addr_is_any(const struct io_addr *a)
{
    static const uint8_t zero[16];
    if (is_mapped(a))
        return memcmp(a->ip + 12, zero, 4) == 0;
    return memcmp(a->ip, zero, ip_len(a)) == 0;
}
