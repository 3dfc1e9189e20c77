/* Every field lies within the input, in order, and a message written from the fields reads as the
 * same fields; in memory that is too small the writer says so. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct pb_out *out, const struct pb_field *field)
{
    switch (field->wire) {
    case PB_VARINT:
        p2p__pb_put_varint(out, field->number, field->value);
        break;
    case PB_I64:
        p2p__pb_put_i64(out, field->number, field->value);
        break;
    case PB_I32:
        p2p__pb_put_i32(out, field->number, (uint32_t)field->value);
        break;
    case PB_LEN: {
        size_t mark = p2p__pb_begin(out, field->number);
        p2p__pb_put_raw(out, field->bytes, field->bytes_len);
        p2p__pb_end(out, mark);
        break;
    }
    }
}

/* All fields of `data` into `out`, or the error. */
static int rewrite(const uint8_t *data, size_t size, struct pb_out *out)
{
    struct pb_in in = p2p__pb_in(data, size);
    struct pb_field field;
    const uint8_t *last = data;
    int more;
    while ((more = p2p__pb_next(&in, &field)) > 0) {
        assert(field.number > 0 && field.number <= P2P__PB_NUMBER_MAX);
        assert(in.at > last && in.at + in.left == data + size);
        if (field.wire == PB_LEN)
            assert(field.bytes > last && field.bytes + field.bytes_len == in.at);
        last = in.at;
        put(out, &field);
    }
    return more;
}

static void check_same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    struct pb_in in[2] = {p2p__pb_in(a, a_len), p2p__pb_in(b, b_len)};
    struct pb_field field[2];
    int more;
    do {
        more = p2p__pb_next(&in[0], &field[0]);
        assert(p2p__pb_next(&in[1], &field[1]) == more);
        if (more == 1) {
            assert(field[0].number == field[1].number && field[0].wire == field[1].wire);
            assert(field[0].value == field[1].value);
            assert(field[0].bytes_len == field[1].bytes_len);
            if (field[0].bytes_len > 0)
                assert(memcmp(field[0].bytes, field[1].bytes, field[0].bytes_len) == 0);
        }
    } while (more == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *memory = malloc(size + 1);
    assert(memory);
    struct pb_out out = p2p__pb_out(memory, size);
    if (rewrite(data, size, &out) == 0) {
        /* The shortest form of everything is never longer than what was read. */
        assert(!out.overflow && out.len <= size);
        check_same(data, size, memory, out.len);
        if (out.len > 0) {
            size_t whole = out.len;
            struct pb_out small = p2p__pb_out(memory, whole - 1);
            assert(rewrite(data, size, &small) == 0);
            assert(small.overflow && small.len < whole);
        }
    }
    free(memory);
    return 0;
}
