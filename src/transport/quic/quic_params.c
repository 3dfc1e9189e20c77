/* Transport parameters: a list of id, length and value (RFC 9000, section 18). What they say is for
 * ngtcp2 to read; that each is there once is looked at here (section 7.4). */
#include "transport/quic/quic.h"

enum {
    PARAMS_MAX = 64, /* there are twenty or so; more would only cost time to compare */
};

static bool take_varint(const uint8_t *bytes, size_t len, size_t *at, uint64_t *out)
{
    if (*at >= len)
        return false;
    size_t n = (size_t)1 << (bytes[*at] >> 6);
    if (n > len - *at)
        return false;
    *out = bytes[*at] & 0x3f;
    for (size_t i = 1; i < n; i++)
        *out = *out << 8 | bytes[*at + i];
    *at += n;
    return true;
}

bool p2p__quic_params_distinct(const uint8_t *params, size_t len)
{
    uint64_t seen[PARAMS_MAX], id, value_len;
    size_t count = 0;
    for (size_t at = 0; at < len; at += (size_t)value_len) {
        if (!take_varint(params, len, &at, &id) || !take_varint(params, len, &at, &value_len) ||
            value_len > len - at || count == PARAMS_MAX)
            return false;
        for (size_t i = 0; i < count; i++)
            if (seen[i] == id)
                return false;
        seen[count++] = id;
    }
    return true;
}
