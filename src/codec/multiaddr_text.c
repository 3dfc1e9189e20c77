#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/multiaddr_protocol.h"
#include "codec/utf8.h"

/* How much of a bad part a sentence repeats. */
#define QUOTE_MAX 64

struct reader {
    const char *at;
    const char *end;
    char *why;
    size_t why_cap;
};

struct span {
    const char *at;
    size_t len;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static int
refuse(const struct reader *self, const char *format, ...)
{
    if (self->why_cap > 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(self->why, self->why_cap, format, args);
        va_end(args);
    }
    return P2P_EADDR;
}

static void quote(struct span span, char out[4 * QUOTE_MAX])
{
    size_t shown = span.len;
    if (shown > QUOTE_MAX) {
        for (shown = QUOTE_MAX; shown > 0 && ((uint8_t)span.at[shown] & 0xc0) == 0x80;)
            shown--; /* not within a character */
    }
    p2p__escape(span.at, shown, out, 4 * QUOTE_MAX - 3);
    if (shown < span.len)
        memcpy(out + strlen(out), "...", 4);
}

/* Takes the text up to the next slash; `at` stands on a slash before and after, or at the end. */
static struct span take_part(struct reader *self)
{
    const char *start = self->at + 1;
    const char *slash = memchr(start, '/', (size_t)(self->end - start));
    self->at = slash ? slash : self->end;
    return (struct span){start, (size_t)(self->at - start)};
}

static struct span take_rest(struct reader *self)
{
    struct span rest = {self->at, p2p__ma_path_len(self->at, (size_t)(self->end - self->at))};
    self->at += rest.len;
    return rest;
}

static int append(const struct reader *self, p2p_multiaddr *out, const struct ma_protocol *protocol,
                  const uint8_t *value, size_t value_len)
{
    int err = p2p__multiaddr_append_component(out, protocol->code, value, value_len);
    if (err == P2P_ETOOBIG)
        return refuse(self, "the address has more than %d bytes or %d components",
                      P2P_MULTIADDR_MAX, P2P_MULTIADDR_COMPONENTS_MAX);
    return err;
}

static int read_value(struct reader *self, const struct ma_protocol *protocol, p2p_multiaddr *out)
{
    if (self->at == self->end)
        return refuse(self, "/%s needs %s, but the address ends there", protocol->name,
                      protocol->kind->wants);
    struct span text = protocol->takes_rest ? take_rest(self) : take_part(self);
    uint8_t value[P2P_MULTIADDR_MAX];
    int64_t value_len = protocol->kind->parse(text.at, text.len, value, sizeof(value));
    if (value_len < 0 || !p2p__multiaddr_value_ok(protocol, value, (size_t)value_len)) {
        char quoted[4 * QUOTE_MAX];
        quote(text, quoted);
        return refuse(self, "/%s needs %s, not \"%s\"", protocol->name, protocol->kind->wants,
                      quoted);
    }
    return append(self, out, protocol, value, (size_t)value_len);
}

static int read_text(struct reader *self, p2p_multiaddr *out)
{
    if (self->at == self->end)
        return refuse(self, "the address is empty");
    if (*self->at != '/')
        return refuse(self, "an address begins with a slash, as in /ip4/127.0.0.1/tcp/4001");
    while (self->end > self->at && self->end[-1] == '/')
        self->end--;
    if (self->at == self->end)
        return refuse(self, "the address names no protocol");
    while (self->at < self->end) {
        struct span name = take_part(self);
        const struct ma_protocol *protocol = p2p__multiaddr_protocol_by_name(name.at, name.len);
        if (!protocol) {
            char quoted[4 * QUOTE_MAX];
            quote(name, quoted);
            return refuse(self, "\"%s\" is not the name of a protocol", quoted);
        }
        int err =
            protocol->kind ? read_value(self, protocol, out) : append(self, out, protocol, NULL, 0);
        if (err < 0)
            return err;
    }
    return 0;
}

int p2p_multiaddr_parse_why(const char *text, p2p_multiaddr *out, char *why, size_t why_cap)
{
    const char *nul = memchr(text, '\0', P2P_MULTIADDR_TEXT_MAX);
    struct reader reader = {text, nul ? nul : text, why, why_cap};
    if (why_cap > 0)
        why[0] = '\0';
    if (!nul)
        return refuse(&reader, "the address is longer than %d characters",
                      P2P_MULTIADDR_TEXT_MAX - 1);
    p2p_multiaddr built;
    built.len = 0;
    int err = read_text(&reader, &built);
    if (err < 0)
        return err;
    out->len = built.len;
    memcpy(out->bytes, built.bytes, built.len);
    return 0;
}

int p2p_multiaddr_parse(const char *text, p2p_multiaddr *out)
{
    return p2p_multiaddr_parse_why(text, out, NULL, 0);
}

/* snprintf's contract for text that comes in pieces. */
struct writer {
    char *out;
    size_t cap;
    size_t needed;
};

static void put(struct writer *self, const char *text, size_t text_len)
{
    if (self->needed < self->cap) {
        size_t room = self->cap - self->needed;
        memcpy(self->out + self->needed, text, text_len < room ? text_len : room);
    }
    self->needed += text_len;
}

static int put_component(struct writer *self, const p2p_multiaddr_component *component)
{
    const struct ma_protocol *protocol = p2p__multiaddr_protocol_by_code(component->code);
    if (!p2p__multiaddr_value_ok(protocol, component->value, component->value_len))
        return P2P_EADDR;
    put(self, "/", 1);
    put(self, protocol->name, strlen(protocol->name));
    if (!protocol->kind)
        return 0;
    char text[P2P__MA_VALUE_TEXT_MAX];
    int64_t text_len = protocol->kind->format(component->value, component->value_len, text);
    if (text_len < 0)
        return P2P_EADDR;
    if (!protocol->takes_rest) /* otherwise the value begins with the slash */
        put(self, "/", 1);
    put(self, text, (size_t)text_len);
    return 0;
}

int64_t p2p_multiaddr_format(const p2p_multiaddr *self, char *out, size_t out_cap)
{
    struct writer writer = {out, out_cap, 0};
    size_t offset = 0;
    p2p_multiaddr_component component;
    int more;
    while ((more = p2p_multiaddr_next(self, &offset, &component)) > 0) {
        int err = put_component(&writer, &component);
        if (err < 0)
            return err;
    }
    if (more < 0)
        return more;
    if (writer.needed == 0)
        put(&writer, "/", 1);
    if (out_cap > 0)
        out[writer.needed < out_cap ? writer.needed : out_cap - 1] = '\0';
    return (int64_t)writer.needed;
}
