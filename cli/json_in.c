#include "json_in.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 16,
};

struct parser {
    struct json_doc *doc;
    const char *at, *end;
    char *out; /* strings are decoded to here; they never become longer */
    int depth;
};

static struct json_value *parse_value(struct parser *self);

static void skip_blanks(struct parser *self)
{
    while (self->at < self->end && *self->at && strchr(" \t\r\n", *self->at))
        self->at++;
}

static bool take(struct parser *self, char c)
{
    if (self->at == self->end || *self->at != c)
        return false;
    self->at++;
    return true;
}

static struct json_value *add(struct parser *self, enum json_type type)
{
    struct json_value *value = &self->doc->values[self->doc->value_count++];
    *value = (struct json_value){.type = type};
    return value;
}

/* ---- strings ---- */

static bool parse_hex(struct parser *self, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = self->at < self->end ? *self->at++ : '\0';
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static void put_utf8(struct parser *self, uint32_t c)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--) {
        self->out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    self->out[0] = (char)(lead[len] | c);
    self->out += len;
}

/* After "\u". No NUL, which would end the string early, and no half of a pair. */
static bool parse_unicode(struct parser *self)
{
    uint32_t c, low;
    if (!parse_hex(self, &c) || c == 0 || (c >= 0xdc00 && c < 0xe000))
        return false;
    if (c >= 0xd800 && c < 0xdc00) {
        if (!take(self, '\\') || !take(self, 'u') || !parse_hex(self, &low) || low < 0xdc00 ||
            low >= 0xe000)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(self, c);
    return true;
}

static bool parse_escape(struct parser *self)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (self->at == self->end || !*self->at)
        return false;
    char c = *self->at++;
    const char *found = strchr(from, c);
    if (c == 'u')
        return parse_unicode(self);
    if (!found)
        return false;
    *self->out++ = to[found - from];
    return true;
}

/* After the quote. */
static const char *parse_string(struct parser *self)
{
    const char *text = self->out;
    while (self->at < self->end) {
        char c = *self->at++;
        if (c == '"') {
            *self->out++ = '\0';
            return text;
        }
        if ((unsigned char)c < 0x20 || (c == '\\' && !parse_escape(self)))
            return NULL;
        if (c != '\\')
            *self->out++ = c;
    }
    return NULL;
}

/* ---- the others ---- */

static size_t digits(struct parser *self)
{
    size_t n = 0;
    for (; self->at < self->end && *self->at >= '0' && *self->at <= '9'; n++)
        self->at++;
    return n;
}

static bool is_number(struct parser *self)
{
    (void)take(self, '-');
    const char *begin = self->at;
    size_t n = digits(self);
    if (n == 0 || (n > 1 && *begin == '0'))
        return false;
    if (take(self, '.') && digits(self) == 0)
        return false;
    if (take(self, 'e') || take(self, 'E')) {
        if (!take(self, '+'))
            (void)take(self, '-');
        return digits(self) > 0;
    }
    return true;
}

static struct json_value *keep_text(struct parser *self, struct json_value *value,
                                    const char *begin)
{
    size_t len = (size_t)(self->at - begin);
    value->text = self->out;
    memcpy(self->out, begin, len);
    self->out[len] = '\0';
    self->out += len + 1;
    return value;
}

static struct json_value *parse_word(struct parser *self)
{
    static const struct {
        const char *word;
        enum json_type type;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_BOOL}, {"false", JSON_BOOL}};
    const char *begin = self->at;
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(words[i].word);
        if ((size_t)(self->end - begin) < len || memcmp(begin, words[i].word, len) != 0)
            continue;
        self->at += len;
        return keep_text(self, add(self, words[i].type), begin);
    }
    return is_number(self) ? keep_text(self, add(self, JSON_NUMBER), begin) : NULL;
}

static bool parse_key(struct parser *self, const char **key)
{
    skip_blanks(self);
    *key = take(self, '"') ? parse_string(self) : NULL;
    skip_blanks(self);
    return *key && take(self, ':');
}

/* After the bracket. */
static struct json_value *parse_items(struct parser *self, enum json_type type, char bracket)
{
    struct json_value *value = add(self, type), **next = &value->first;
    skip_blanks(self);
    if (take(self, bracket))
        return value;
    do {
        const char *key = NULL;
        if (type == JSON_OBJECT && !parse_key(self, &key))
            return NULL;
        struct json_value *item = parse_value(self);
        if (!item)
            return NULL;
        item->key = key;
        *next = item;
        next = &item->next;
        skip_blanks(self);
    } while (take(self, ','));
    return take(self, bracket) ? value : NULL;
}

static struct json_value *parse_value(struct parser *self)
{
    struct json_value *value;
    skip_blanks(self);
    if (++self->depth > DEPTH_MAX)
        return NULL;
    if (take(self, '{')) {
        value = parse_items(self, JSON_OBJECT, '}');
    } else if (take(self, '[')) {
        value = parse_items(self, JSON_LIST, ']');
    } else if (take(self, '"')) {
        value = add(self, JSON_STRING);
        value->text = parse_string(self);
        value = value->text ? value : NULL;
    } else {
        value = parse_word(self);
    }
    self->depth--;
    return value;
}

bool json_parse(struct json_doc *self, const char *text, size_t len)
{
    /* A value takes a byte at least; its text a NUL more than it is long, but then a comma or a
     * bracket follows, or the end. */
    *self = (struct json_doc){.values = calloc(len + 1, sizeof(*self->values)),
                              .strings = malloc(len + 1)};
    if (!self->values || !self->strings)
        return false;
    struct parser parser = {.doc = self, .at = text, .end = text + len, .out = self->strings};
    struct json_value *root = parse_value(&parser);
    skip_blanks(&parser);
    if (parser.at != parser.end)
        root = NULL;
    self->root = root;
    return root != NULL;
}

void json_free(struct json_doc *self)
{
    free(self->values);
    free(self->strings);
    *self = (struct json_doc){.root = NULL};
}

const struct json_value *json_get(const struct json_value *value, const char *key)
{
    const struct json_value *at = value && value->type == JSON_OBJECT ? value->first : NULL;
    while (at && strcmp(at->key, key) != 0)
        at = at->next;
    return at;
}

const char *json_text(const struct json_value *value, const char *key)
{
    const struct json_value *found = json_get(value, key);
    return found && found->type == JSON_STRING ? found->text : NULL;
}

bool json_true(const struct json_value *value, const char *key)
{
    const struct json_value *found = json_get(value, key);
    return found && found->type == JSON_BOOL && found->text[0] == 't';
}
