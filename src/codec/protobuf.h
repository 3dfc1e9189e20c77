/* Protobuf's wire format: a cursor that hands out views into the input, and a writer into memory
 * of fixed size. Neither allocates, copies what it read, or recurses. */
#ifndef P2P_CODEC_PROTOBUF_H
#define P2P_CODEC_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P2P__PB_NUMBER_MAX ((UINT32_C(1) << 29) - 1) /* the encoding's largest field number */

enum pb_wire {
    PB_VARINT = 0,
    PB_I64 = 1,
    PB_LEN = 2,
    PB_I32 = 5,
};

/* What is left to read. Any bytes may be walked; a nested message is walked by another cursor. */
struct pb_in {
    const uint8_t *at;
    size_t left;
};

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;       /* PB_VARINT, PB_I64, PB_I32 */
    const uint8_t *bytes; /* PB_LEN: a view, not terminated, may hold any bytes; never NULL */
    size_t bytes_len;
};

static inline struct pb_in p2p__pb_in(const uint8_t *in, size_t in_len)
{
    return (struct pb_in){.at = in, .left = in_len};
}

/* The body of a PB_LEN field as a message. */
static inline struct pb_in p2p__pb_sub(const struct pb_field *field)
{
    return (struct pb_in){.at = field->bytes, .left = field->bytes_len};
}

/* A known number with another wire type is an unknown field, so always test both. */
static inline bool p2p__pb_is(const struct pb_field *field, uint32_t number, enum pb_wire wire)
{
    return field->number == number && field->wire == wire;
}

/* 1 and a field, 0 at the end, P2P_EPROTO when the bytes are no message (a cut field, wire types
 * 3, 4, 6, 7, field number 0 or above 2^29-1). Groups (3, 4) are refused: no libp2p protocol has
 * any, and skipping them needs unbounded nesting. After an error the cursor must not be used. */
int p2p__pb_next(struct pb_in *self, struct pb_field *out);

/* Appends to `base`. What does not fit sets `overflow`, and from then on nothing is written: check
 * it once, at the end. */
struct pb_out {
    uint8_t *base;
    size_t len;
    size_t cap;
    bool overflow;
};

static inline struct pb_out p2p__pb_out(uint8_t *base, size_t cap)
{
    return (struct pb_out){.base = base, .cap = cap};
}

void p2p__pb_put_varint(struct pb_out *self, uint32_t number, uint64_t value);
void p2p__pb_put_i64(struct pb_out *self, uint32_t number, uint64_t value);
void p2p__pb_put_i32(struct pb_out *self, uint32_t number, uint32_t value);
void p2p__pb_put_bytes(struct pb_out *self, uint32_t number, const void *bytes, size_t bytes_len);
void p2p__pb_put_text(struct pb_out *self, uint32_t number, const char *text); /* without its NUL */

/* Bytes without tag or length, e.g. a domain string or an already encoded field. */
void p2p__pb_put_raw(struct pb_out *self, const void *bytes, size_t bytes_len);

/* Tag and length only; the caller sends `bytes_len` bytes after them from where they are. */
void p2p__pb_put_header(struct pb_out *self, uint32_t number, size_t bytes_len);

/* A nested message: what is put between begin and end is its body. The length is written in its
 * shortest form at the end, and the body moves up by as many bytes; where it is large and its size
 * known, use put_header. Pairs nest. */
size_t p2p__pb_begin(struct pb_out *self, uint32_t number);
void p2p__pb_end(struct pb_out *self, size_t mark);

/* The same for a frame: a length prefix without a tag. */
size_t p2p__pb_frame_begin(struct pb_out *self);
void p2p__pb_frame_end(struct pb_out *self, size_t mark);

/* Encoded sizes, tag included, for those who must know before they write. */
size_t p2p__pb_varint_size(uint32_t number, uint64_t value);
size_t p2p__pb_bytes_size(uint32_t number, size_t bytes_len);

#endif
