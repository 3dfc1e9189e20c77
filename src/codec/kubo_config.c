#include "codec/kubo_config.h"

#include <stdbool.h>
#include <string.h>

enum {
    DEPTH_MAX = 32,
};

/* What is left of the text, or one value in it. */
struct json {
    const char *at;
    const char *end;
};

static void space_skip(struct json *self)
{
    while (self->at < self->end &&
           (*self->at == ' ' || *self->at == '\t' || *self->at == '\n' || *self->at == '\r')) {
        self->at++;
    }
}

static bool take(struct json *self, char c)
{
    if (self->at < self->end && *self->at == c) {
        self->at++;
        return true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* One character of a string, without what follows its backslash decoded to more than ASCII:
 * nothing that is looked for here has any. -1 at the closing quote or when malformed. */
static int char_next(struct json *self)
{
    static const char ESCAPES[] = "\"\\/bfnrt";
    static const char MEANINGS[] = "\"\\/\b\f\n\r\t";
    if (self->at == self->end || *self->at == '"' || (unsigned char)*self->at < 0x20) {
        return -1;
    }
    if (!take(self, '\\')) {
        return (unsigned char)*self->at++;
    }
    if (take(self, 'u')) {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            int digit = self->at < self->end ? hex_digit(*self->at) : -1;
            if (digit < 0) {
                return -1;
            }
            value = value << 4 | digit;
            self->at++;
        }
        return value < 0x80 ? value : '?';
    }
    const char *escape = self->at < self->end && *self->at ? strchr(ESCAPES, *self->at) : NULL;
    if (!escape) {
        return -1;
    }
    self->at++;
    return MEANINGS[escape - ESCAPES];
}

/* `out` gets the string if it fits, cut off otherwise; *len is its whole length. */
static bool string_take(struct json *self, char *out, size_t out_cap, size_t *len)
{
    if (!take(self, '"')) {
        return false;
    }
    int c;
    for (*len = 0; (c = char_next(self)) >= 0; (*len)++) {
        if (*len < out_cap) {
            out[*len] = (char)c;
        }
    }
    return take(self, '"');
}

static bool digits_take(struct json *self)
{
    const char *start = self->at;
    while (self->at < self->end && *self->at >= '0' && *self->at <= '9') {
        self->at++;
    }
    return self->at > start;
}

static bool number_take(struct json *self)
{
    (void)take(self, '-');
    if (!take(self, '0') && !digits_take(self)) {
        return false;
    }
    if (take(self, '.') && !digits_take(self)) {
        return false;
    }
    if (take(self, 'e') || take(self, 'E')) {
        if (!take(self, '+')) {
            (void)take(self, '-');
        }
        return digits_take(self);
    }
    return true;
}

static bool word_take(struct json *self, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(self->end - self->at) < len || memcmp(self->at, word, len) != 0) {
        return false;
    }
    self->at += len;
    return true;
}

static bool value_take(struct json *self, int depth);

/* Walks an object whose brace was taken. The value under `name`, if there is one, goes to `found`;
 * a second one is malformed. name NULL: none is looked for. */
static bool members_take(struct json *self, int depth, const char *name, struct json *found)
{
    space_skip(self);
    if (take(self, '}')) {
        return true;
    }
    do {
        char key[32];
        size_t key_len = 0;
        space_skip(self);
        if (!string_take(self, key, sizeof key, &key_len)) {
            return false;
        }
        space_skip(self);
        if (!take(self, ':')) {
            return false;
        }
        space_skip(self);
        const char *start = self->at;
        if (!value_take(self, depth)) {
            return false;
        }
        if (name && key_len == strlen(name) && memcmp(key, name, key_len) == 0) {
            if (found->at) {
                return false;
            }
            *found = (struct json){start, self->at};
        }
        space_skip(self);
    } while (take(self, ','));
    return take(self, '}');
}

static bool elements_take(struct json *self, int depth)
{
    space_skip(self);
    if (take(self, ']')) {
        return true;
    }
    do {
        space_skip(self);
        if (!value_take(self, depth)) {
            return false;
        }
        space_skip(self);
    } while (take(self, ','));
    return take(self, ']');
}

static bool value_take(struct json *self, int depth)
{
    if (depth == 0 || self->at == self->end) {
        return false;
    }
    size_t len = 0;
    switch (*self->at) {
    case '{':
        self->at++;
        return members_take(self, depth - 1, NULL, NULL);
    case '[':
        self->at++;
        return elements_take(self, depth - 1);
    case '"':
        return string_take(self, NULL, 0, &len);
    case 't':
        return word_take(self, "true");
    case 'f':
        return word_take(self, "false");
    case 'n':
        return word_take(self, "null");
    default:
        return number_take(self);
    }
}

/* The value under this name in an object that is all of the text. */
static bool member_find(struct json text, int depth, const char *name, struct json *found)
{
    *found = (struct json){NULL, NULL};
    space_skip(&text);
    if (!take(&text, '{') || !members_take(&text, depth - 1, name, found)) {
        return false;
    }
    space_skip(&text);
    return text.at == text.end;
}

/* False if it is there and no string, or does not fit. */
static bool string_get(struct json object, const char *name, char *out, size_t out_cap)
{
    struct json value;
    size_t len = 0;
    if (!member_find(object, DEPTH_MAX - 1, name, &value)) {
        return false;
    }
    if (!value.at) {
        return true;
    }
    if (!string_take(&value, out, out_cap, &len) || len >= out_cap) {
        return false;
    }
    out[len] = '\0';
    return true;
}

const char *p2p__kubo_identity_parse(const char *text, size_t text_len,
                                     struct p2p__kubo_identity *out)
{
    out->priv_key[0] = '\0';
    out->peer_id[0] = '\0';
    struct json identity;
    if (!member_find((struct json){text, text + text_len}, DEPTH_MAX, "Identity", &identity)) {
        return "it looks like JSON but is damaged";
    }
    if (!identity.at || *identity.at != '{') {
        return "it is JSON without kubo's \"Identity\"";
    }
    if (!string_get(identity, "PrivKey", out->priv_key, sizeof out->priv_key) ||
        !string_get(identity, "PeerID", out->peer_id, sizeof out->peer_id)) {
        return "kubo's \"Identity\" in it is damaged";
    }
    return out->priv_key[0] ? NULL : "kubo's \"Identity\" in it has no \"PrivKey\"";
}
