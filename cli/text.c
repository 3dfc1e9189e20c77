#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *self)
{
    free(self->data);
    *self = (struct text){0};
}

/* Room for len more and a NUL. */
static char *reserve(struct text *self, size_t len)
{
    if (self->cap - self->len < len + 1) {
        size_t cap = self->cap ? self->cap : 256;
        while (cap - self->len < len + 1)
            cap *= 2;
        char *data = realloc(self->data, cap);
        if (!data) {
            fputs("p2p: out of memory\n", stderr);
            exit(EXIT_OTHER);
        }
        self->data = data;
        self->cap = cap;
    }
    return self->data + self->len;
}

void text_add_n(struct text *self, const char *bytes, size_t len)
{
    char *to = reserve(self, len);
    if (len)
        memcpy(to, bytes, len);
    to[len] = '\0';
    self->len += len;
}

void text_add(struct text *self, const char *string)
{
    text_add_n(self, string, strlen(string));
}

static void addv(struct text *self, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        vsnprintf(reserve(self, (size_t)len), (size_t)len + 1, format, again);
        self->len += (size_t)len;
    }
    va_end(again);
}

void text_addf(struct text *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    addv(self, format, args);
    va_end(args);
}

void text_add_decimal(struct text *self, uint64_t value, unsigned digits)
{
    uint64_t unit = 1;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    text_addf(self, "%llu", (unsigned long long)(value / unit));
    uint64_t rest = value % unit;
    if (rest == 0)
        return;
    for (; rest % 10 == 0; digits--)
        rest /= 10;
    text_addf(self, ".%0*llu", (int)digits, (unsigned long long)rest);
}

void text_add_bytes(struct text *self, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(*units); unit++)
        bytes /= 1024;
    bool whole = bytes == (double)(uint64_t)bytes || bytes >= 100;
    text_addf(self, "%.*f %s", whole ? 0 : 1, bytes, units[unit]);
}

/* ---- characters ---- */

/* The length of the character at `at`, 0 if it is not well-formed UTF-8 (overlong forms, surrogates
 * and what lies above U+10FFFF are not). */
static size_t utf8_next(const unsigned char *at, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80             ? 1
                 : (at[0] & 0xe0) == 0xc0 ? 2
                 : (at[0] & 0xf0) == 0xe0 ? 3
                 : (at[0] & 0xf8) == 0xf0 ? 4
                                          : 0;
    if (len == 0)
        return 0;
    uint32_t c = len == 1 ? at[0] : at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the NUL at the end too */
            return 0;
        c = c << 6 | (at[i] & 0x3fU);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *out = c;
    return len;
}

/* C0, DEL, C1, and what breaks or reorders lines on a screen. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void text_add_safe(struct text *self, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;
    while (*at) {
        uint32_t c = 0;
        size_t len = utf8_next(at, &c);
        if (len && !is_control(c)) {
            text_add_n(self, (const char *)at, len);
            at += len;
            continue;
        }
        for (size_t i = 0; i < (len ? len : 1); i++)
            text_addf(self, "\\x%02x", *at++);
    }
}

/* ---- JSON ---- */

static void quoted(struct text *self, const char *value)
{
    const unsigned char *at = (const unsigned char *)value;
    text_add(self, "\"");
    while (*at) {
        uint32_t c = 0;
        size_t len = utf8_next(at, &c);
        if (len == 0)
            text_add(self, "\\ufffd");
        else if (c == '"' || c == '\\')
            text_addf(self, "\\%c", (char)c);
        else if (is_control(c))
            text_addf(self, "\\u%04x", (unsigned)c);
        else
            text_add_n(self, (const char *)at, len);
        at += len ? len : 1;
    }
    text_add(self, "\"");
}

static void start_value(struct text *self, const char *key)
{
    if (self->comma)
        text_add(self, ",");
    self->comma = true;
    if (key) {
        quoted(self, key);
        text_add(self, ":");
    }
}

void json_open(struct text *self, const char *key, char bracket)
{
    start_value(self, key);
    text_add_n(self, &bracket, 1);
    self->comma = false;
}

void json_close(struct text *self, char bracket)
{
    text_add_n(self, &bracket, 1);
    self->comma = true;
}

void json_begin(struct text *self, const char *event)
{
    json_open(self, NULL, '{');
    json_string(self, "event", event);
}

void json_end(struct text *self)
{
    text_add(self, "}\n");
    self->comma = false;
}

void json_string(struct text *self, const char *key, const char *value)
{
    start_value(self, key);
    if (value)
        quoted(self, value);
    else
        text_add(self, "null");
}

void json_uint(struct text *self, const char *key, uint64_t value)
{
    const uint64_t exact_max = (uint64_t)1 << 53; /* what a double holds */
    start_value(self, key);
    text_addf(self, value > exact_max ? "\"%llu\"" : "%llu", (unsigned long long)value);
}

void json_decimal(struct text *self, const char *key, uint64_t value, unsigned digits)
{
    start_value(self, key);
    text_add_decimal(self, value, digits);
}

void json_bool(struct text *self, const char *key, bool value)
{
    start_value(self, key);
    text_add(self, value ? "true" : "false");
}
