#include "codec/ip_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <p2p/error.h>

int p2p__ip4_parse(const char *text, size_t text_len, uint8_t out[4])
{
    size_t at = 0;
    uint8_t bytes[4];
    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && (at == text_len || text[at++] != '.'))
            return P2P_EADDR;
        size_t start = at;
        unsigned value = 0;
        for (; at < text_len && at - start < 3 && text[at] >= '0' && text[at] <= '9'; at++)
            value = value * 10 + (unsigned)(text[at] - '0');
        if (at == start || value > 255 || (at - start > 1 && text[start] == '0'))
            return P2P_EADDR;
        bytes[i] = (uint8_t)value;
    }
    if (at != text_len)
        return P2P_EADDR;
    memcpy(out, bytes, 4);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One to four hex digits; characters used, 0 when there are none or too many. */
static size_t read_group(const char *text, size_t text_len, unsigned *out)
{
    size_t n = 0;
    unsigned value = 0;
    for (; n < text_len && hex_digit(text[n]) >= 0; n++) {
        if (n == 4)
            return 0;
        value = value << 4 | (unsigned)hex_digit(text[n]);
    }
    *out = value;
    return n;
}

/* The groups before or after "::", separated by single colons. Bytes written or P2P_EADDR. */
static int read_groups(const char *text, size_t text_len, bool ip4_tail, uint8_t out[16])
{
    size_t at = 0;
    size_t n = 0;
    while (at < text_len) {
        unsigned group = 0;
        size_t used = read_group(text + at, text_len - at, &group);
        if (ip4_tail && n <= 12 && at + used < text_len && text[at + used] == '.')
            return p2p__ip4_parse(text + at, text_len - at, out + n) < 0 ? P2P_EADDR : (int)n + 4;
        if (used == 0 || n == 16)
            return P2P_EADDR;
        out[n++] = (uint8_t)(group >> 8);
        out[n++] = (uint8_t)group;
        at += used;
        if (at < text_len && (text[at++] != ':' || at == text_len))
            return P2P_EADDR;
    }
    return (int)n;
}

static size_t find_gap(const char *text, size_t text_len)
{
    for (size_t i = 0; i + 1 < text_len; i++) {
        if (text[i] == ':' && text[i + 1] == ':')
            return i;
    }
    return text_len;
}

int p2p__ip6_parse(const char *text, size_t text_len, uint8_t out[16])
{
    uint8_t head[16];
    uint8_t tail[16];
    size_t gap = find_gap(text, text_len);
    int head_len = read_groups(text, gap, gap == text_len, head);
    if (head_len < 0)
        return P2P_EADDR;
    if (gap == text_len) {
        if (head_len != 16)
            return P2P_EADDR;
        memcpy(out, head, 16);
        return 0;
    }
    int tail_len = read_groups(text + gap + 2, text_len - gap - 2, true, tail);
    /* The gap stands for one group at least. */
    if (tail_len < 0 || head_len + tail_len > 14)
        return P2P_EADDR;
    memset(out, 0, 16);
    memcpy(out, head, (size_t)head_len);
    memcpy(out + 16 - tail_len, tail, (size_t)tail_len);
    return 0;
}

size_t p2p__ip4_format(const uint8_t in[4], char out[P2P__IP4_TEXT_MAX])
{
    return (size_t)snprintf(out, P2P__IP4_TEXT_MAX, "%u.%u.%u.%u", in[0], in[1], in[2], in[3]);
}

/* RFC 5952 4.2: the longest run of two or more zero groups, the first of equals. */
static size_t longest_zero_run(const unsigned group[8], size_t *run_len)
{
    size_t best = 8;
    *run_len = 1;
    for (size_t i = 0; i < 8;) {
        size_t end = i;
        while (end < 8 && group[end] == 0)
            end++;
        if (end - i > *run_len) {
            best = i;
            *run_len = end - i;
        }
        i = end + 1;
    }
    return best;
}

size_t p2p__ip6_format(const uint8_t in[16], char out[P2P__IP6_TEXT_MAX])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(in, mapped, sizeof(mapped)) == 0) {
        memcpy(out, "::ffff:", 7);
        return 7 + p2p__ip4_format(in + 12, out + 7);
    }
    unsigned group[8];
    for (size_t i = 0; i < 8; i++)
        group[i] = (unsigned)in[2 * i] << 8 | in[2 * i + 1];
    size_t run_len;
    size_t run = longest_zero_run(group, &run_len);
    size_t n = 0;
    for (size_t i = 0; i < 8;) {
        if (i == run) {
            out[n++] = ':';
            out[n++] = ':';
            i += run_len;
            continue;
        }
        if (i > 0 && out[n - 1] != ':')
            out[n++] = ':';
        n += (size_t)snprintf(out + n, P2P__IP6_TEXT_MAX - n, "%x", group[i]);
        i++;
    }
    out[n] = '\0';
    return n;
}
