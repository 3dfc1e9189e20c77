#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/protobuf.h"
#include "codec/varint.h"

/* Walks a copy that fills its allocation exactly. Fields seen, or the error. */
static int walk(const void *in, size_t in_len, struct pb_field *last)
{
    uint8_t *copy = malloc(in_len > 0 ? in_len : 1);
    assert_non_null(copy);
    if (in_len > 0)
        memcpy(copy, in, in_len);
    struct pb_in cursor = p2p__pb_in(copy, in_len);
    int seen = 0;
    struct pb_field field;
    int more;
    while ((more = p2p__pb_next(&cursor, &field)) > 0) {
        seen++;
        *last = field;
    }
    free(copy);
    return more < 0 ? more : seen;
}

static int walk_hex(const char *bytes, size_t len)
{
    struct pb_field last;
    return walk(bytes, len, &last);
}

static void test_every_wire_type_round_trips(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct pb_out out = p2p__pb_out(memory, sizeof(memory));
    p2p__pb_put_varint(&out, 1, 150);
    p2p__pb_put_text(&out, 2, "testing");
    p2p__pb_put_i32(&out, 3, 0x01020304);
    p2p__pb_put_i64(&out, P2P__PB_NUMBER_MAX, UINT64_C(0x0102030405060708));
    p2p__pb_put_bytes(&out, 4, NULL, 0);
    assert_false(out.overflow);
    /* The first two are the examples of protobuf's encoding page. */
    assert_memory_equal(memory, "\x08\x96\x01\x12\x07testing\x1d\x04\x03\x02\x01", 17);

    struct pb_in in = p2p__pb_in(memory, out.len);
    struct pb_field field;
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_true(p2p__pb_is(&field, 1, PB_VARINT));
    assert_false(p2p__pb_is(&field, 1, PB_LEN));
    assert_int_equal(field.value, 150);
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_true(p2p__pb_is(&field, 2, PB_LEN));
    assert_int_equal(field.bytes_len, 7);
    assert_memory_equal(field.bytes, "testing", 7);
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_true(p2p__pb_is(&field, 3, PB_I32));
    assert_int_equal(field.value, 0x01020304);
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_true(p2p__pb_is(&field, P2P__PB_NUMBER_MAX, PB_I64));
    assert_true(field.value == UINT64_C(0x0102030405060708));
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_true(p2p__pb_is(&field, 4, PB_LEN));
    assert_int_equal(field.bytes_len, 0);
    assert_non_null(field.bytes);
    assert_int_equal(p2p__pb_next(&in, &field), 0);
    assert_int_equal(p2p__pb_next(&in, &field), 0);
}

static void test_P01_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char message[] = "\x12\x03"
                                  "abc";
    struct pb_field last;
    assert_int_equal(walk(message, 0, &last), 0);
    assert_int_equal(walk(message, 5, &last), 1);
    for (size_t len = 1; len < 5; len++)
        assert_int_equal(walk(message, len, &last), P2P_EPROTO);
    static const char fixed[] = "\x09"
                                "12345678";
    assert_int_equal(walk(fixed, 9, &last), 1);
    for (size_t len = 1; len < 9; len++)
        assert_int_equal(walk(fixed, len, &last), P2P_EPROTO);
    assert_int_equal(walk_hex("\x0d"
                              "123",
                              4),
                     P2P_EPROTO);
    assert_int_equal(walk_hex("\x0d"
                              "1234",
                              5),
                     1);
    assert_int_equal(walk_hex("\x08\x80", 2), P2P_EPROTO);
    assert_int_equal(walk_hex("\x88", 1), P2P_EPROTO);
}

static void test_P04_varint_field_limits(void **state)
{
    (void)state;
    struct pb_field last;
    assert_int_equal(walk("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &last), 1);
    assert_true(last.value == UINT64_MAX);
    assert_int_equal(walk_hex("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11), P2P_EPROTO);
}

static void test_P05_length_overflow(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        UINT32_MAX,   UINT64_C(1) << 31, UINT64_C(1) << 63, SIZE_MAX,
        SIZE_MAX - 4, SIZE_MAX - 1,      UINT64_MAX - 4,    UINT64_MAX,
    };
    struct pb_field last;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t in[1 + P2P__PB_VARINT_MAX + 10] = {0x12};
        size_t header = 1 + p2p__varint_encode(lengths[i], in + 1);
        for (size_t body = 0; body <= 10; body++)
            assert_int_equal(walk(in, header + body, &last), P2P_EPROTO);
    }
    assert_int_equal(walk("\x12\xff\xff\xff\xff\x0f"
                          "1234",
                          10, &last),
                     P2P_EPROTO);
    assert_int_equal(walk("\x12\x04"
                          "1234",
                          6, &last),
                     1);
    assert_int_equal(walk("\x12\x05"
                          "1234",
                          6, &last),
                     P2P_EPROTO);
}

static void test_P07_wire_type_and_number(void **state)
{
    (void)state;
    for (unsigned wire = 0; wire < 8; wire++) {
        uint8_t in[10] = {(uint8_t)(1 << 3 | wire), 0, 0, 0, 0, 0, 0, 0, 0};
        static const size_t lens[8] = {2, 9, 2, 2, 2, 5, 2, 2};
        struct pb_field last;
        bool known = wire == PB_VARINT || wire == PB_I64 || wire == PB_LEN || wire == PB_I32;
        assert_int_equal(walk(in, lens[wire], &last), known ? 1 : P2P_EPROTO);
    }
    assert_int_equal(walk_hex("\x00\x01", 2), P2P_EPROTO); /* number 0 */
    assert_int_equal(walk_hex("\x02\x00", 2), P2P_EPROTO);
    struct pb_field last;
    assert_int_equal(walk("\xf8\xff\xff\xff\x0f\x01", 6, &last), 1);
    assert_int_equal(last.number, P2P__PB_NUMBER_MAX);
    assert_int_equal(walk("\x80\x80\x80\x80\x10\x01", 6, &last), P2P_EPROTO); /* 2^29 */
    assert_int_equal(walk("\x88\x80\x80\x80\x10\x01", 6, &last), P2P_EPROTO); /* 2^29 + 1 */
    /* A number that is 1 only after being cut to 32 bits. */
    assert_int_equal(walk("\x88\x80\x80\x80\x80\x01\x01", 7, &last), P2P_EPROTO);
}

static void test_P08_unknown_fields_are_stepped_over(void **state)
{
    (void)state;
    static const char *const unknown[] = {"\x78\x05",
                                          "\x79"
                                          "12345678",
                                          "\x7a\x02hi",
                                          "\x7d"
                                          "1234"};
    static const size_t lens[] = {2, 9, 4, 5};
    for (size_t before = 0; before < 4; before++) {
        for (size_t after = 0; after < 4; after++) {
            uint8_t memory[64];
            struct pb_out out = p2p__pb_out(memory, sizeof(memory));
            p2p__pb_put_raw(&out, unknown[before], lens[before]);
            p2p__pb_put_varint(&out, 1, 42);
            p2p__pb_put_raw(&out, unknown[after], lens[after]);
            struct pb_in in = p2p__pb_in(memory, out.len);
            struct pb_field field;
            uint64_t found = 0;
            int more;
            while ((more = p2p__pb_next(&in, &field)) > 0) {
                if (p2p__pb_is(&field, 1, PB_VARINT))
                    found = field.value;
            }
            assert_int_equal(more, 0);
            assert_int_equal(found, 42);
        }
    }
}

static void test_P10_half_a_million_empty_entries(void **state)
{
    (void)state;
    const size_t count = 500000;
    uint8_t *in = malloc(2 * count);
    assert_non_null(in);
    for (size_t i = 0; i < count; i++)
        memcpy(in + 2 * i, "\x12", 2);
    /* The cursor needs no memory for them; a reader can count before it allocates. */
    struct pb_in cursor = p2p__pb_in(in, 2 * count);
    struct pb_field field;
    size_t seen = 0;
    while (p2p__pb_next(&cursor, &field) == 1) {
        assert_true(p2p__pb_is(&field, 2, PB_LEN));
        assert_int_equal(field.bytes_len, 0);
        seen++;
    }
    assert_int_equal(seen, count);
    assert_int_equal(cursor.left, 0);
    free(in);
}

static void test_P12_text_keeps_every_byte(void **state)
{
    (void)state;
    static const uint8_t text[] = {'a', 0, 0x1b, '[', '2', 'J', 0xff, 0xc0};
    uint8_t memory[32];
    struct pb_out out = p2p__pb_out(memory, sizeof(memory));
    p2p__pb_put_bytes(&out, 1, text, sizeof(text));
    struct pb_in in = p2p__pb_in(memory, out.len);
    struct pb_field field;
    assert_int_equal(p2p__pb_next(&in, &field), 1);
    assert_int_equal(field.bytes_len, sizeof(text));
    assert_memory_equal(field.bytes, text, sizeof(text));
}

static void test_nested_at_every_prefix_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 129, 16383, 16384};
    static uint8_t memory[17000];
    static uint8_t body[16384];
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct pb_out out = p2p__pb_out(memory, sizeof(memory));
        size_t outer = p2p__pb_begin(&out, 1);
        size_t inner = p2p__pb_begin(&out, 2);
        p2p__pb_put_raw(&out, body, sizes[i]);
        p2p__pb_end(&out, inner);
        p2p__pb_put_varint(&out, 3, 9);
        p2p__pb_end(&out, outer);
        assert_false(out.overflow);
        size_t inner_size = p2p__pb_bytes_size(2, sizes[i]) + p2p__pb_varint_size(3, 9);
        assert_int_equal(out.len, p2p__pb_bytes_size(1, inner_size));

        struct pb_in in = p2p__pb_in(memory, out.len);
        struct pb_field field;
        assert_int_equal(p2p__pb_next(&in, &field), 1);
        struct pb_in sub = p2p__pb_sub(&field);
        assert_int_equal(p2p__pb_next(&in, &field), 0);
        assert_int_equal(p2p__pb_next(&sub, &field), 1);
        assert_int_equal(field.bytes_len, sizes[i]);
        assert_memory_equal(field.bytes, body, sizes[i]);
        assert_int_equal(p2p__pb_next(&sub, &field), 1);
        assert_int_equal(field.value, 9);
        assert_int_equal(p2p__pb_next(&sub, &field), 0);
    }
}

static void test_frames(void **state)
{
    (void)state;
    uint8_t memory[300];
    uint8_t body[200];
    memset(body, 0xab, sizeof(body));
    struct pb_out out = p2p__pb_out(memory, sizeof(memory));
    size_t mark = p2p__pb_frame_begin(&out);
    p2p__pb_put_bytes(&out, 1, body, sizeof(body));
    p2p__pb_frame_end(&out, mark);
    mark = p2p__pb_frame_begin(&out);
    p2p__pb_frame_end(&out, mark);
    const uint8_t *frame;
    size_t frame_len;
    int64_t used = p2p__frame_decode(memory, out.len, 1024, &frame, &frame_len);
    assert_int_equal(used, out.len - 1);
    assert_int_equal(frame_len, p2p__pb_bytes_size(1, sizeof(body)));
    assert_int_equal(p2p__frame_decode(memory + used, 1, 1024, &frame, &frame_len), 1);
    assert_int_equal(frame_len, 0);
}

/* The same message into every smaller memory: it overflows, and nothing behind it is touched. */
static void test_writer_stops_at_its_capacity(void **state)
{
    (void)state;
    size_t whole = 0;
    for (size_t cap = 64;; cap--) {
        uint8_t *memory = malloc(cap > 0 ? cap : 1);
        assert_non_null(memory);
        struct pb_out out = p2p__pb_out(memory, cap);
        p2p__pb_put_varint(&out, 1, UINT64_MAX);
        size_t mark = p2p__pb_begin(&out, 2);
        p2p__pb_put_i64(&out, 1, 1);
        p2p__pb_put_i32(&out, 2, 2);
        p2p__pb_put_text(&out, 3, "text");
        p2p__pb_end(&out, mark);
        p2p__pb_put_header(&out, 3, 1000);
        if (cap == 64)
            whole = out.len;
        assert_true(out.len <= cap);
        assert_int_equal(out.overflow, cap < whole);
        free(memory);
        if (cap == 0)
            break;
    }
    uint8_t tail[2];
    struct pb_out full = p2p__pb_out(tail, sizeof(tail));
    p2p__pb_put_raw(&full, "123", 3);
    p2p__pb_put_raw(&full, "1", 1); /* would fit, but a message with a hole is no message */
    assert_true(full.overflow);
    assert_int_equal(full.len, 0);
    struct pb_out huge = p2p__pb_out(tail, sizeof(tail));
    p2p__pb_put_raw(&huge, tail, SIZE_MAX);
    assert_true(huge.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_wire_type_round_trips),
        cmocka_unit_test(test_P01_cut_anywhere_is_refused),
        cmocka_unit_test(test_P04_varint_field_limits),
        cmocka_unit_test(test_P05_length_overflow),
        cmocka_unit_test(test_P07_wire_type_and_number),
        cmocka_unit_test(test_P08_unknown_fields_are_stepped_over),
        cmocka_unit_test(test_P10_half_a_million_empty_entries),
        cmocka_unit_test(test_P12_text_keeps_every_byte),
        cmocka_unit_test(test_nested_at_every_prefix_size),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_writer_stops_at_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
