#include "codec/utf8.h"

#include <string.h>

/* Bytes of the character at the head and its code point; 0 when there is none. */
static size_t decode(const uint8_t *in, size_t in_len, uint32_t *point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (in[0] < 0x80) {
        *point = in[0];
        return 1;
    }
    size_t len = in[0] >= 0xf0 ? 4 : in[0] >= 0xe0 ? 3 : 2;
    if (in[0] < 0xc0 || in[0] > 0xf4 || in_len < len)
        return 0;
    uint32_t value = in[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((in[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (in[i] & 0x3fu);
    }
    if (value < smallest[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return len;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

/* They can make a terminal show text in another order or place than it was sent in. */
static bool is_disorderly(uint32_t point)
{
    return point == 0x061c || point == 0x200e || point == 0x200f || point == 0xfeff ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static bool scan(const uint8_t *in, size_t in_len, bool allow_control)
{
    for (size_t at = 0; at < in_len;) {
        uint32_t point;
        size_t len = decode(in + at, in_len - at, &point);
        if (len == 0 || (!allow_control && is_control(point)))
            return false;
        at += len;
    }
    return true;
}

bool p2p__utf8_valid(const void *text, size_t text_len)
{
    return scan(text, text_len, true);
}

bool p2p__utf8_printable(const void *text, size_t text_len)
{
    return scan(text, text_len, false);
}

static size_t escape_byte(uint8_t byte, char *out)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
    return 4;
}

/* One character as it will appear, at most 16 bytes; returns the input bytes it stands for. */
static size_t escape_one(const uint8_t *in, size_t in_len, char *out, size_t *out_len)
{
    uint32_t point = 0;
    size_t len = decode(in, in_len, &point);
    if (len == 1 && point == '\\') {
        memcpy(out, "\\\\", 2);
        *out_len = 2;
    } else if (len > 0 && !is_control(point) && !is_disorderly(point)) {
        memcpy(out, in, len);
        *out_len = len;
    } else {
        len = len > 0 ? len : 1;
        *out_len = 0;
        for (size_t i = 0; i < len; i++)
            *out_len += escape_byte(in[i], out + *out_len);
    }
    return len;
}

size_t p2p__escape(const void *text, size_t text_len, char *out, size_t out_cap)
{
    const uint8_t *in = text;
    size_t needed = 0;
    size_t written = 0;
    for (size_t at = 0; at < text_len;) {
        char unit[16];
        size_t unit_len;
        at += escape_one(in + at, text_len - at, unit, &unit_len);
        if (written == needed && needed + unit_len < out_cap) {
            memcpy(out + written, unit, unit_len);
            written += unit_len;
        }
        needed += unit_len;
    }
    if (out_cap > 0)
        out[written] = '\0';
    return needed;
}
