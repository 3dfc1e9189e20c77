#include "codec/varint.h"

#include <assert.h>

#include <p2p/error.h>

int p2p__varint_decode(const uint8_t *in, size_t in_len, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in_len; i++) {
        value |= (uint64_t)(in[i] & 0x7f) << (7 * i);
        if (in[i] < 0x80) {
            if (in[i] == 0 && i > 0)
                return P2P_EPROTO; /* not minimal */
            *out = value;
            return (int)i + 1;
        }
        if (i + 1 == P2P__VARINT_MAX)
            return P2P_EPROTO; /* it asks for a tenth byte */
    }
    return 0;
}

int p2p__pb_varint_decode(const uint8_t *in, size_t in_len, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in_len; i++) {
        /* Nine bytes are 63 bits: the tenth may hold one bit and must be the last. */
        if (i + 1 == P2P__PB_VARINT_MAX && in[i] > 1)
            return P2P_EPROTO;
        value |= (uint64_t)(in[i] & 0x7f) << (7 * i);
        if (in[i] < 0x80) {
            *out = value;
            return (int)i + 1;
        }
    }
    return 0;
}

size_t p2p__varint_len(uint64_t value)
{
    size_t len = 1;
    for (; value >= 0x80; value >>= 7)
        len++;
    return len;
}

size_t p2p__varint_encode(uint64_t value, uint8_t *out)
{
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        out[len++] = (uint8_t)(value | 0x80);
    out[len++] = (uint8_t)value;
    return len;
}

int64_t p2p__frame_decode(const uint8_t *in, size_t in_len, size_t body_max, const uint8_t **body,
                          size_t *body_len)
{
#if SIZE_MAX > UINT32_MAX
    assert(body_max <= INT64_MAX - P2P__VARINT_MAX);
#endif
    uint64_t len;
    int prefix = p2p__varint_decode(in, in_len, &len);
    if (prefix <= 0)
        return prefix;
    if (len > body_max)
        return P2P_ETOOBIG;
    if (len > in_len - (size_t)prefix)
        return 0;
    *body = in + prefix;
    *body_len = (size_t)len;
    return prefix + (int64_t)len;
}
