#include "sync/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/utf8.h"

enum {
    FOREIGN_MAX = 4096, /* a value that is not UTF-8 is cut here */
};

static void add(struct json *self, const char *text, size_t len)
{
    if (self->full || len >= sizeof(self->text) - self->len) {
        self->full = true;
        return;
    }
    memcpy(self->text + self->len, text, len);
    self->len += len;
}

static void add_quoted(struct json *self, const char *value)
{
    add(self, "\"", 1);
    for (; *value; value++) {
        char code[8];
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            snprintf(code, sizeof(code), "\\%c", c);
        else if (c < 0x20)
            snprintf(code, sizeof(code), "\\u%04x", c);
        else
            snprintf(code, sizeof(code), "%c", c);
        add(self, code, strlen(code));
    }
    add(self, "\"", 1);
}

static void add_key(struct json *self, const char *key)
{
    add(self, ",\"", 2);
    add(self, key, strlen(key));
    add(self, "\":", 2);
}

void p2p__json_begin(struct json *self, const char *event)
{
    self->len = 0;
    self->full = false;
    add(self, "{\"event\":", 9);
    add_quoted(self, event);
}

void p2p__json_string(struct json *self, const char *key, const char *value)
{
    char safe[FOREIGN_MAX];
    add_key(self, key);
    if (!value) {
        add(self, "null", 4);
        return;
    }
    if (!p2p__utf8_valid(value, strlen(value))) {
        (void)p2p__escape(value, strlen(value), safe, sizeof(safe));
        value = safe;
    }
    add_quoted(self, value);
}

void p2p__json_uint(struct json *self, const char *key, uint64_t value)
{
    char digits[24];
    const char *quote = value > (UINT64_C(1) << 53) ? "\"" : "";
    int len = snprintf(digits, sizeof(digits), "%s%" PRIu64 "%s", quote, value, quote);
    add_key(self, key);
    add(self, digits, (size_t)len);
}

void p2p__json_bool(struct json *self, const char *key, bool value)
{
    add_key(self, key);
    add(self, value ? "true" : "false", value ? 4 : 5);
}

void p2p__json_end(struct json *self)
{
    add(self, "}", 1);
    self->text[self->full ? 0 : self->len] = '\0';
}
