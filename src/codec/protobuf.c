#include "codec/protobuf.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/varint.h"

static void advance(struct pb_in *self, size_t n)
{
    self->at += n;
    self->left -= n;
}

/* Inside a message whose bytes are all there, "need more" means that it was cut. */
static int read_varint(struct pb_in *self, uint64_t *out)
{
    int used = p2p__pb_varint_decode(self->at, self->left, out);
    if (used <= 0)
        return P2P_EPROTO;
    advance(self, (size_t)used);
    return 0;
}

static int read_fixed(struct pb_in *self, size_t width, uint64_t *out)
{
    if (self->left < width)
        return P2P_EPROTO;
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;)
        value = value << 8 | self->at[i];
    advance(self, width);
    *out = value;
    return 0;
}

static int read_bytes(struct pb_in *self, struct pb_field *out)
{
    uint64_t len;
    if (read_varint(self, &len) < 0 || len > self->left)
        return P2P_EPROTO;
    out->bytes = self->at;
    out->bytes_len = (size_t)len;
    advance(self, (size_t)len);
    return 0;
}

int p2p__pb_next(struct pb_in *self, struct pb_field *out)
{
    if (self->left == 0)
        return 0;
    uint64_t tag;
    if (read_varint(self, &tag) < 0)
        return P2P_EPROTO;
    uint64_t number = tag >> 3;
    if (number == 0 || number > P2P__PB_NUMBER_MAX)
        return P2P_EPROTO;
    *out = (struct pb_field){.number = (uint32_t)number, .wire = (enum pb_wire)(tag & 7)};
    int err = P2P_EPROTO;
    switch (tag & 7) {
    case PB_VARINT:
        err = read_varint(self, &out->value);
        break;
    case PB_I64:
        err = read_fixed(self, 8, &out->value);
        break;
    case PB_LEN:
        err = read_bytes(self, out);
        break;
    case PB_I32:
        err = read_fixed(self, 4, &out->value);
        break;
    default:
        break;
    }
    return err < 0 ? err : 1;
}

static bool reserve(struct pb_out *self, size_t n)
{
    if (self->overflow || n > self->cap - self->len) {
        self->overflow = true;
        return false;
    }
    return true;
}

static void put_varint(struct pb_out *self, uint64_t value)
{
    if (reserve(self, p2p__varint_len(value)))
        self->len += p2p__varint_encode(value, self->base + self->len);
}

static void put_tag(struct pb_out *self, uint32_t number, enum pb_wire wire)
{
    assert(number > 0 && number <= P2P__PB_NUMBER_MAX);
    put_varint(self, (uint64_t)number << 3 | wire);
}

static void put_fixed(struct pb_out *self, size_t width, uint64_t value)
{
    if (!reserve(self, width))
        return;
    for (size_t i = 0; i < width; i++)
        self->base[self->len++] = (uint8_t)(value >> (8 * i));
}

void p2p__pb_put_varint(struct pb_out *self, uint32_t number, uint64_t value)
{
    put_tag(self, number, PB_VARINT);
    put_varint(self, value);
}

void p2p__pb_put_i64(struct pb_out *self, uint32_t number, uint64_t value)
{
    put_tag(self, number, PB_I64);
    put_fixed(self, 8, value);
}

void p2p__pb_put_i32(struct pb_out *self, uint32_t number, uint32_t value)
{
    put_tag(self, number, PB_I32);
    put_fixed(self, 4, value);
}

void p2p__pb_put_header(struct pb_out *self, uint32_t number, size_t bytes_len)
{
    put_tag(self, number, PB_LEN);
    put_varint(self, bytes_len);
}

void p2p__pb_put_raw(struct pb_out *self, const void *bytes, size_t bytes_len)
{
    if (!reserve(self, bytes_len) || bytes_len == 0)
        return;
    memcpy(self->base + self->len, bytes, bytes_len);
    self->len += bytes_len;
}

void p2p__pb_put_bytes(struct pb_out *self, uint32_t number, const void *bytes, size_t bytes_len)
{
    p2p__pb_put_header(self, number, bytes_len);
    p2p__pb_put_raw(self, bytes, bytes_len);
}

void p2p__pb_put_text(struct pb_out *self, uint32_t number, const char *text)
{
    p2p__pb_put_bytes(self, number, text, strlen(text));
}

size_t p2p__pb_frame_begin(struct pb_out *self)
{
    return self->len;
}

void p2p__pb_frame_end(struct pb_out *self, size_t mark)
{
    assert(mark <= self->len);
    size_t body_len = self->len - mark;
    size_t prefix_len = p2p__varint_len(body_len);
    if (!reserve(self, prefix_len))
        return;
    uint8_t *body = self->base + mark;
    memmove(body + prefix_len, body, body_len);
    p2p__varint_encode(body_len, body);
    self->len += prefix_len;
}

size_t p2p__pb_begin(struct pb_out *self, uint32_t number)
{
    put_tag(self, number, PB_LEN);
    return p2p__pb_frame_begin(self);
}

void p2p__pb_end(struct pb_out *self, size_t mark)
{
    p2p__pb_frame_end(self, mark);
}

size_t p2p__pb_varint_size(uint32_t number, uint64_t value)
{
    return p2p__varint_len((uint64_t)number << 3) + p2p__varint_len(value);
}

size_t p2p__pb_bytes_size(uint32_t number, size_t bytes_len)
{
    return p2p__varint_len((uint64_t)number << 3) + p2p__varint_len(bytes_len) + bytes_len;
}
