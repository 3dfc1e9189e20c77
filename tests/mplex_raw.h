/* One mplex under test, and a remote that is nothing but frames written by hand. */
#ifndef P2P_TESTS_MPLEX_RAW_H
#define P2P_TESTS_MPLEX_RAW_H

#include "codec/varint.h"
#include "muxer/mplex.h"
#include "tests/muxer_raw.h"

/* As the remote's frames name a stream: its own, or one of ours. */
enum {
    NEW = MPLEX_NEW_STREAM,
    DATA_OURS = MPLEX_MESSAGE,
    DATA_THEIRS,
    CLOSE_OURS,
    CLOSE_THEIRS,
    RESET_OURS,
    RESET_THEIRS,
};

struct raw_frame {
    uint64_t id, flag, length;
};

static inline void raw_init(struct side *self)
{
    assert_int_equal(side_init(self, &p2p__muxer_mplex, side_config(false)), 0);
}

static inline struct mplex *raw_mplex(struct side *self)
{
    return (struct mplex *)self->muxer;
}

static inline int raw_send(struct side *self, uint32_t flag, uint64_t id, size_t length)
{
    uint8_t header[20];
    return side_feed(self, header, p2p__mplex_header(header, id, flag, length));
}

static inline int raw_data(struct side *self, uint32_t flag, uint64_t id, uint64_t from, size_t n)
{
    int code = raw_send(self, flag, id, n);
    return code < 0 ? code : raw_body(self, from, n);
}

/* The next frame that the side sends, body dropped; false: it has nothing to say. */
static inline bool raw_next(struct side *self, struct raw_frame *f)
{
    if (!raw_wire(self))
        return false;
    uint64_t header = 0;
    int n = p2p__varint_decode(self->wire, self->wire_len, &header);
    assert_true(n > 0);
    int m = p2p__varint_decode(self->wire + n, self->wire_len - (size_t)n, &f->length);
    assert_true(m > 0);
    f->id = header >> 3u;
    f->flag = header & 7u;
    size_t len = (size_t)n + (size_t)m + f->length;
    raw_drop(self, len);
    return true;
}

static inline void expect_frame(struct side *self, uint64_t flag, uint64_t id, uint64_t length)
{
    struct raw_frame f = {0};
    assert_true(raw_next(self, &f));
    assert_int_equal(f.flag, flag);
    assert_int_equal(f.id, id);
    assert_int_equal(f.length, length);
}

/* The connection ended, for good, without a word: mplex has no farewell. */
static inline void expect_end(struct side *self, int code)
{
    assert_int_equal(self->code, code);
    assert_non_null(self->muxer->error);
    expect_silence(self);
    self->code = 0;
    assert_int_equal(raw_send(self, NEW, 12345, 0), code);
    assert_int_equal(self->muxer->ops->deadline(self->muxer), 0);
    assert_int_equal(self->muxer->ops->timeout(self->muxer, self->now_us), code);
    int open_code = 0;
    assert_null(side_open(self, &open_code));
    assert_int_equal(open_code, P2P_ECLOSED);
}

static inline struct muxer_stream *open_stream(struct side *t)
{
    int code = 0;
    struct muxer_stream *s = side_open(t, &code);
    assert_non_null(s);
    return s;
}

static inline struct framed_stream *theirs(struct side *t, uint64_t id)
{
    return p2p__framed_find(&raw_mplex(t)->framed, id, false);
}

#endif
