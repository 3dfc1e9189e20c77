/* One yamux under test, and a remote that is nothing but frames written by hand. */
#ifndef P2P_TESTS_YAMUX_RAW_H
#define P2P_TESTS_YAMUX_RAW_H

#include "muxer/yamux.h"
#include "tests/muxer_raw.h"

struct raw_frame {
    uint32_t type, flags, id, length;
};

/* The side under test listens unless told otherwise: the remote's streams are odd. */
static inline void raw_init(struct side *self)
{
    assert_int_equal(side_init(self, &p2p__muxer_yamux, side_config(false)), 0);
}

static inline struct yamux *raw_yamux(struct side *self)
{
    return (struct yamux *)self->muxer;
}

static inline int raw_send(struct side *self, uint32_t type, uint32_t flags, uint32_t id,
                           uint32_t length)
{
    uint8_t header[YAMUX_HEADER];
    p2p__yamux_header(header, (enum yamux_type)type, flags, id, length);
    return side_feed(self, header, sizeof(header));
}

static inline int raw_data(struct side *self, uint32_t flags, uint32_t id, uint64_t from,
                           uint32_t n)
{
    int code = raw_send(self, YAMUX_DATA, flags, id, n);
    return code < 0 ? code : raw_body(self, from, n);
}

static inline uint32_t raw_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The next frame that the side sends, body dropped; false: it has nothing to say. */
static inline bool raw_next(struct side *self, struct raw_frame *f)
{
    if (!raw_wire(self))
        return false;
    const uint8_t *at = self->wire;
    assert_true(self->wire_len >= YAMUX_HEADER);
    assert_int_equal(at[0], 0);
    *f = (struct raw_frame){at[1], (uint32_t)at[2] << 8 | at[3], raw_u32(at + 4), raw_u32(at + 8)};
    size_t len = YAMUX_HEADER + (f->type == YAMUX_DATA ? f->length : 0);
    raw_drop(self, len);
    return true;
}

static inline void expect_frame(struct side *self, uint32_t type, uint32_t flags, uint32_t id,
                                uint32_t length)
{
    struct raw_frame f = {0};
    assert_true(raw_next(self, &f));
    assert_int_equal(f.type, type);
    assert_int_equal(f.flags, flags);
    assert_int_equal(f.id, id);
    assert_int_equal(f.length, length);
}

/* The connection ends, and the last word is a go-away of protocol error. */
static inline void expect_goaway(struct side *self)
{
    struct raw_frame f = {0}, last = {0};
    assert_int_equal(self->code, P2P_EPROTO);
    assert_non_null(self->muxer->error);
    while (raw_next(self, &f))
        last = f;
    assert_int_equal(last.type, YAMUX_GOAWAY);
    assert_int_equal(last.length, YAMUX_PROTOCOL_ERROR);
    assert_int_equal(last.id, 0);
    expect_silence(self);
}

#endif
