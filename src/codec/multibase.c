#include "codec/multibase.h"

#include <stdbool.h>
#include <string.h>

#include <p2p/error.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* RFC 4648 bases take `bits` per character; where `bits` is 0 the whole input is one number. */
struct base {
    char code;
    uint8_t bits;
    uint8_t radix;
    bool any_case;
    bool padded;
    const char *digits;
};

static const struct base bases[] = {
    {'\0', 8, 0, false, false, NULL},
    {'f', 4, 16, true, false, DIGIT "abcdef"},
    {'F', 4, 16, true, false, DIGIT "ABCDEF"},
    {'b', 5, 32, true, false, LOWER "234567"},
    {'B', 5, 32, true, false, UPPER "234567"},
    {'c', 5, 32, true, true, LOWER "234567"},
    {'C', 5, 32, true, true, UPPER "234567"},
    {'v', 5, 32, true, false, DIGIT "abcdefghijklmnopqrstuv"},
    {'V', 5, 32, true, false, DIGIT "ABCDEFGHIJKLMNOPQRSTUV"},
    {'t', 5, 32, true, true, DIGIT "abcdefghijklmnopqrstuv"},
    {'T', 5, 32, true, true, DIGIT "ABCDEFGHIJKLMNOPQRSTUV"},
    {'k', 0, 36, true, false, DIGIT LOWER},
    {'K', 0, 36, true, false, DIGIT UPPER},
    {'z', 0, 58, false, false, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"},
    {'Z', 0, 58, false, false, "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"},
    {'m', 6, 64, false, false, UPPER LOWER DIGIT "+/"},
    {'M', 6, 64, false, true, UPPER LOWER DIGIT "+/"},
    {'u', 6, 64, false, false, UPPER LOWER DIGIT "-_"},
    {'U', 6, 64, false, true, UPPER LOWER DIGIT "-_"},
};

/* Characters that P2P__BASE_QUADRATIC_MAX bytes need in base 36, the longer of the two. */
#define QUADRATIC_TEXT_MAX 1585
#define QUADRATIC_LIMBS    (P2P__BASE_QUADRATIC_MAX / 4)

static const struct base *find_base(char code)
{
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        if (bases[i].code == code)
            return &bases[i];
    }
    return NULL;
}

static int digit_of(const struct base *base, char c)
{
    if (base->any_case) {
        bool upper = memchr(base->digits, 'A', base->radix) != NULL;
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        else if (!upper && c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
    }
    const char *at = memchr(base->digits, c, base->radix);
    return at ? (int)(at - base->digits) : -1;
}

/* Characters in the smallest group that ends on a byte boundary. */
static size_t group_chars(const struct base *base)
{
    return base->bits == 5 ? 8 : base->bits == 6 ? 4 : 2;
}

/* As many characters of a group may follow whole groups as hold a whole number of bytes. */
static bool tail_is_possible(const struct base *base, size_t chars)
{
    return (chars * base->bits) % 8 < base->bits;
}

static int64_t encode_bits(const struct base *base, const uint8_t *in, size_t in_len, char *out,
                           size_t out_cap)
{
    if (in_len > SIZE_MAX / 16) /* or its bits would not fit a size_t */
        return P2P_ETOOBIG;
    size_t chars = (in_len * 8 + base->bits - 1) / base->bits;
    size_t group = group_chars(base);
    size_t total = base->padded ? (chars + group - 1) / group * group : chars;
    if (total >= out_cap)
        return P2P_ETOOBIG;
    uint32_t acc = 0;
    unsigned have = 0;
    size_t n = 0;
    for (size_t i = 0; i < in_len; i++) {
        acc = acc << 8 | in[i];
        for (have += 8; have >= base->bits; have -= base->bits)
            out[n++] = base->digits[acc >> (have - base->bits) & (base->radix - 1u)];
    }
    if (have > 0)
        out[n++] = base->digits[acc << (base->bits - have) & (base->radix - 1u)];
    while (n < total)
        out[n++] = '=';
    out[n] = '\0';
    return (int64_t)n;
}

static int64_t decode_bits(const struct base *base, const char *text, size_t text_len, uint8_t *out,
                           size_t out_cap)
{
    size_t group = group_chars(base);
    size_t chars = text_len;
    if (base->padded) {
        if (text_len % group != 0)
            return P2P_EPROTO;
        while (chars > 0 && text_len - chars < group - 1 && text[chars - 1] == '=')
            chars--;
    }
    if (!tail_is_possible(base, chars % group))
        return P2P_EPROTO;
    uint32_t acc = 0;
    unsigned have = 0;
    size_t n = 0;
    for (size_t i = 0; i < chars; i++) {
        int digit = digit_of(base, text[i]);
        if (digit < 0)
            return P2P_EPROTO;
        acc = acc << base->bits | (uint32_t)digit;
        have += base->bits;
        if (have >= 8) {
            if (n == out_cap)
                return P2P_ETOOBIG;
            have -= 8;
            out[n++] = (uint8_t)(acc >> have);
        }
    }
    return acc & ((1u << have) - 1) ? P2P_EPROTO : (int64_t)n;
}

/* The largest power of the radix that fits a limb: that many characters are handled at once. */
static uint32_t limb_power(const struct base *base, size_t *chars)
{
    *chars = base->radix == 58 ? 5 : 6;
    uint32_t power = 1;
    for (size_t i = 0; i < *chars; i++)
        power *= base->radix;
    return power;
}

static size_t load_limbs(const uint8_t *in, size_t in_len, uint32_t *limbs)
{
    size_t count = (in_len + 3) / 4;
    memset(limbs, 0, count * sizeof(*limbs));
    for (size_t i = 0; i < in_len; i++) {
        size_t from_end = in_len - 1 - i;
        limbs[from_end / 4] |= (uint32_t)in[i] << (8 * (from_end % 4));
    }
    return count;
}

/* Little-endian limbs divided in place; `count` loses leading zero limbs. */
static uint32_t divide(uint32_t *limbs, size_t *count, uint32_t by)
{
    uint64_t rest = 0;
    for (size_t i = *count; i-- > 0;) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    while (*count > 0 && limbs[*count - 1] == 0)
        --*count;
    return (uint32_t)rest;
}

static int64_t encode_number(const struct base *base, const uint8_t *in, size_t in_len, char *out,
                             size_t out_cap)
{
    if (in_len > P2P__BASE_QUADRATIC_MAX)
        return P2P_ETOOBIG;
    size_t zeros = 0;
    while (zeros < in_len && in[zeros] == 0)
        zeros++;
    uint32_t limbs[QUADRATIC_LIMBS];
    size_t count = zeros < in_len ? load_limbs(in + zeros, in_len - zeros, limbs) : 0;
    size_t chunk;
    uint32_t power = limb_power(base, &chunk);
    char reversed[QUADRATIC_TEXT_MAX + 6];
    size_t n = 0;
    while (count > 0) {
        uint32_t value = divide(limbs, &count, power);
        for (size_t i = 0; i < chunk; i++, value /= base->radix)
            reversed[n++] = base->digits[value % base->radix];
    }
    while (n > 0 && reversed[n - 1] == base->digits[0])
        n--;
    if (zeros + n >= out_cap)
        return P2P_ETOOBIG;
    if (zeros > 0)
        memset(out, base->digits[0], zeros);
    for (size_t i = 0; i < n; i++)
        out[zeros + i] = reversed[n - 1 - i];
    out[zeros + n] = '\0';
    return (int64_t)(zeros + n);
}

/* limbs = limbs * by + add */
static void multiply(uint32_t *limbs, size_t *count, uint32_t by, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < *count; i++) {
        carry += (uint64_t)limbs[i] * by;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0)
        limbs[(*count)++] = (uint32_t)carry;
}

static int64_t store_number(const uint32_t *limbs, size_t count, size_t zeros, uint8_t *out,
                            size_t out_cap)
{
    size_t len = count * 4;
    while (len > 0 && (limbs[(len - 1) / 4] >> (8 * ((len - 1) % 4)) & 0xff) == 0)
        len--;
    if (zeros > out_cap || len > out_cap - zeros)
        return P2P_ETOOBIG;
    if (zeros > 0)
        memset(out, 0, zeros);
    for (size_t i = 0; i < len; i++) {
        size_t from_end = len - 1 - i;
        out[zeros + i] = (uint8_t)(limbs[from_end / 4] >> (8 * (from_end % 4)));
    }
    return (int64_t)(zeros + len);
}

static int64_t decode_number(const struct base *base, const char *text, size_t text_len,
                             uint8_t *out, size_t out_cap)
{
    if (text_len > QUADRATIC_TEXT_MAX)
        return P2P_ETOOBIG;
    size_t zeros = 0;
    while (zeros < text_len && text[zeros] == base->digits[0])
        zeros++;
    uint32_t limbs[QUADRATIC_LIMBS + 64]; /* 1,585 characters of base 58 are 1,161 bytes */
    size_t count = 0;
    size_t chunk;
    limb_power(base, &chunk);
    for (size_t at = zeros; at < text_len;) {
        uint32_t value = 0;
        uint32_t power = 1;
        for (size_t i = 0; i < chunk && at < text_len; i++, at++) {
            int digit = digit_of(base, text[at]);
            if (digit < 0)
                return P2P_EPROTO;
            value = value * base->radix + (uint32_t)digit;
            power *= base->radix;
        }
        multiply(limbs, &count, power, value);
    }
    return store_number(limbs, count, zeros, out, out_cap);
}

static int64_t copy(const void *in, size_t in_len, void *out, size_t out_cap)
{
    if (in_len > out_cap)
        return P2P_ETOOBIG;
    if (in_len > 0)
        memcpy(out, in, in_len);
    return (int64_t)in_len;
}

int64_t p2p__base_encode(char code, const uint8_t *in, size_t in_len, char *out, size_t out_cap)
{
    const struct base *base = find_base(code);
    if (!base)
        return P2P_EINVAL;
    if (base->bits == 0)
        return encode_number(base, in, in_len, out, out_cap);
    if (base->digits)
        return encode_bits(base, in, in_len, out, out_cap);
    if (out_cap == 0)
        return P2P_ETOOBIG;
    int64_t n = copy(in, in_len, out, out_cap - 1);
    if (n >= 0)
        out[n] = '\0';
    return n;
}

int64_t p2p__base_decode(char code, const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    const struct base *base = find_base(code);
    if (!base)
        return P2P_EINVAL;
    if (base->bits == 0)
        return decode_number(base, text, text_len, out, out_cap);
    if (base->digits)
        return decode_bits(base, text, text_len, out, out_cap);
    return copy(text, text_len, out, out_cap);
}

int64_t p2p__multibase_encode(char code, const uint8_t *in, size_t in_len, char *out,
                              size_t out_cap)
{
    if (!find_base(code))
        return P2P_EINVAL;
    if (out_cap == 0)
        return P2P_ETOOBIG;
    int64_t n = p2p__base_encode(code, in, in_len, out + 1, out_cap - 1);
    if (n < 0)
        return n;
    out[0] = code;
    return n + 1;
}

int64_t p2p__multibase_decode(const char *text, size_t text_len, uint8_t *out, size_t out_cap,
                              char *code)
{
    if (text_len == 0)
        return P2P_EPROTO;
    int64_t n = p2p__base_decode(text[0], text + 1, text_len - 1, out, out_cap);
    if (n >= 0 && code)
        *code = text[0];
    return n;
}

int64_t p2p__base58_encode(const uint8_t *in, size_t in_len, char *out, size_t out_cap)
{
    return p2p__base_encode('z', in, in_len, out, out_cap);
}

int64_t p2p__base58_decode(const char *text, size_t text_len, uint8_t *out, size_t out_cap)
{
    return p2p__base_decode('z', text, text_len, out, out_cap);
}
