/* What yamux_raw.h and mplex_raw.h share: one muxer under test, and a remote that is nothing but
 * bytes written by hand. */
#ifndef P2P_TESTS_MUXER_RAW_H
#define P2P_TESTS_MUXER_RAW_H

#include "tests/test.h"

#include "tests/muxer_pair.h"

/* n bytes of the pattern from its `from`-th on. */
static inline int raw_body(struct side *self, uint64_t from, size_t n)
{
    static const size_t PIECE = 50000;
    uint8_t *bytes = malloc(PIECE);
    int code = self->code;
    assert_non_null(bytes);
    while (n > 0 && code >= 0) {
        size_t now = n < PIECE ? n : PIECE;
        for (size_t i = 0; i < now; i++)
            bytes[i] = pattern(from + i);
        code = side_feed(self, bytes, now);
        from += now;
        n -= now;
    }
    free(bytes);
    return code;
}

/* Everything that the side has to say is on its wire; false: nothing. */
static inline bool raw_wire(struct side *self)
{
    while (side_send(self, SIDE_OUT))
        continue;
    return self->wire_len > 0;
}

/* The first len bytes of the wire have been read. */
static inline void raw_drop(struct side *self, size_t len)
{
    assert_true(self->wire_len >= len);
    self->wire_len -= len;
    memmove(self->wire, self->wire + len, self->wire_len);
}

static inline void expect_silence(struct side *self)
{
    assert_false(raw_wire(self));
}

static inline void raw_fini(struct side *self)
{
    assert_int_equal(self->wrong, 0);
    assert_true(side_fini(self));
}

#endif
