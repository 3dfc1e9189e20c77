/* The rows M of the catalogue of attacks against a whole host, by a peer that is authenticated and
 * then makes up its frames. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/perf.h>

#include "codec/varint.h"
#include "muxer/mplex.h"
#include "tests/scene.h"

enum {
    BULK_MS = 25000, /* the simulator's network brings 5 MiB/s */
};

static const char *const with_mplex[] = {"muxer=yamux,mplex", "services=identify,ping,perf,echo",
                                         NULL};

/* The raw peer's streams: it opened them. */
enum {
    NEW = MPLEX_NEW_STREAM,
    DATA = MPLEX_MESSAGE + MPLEX_BY_INITIATOR,
    CLOSE = MPLEX_CLOSE + MPLEX_BY_INITIATOR,
    RESET = MPLEX_RESET + MPLEX_BY_INITIATOR,
};

static struct raw_peer *mplex_scene(struct scene *s, enum world_kind kind)
{
    scene_init(s, kind, with_mplex, false);
    s->net.muxers = raw_mplex;
    struct raw_peer *peer = scene_raw(s);
    scene_run(s, s->world.kind == WORLD_SIM ? 300 : 50); /* identify has asked */
    return peer;
}

static void head(struct raw_peer *self, uint32_t flag, uint64_t id, size_t length)
{
    uint8_t bytes[24];
    raw_grow(&self->batch, &self->batch_len, &self->batch_cap, bytes,
             p2p__mplex_header(bytes, id, flag, length));
}

static void frame(struct raw_peer *self, uint32_t flag, uint64_t id, const void *body, size_t len)
{
    head(self, flag, id, len);
    raw_grow(&self->batch, &self->batch_len, &self->batch_cap, body, len);
}

static void open_stream(struct raw_peer *self, uint64_t id, const char *protocol)
{
    uint8_t bytes[256];
    frame(self, NEW, id, NULL, 0);
    frame(self, DATA, id, bytes, raw_proposal(protocol, bytes));
}

struct seen {
    uint64_t id, length;
    uint32_t flag;
    const uint8_t *body;
};

static bool next(const struct raw_peer *self, size_t *at, struct seen *out)
{
    uint64_t value[2];
    size_t pos = *at;
    for (int i = 0; i < 2; i++) {
        int n = p2p__varint_decode(self->got + pos, self->got_len - pos, &value[i]);
        if (n <= 0)
            return false;
        pos += (size_t)n;
    }
    *out = (struct seen){value[0] >> 3, value[1], (uint32_t)value[0] & 7, self->got + pos};
    if (self->got_len - pos < out->length)
        return false;
    *at = pos + out->length;
    return true;
}

/* Frames of that flag; id UINT64_MAX: of any stream. Streams of theirs have the flag's lower twin.
 */
static size_t count(const struct raw_peer *self, uint32_t flag, uint64_t id)
{
    struct seen f;
    size_t at = 0, n = 0;
    while (next(self, &at, &f))
        n += f.flag == flag && (id == UINT64_MAX || f.id == id);
    return n;
}

static size_t live_streams(const struct scene *s)
{
    return scene_load(s).streams - s->before.streams;
}

/* ---- M01, M02 ---- */

#define BYTES(name, text)                                                                          \
    {                                                                                              \
        name, text, sizeof(text) - 1                                                               \
    }

static const struct {
    const char *name, *bytes;
    size_t len;
} forbidden[] = {
    BYTES("M01 a header of ten bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    BYTES("M01 an endless header", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    BYTES("M01 flag 7", "\x07\x00"),
    BYTES("M01 flag 7 of another stream", "\xff\x01\x00"),
    BYTES("M02 1 MiB and one byte", "\x00\x81\x80\x40"),
    BYTES("M02 the same for no stream", "\x0a\x81\x80\x40"),
    BYTES("M02 2^32", "\x00\x80\x80\x80\x80\x10"),
    BYTES("M02 2^63 - 1", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    BYTES("M02 an endless length", "\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
    BYTES("a stream twice", "\x08\x00\x08\x00"),
};

static void test_M01_M02_headers_that_end_it_at_once(void **state)
{
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
        struct scene s;
        struct raw_peer *peer = mplex_scene(&s, kind_of(state));
        raw_plain(peer, forbidden[i].bytes, forbidden[i].len);
        if (!scene_until(&s, scene_was_told, &s, 2000))
            fail_msg("%s: still connected", forbidden[i].name);
        assert_int_equal(s.code, P2P_EPROTO);
        scene_fini(&s);
    }
}

static void test_M01_M02_on_the_other_side_of_the_limits(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    uint8_t *body = calloc(1, MPLEX_LENGTH_MAX);
    frame(peer, NEW, MPLEX_ID_MAX, body, MPLEX_LENGTH_MAX); /* a name of that length */
    frame(peer, DATA, 77, body, MPLEX_LENGTH_MAX);          /* nobody's */
    open_stream(peer, 5, ECHO_PROTOCOL);
    frame(peer, DATA, 5, "hello", 5);
    raw_push(peer);
    scene_run(&s, 1500);
    assert_false(peer->gone);
    assert_true(count(peer, DATA - 1, 5) > 0);
    free(body);
    scene_fini(&s);
}

/* ---- M03 ---- */

/* A peer that sends for an echo and takes nothing back: what the echo cannot return stays unread.
 */
static void test_M03_one_unread_stream(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    static uint8_t body[60000];
    open_stream(peer, 1, ECHO_PROTOCOL);
    open_stream(peer, 2, ECHO_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 200);
    peer->deaf = true;
    for (int i = 0; i < 1200; i++) { /* 64 MiB and more */
        frame(peer, DATA, 1, body, sizeof(body));
        if (i % 40 == 39) {
            raw_push(peer);
            scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 10);
        }
    }
    raw_push(peer);
    scene_run(&s, s.world.kind == WORLD_SIM ? BULK_MS : 3000);
    assert_true(s.pool_peak <= s.before.pool + MPLEX_UNREAD_MAX + (2 << 20));
    peer->deaf = false;
    raw_mark(peer);
    scene_run(&s, 3000);
    assert_false(peer->gone);
    assert_int_equal(count(peer, RESET - 1, 1), 1);
    assert_int_equal(count(peer, RESET - 1, 2), 0);
    size_t before = count(peer, DATA - 1, 2);
    frame(peer, DATA, 2, "still", 5);
    raw_push(peer);
    scene_run(&s, 500);
    assert_true(count(peer, DATA - 1, 2) > before);
    scene_fini(&s);
}

/* Each below its own limit, all together above what a peer may cost. */
static void test_M03_many_streams_below_the_limit(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    static uint8_t body[60000];
    enum { STREAMS = 30, EACH = 60 };
    for (uint64_t id = 1; id <= STREAMS; id++)
        open_stream(peer, id, ECHO_PROTOCOL);
    raw_push(peer);
    scene_run(&s, 300);
    peer->deaf = true;
    for (int i = 0; i < EACH; i++) {
        for (uint64_t id = 1; id <= STREAMS; id++)
            frame(peer, DATA, id, body, sizeof(body));
        raw_push(peer);
        scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 10);
    }
    scene_run(&s, 3000);
    assert_true(s.pool_peak <= s.before.pool + SCENE_PEER_BYTES_MAX + (4 << 20));
    scene_fini(&s);
}

/* ---- M05 ---- */

static void test_M05_streams_with_long_names(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    char name[1024];
    memset(name, 'n', sizeof(name));
    for (uint64_t i = 0; i < 100000 && !peer->gone; i++) {
        frame(peer, NEW, i, name, sizeof(name));
        if (i % 2000 == 1999) {
            raw_push(peer);
            scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 5);
            assert_true(live_streams(&s) <= 256 + 1);
        }
    }
    scene_run(&s, s.world.kind == WORLD_SIM ? BULK_MS : 2000);
    assert_false(peer->gone);
    assert_true(count(peer, RESET - 1, UINT64_MAX) >= 100000 - 256);
    assert_true(s.pool_peak <= s.before.pool + (512 << 10));
    scene_fini(&s);
}

static void test_M05_replies_that_nobody_reads(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    peer->deaf = true;
    for (uint64_t round = 0; round < 200 && s.disconnected == 0; round++) {
        for (uint64_t i = 0; i < 20000; i++)
            head(peer, NEW, 20000 * round + i, 0);
        raw_push(peer);
        scene_run(&s, s.world.kind == WORLD_SIM ? 100 : 10);
    }
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_ELIMIT);
    assert_true(s.pool_peak <= s.before.pool + (512 << 10));
    scene_fini(&s);
}

/* Each starts a handler, and throws its work away. */
static void test_rapid_reset(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    for (uint64_t i = 0; i < 100000 && !peer->gone; i++) {
        open_stream(peer, i, P2P_PERF_PROTOCOL);
        head(peer, RESET, i, 0);
        if (i % 500 == 499) {
            raw_push(peer);
            scene_run(&s, s.world.kind == WORLD_SIM ? 60 : 5);
        }
    }
    assert_true(scene_until(&s, scene_was_told, &s, 2000));
    assert_int_equal(s.code, P2P_ELIMIT);
    scene_fini(&s);
}

/* ---- in any order ---- */

/* Words out of place, each of which the spec leaves open: nothing but that stream may suffer. */
static void test_frames_out_of_place(void **state)
{
    struct scene s;
    struct raw_peer *peer = mplex_scene(&s, kind_of(state));
    for (uint32_t flag = 1; flag <= MPLEX_FLAG_MAX; flag++) {
        for (uint64_t id = 0; id < 4; id++) {
            frame(peer, flag, 1000 + id, "body", 4); /* nobody's */
            frame(peer, flag, id, "", 0);            /* perhaps one of ours */
        }
    }
    open_stream(peer, 20, ECHO_PROTOCOL);
    head(peer, CLOSE, 20, 0);
    head(peer, CLOSE, 20, 0);
    frame(peer, DATA, 20, "late", 4);
    open_stream(peer, 21, ECHO_PROTOCOL);
    head(peer, RESET, 21, 0);
    frame(peer, DATA, 21, "late", 4);
    head(peer, RESET, 21, 0);
    head(peer, CLOSE, 21, 0);
    head(peer, NEW, 21, 0); /* the id is free again */
    open_stream(peer, 22, ECHO_PROTOCOL);
    frame(peer, DATA, 22, "hello", 5);
    raw_push(peer);
    scene_run(&s, 500);
    assert_false(peer->gone);
    assert_true(count(peer, DATA - 1, 22) > 0);
    scene_fini(&s);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        BOTH(test_M01_M02_headers_that_end_it_at_once),
        BOTH(test_M01_M02_on_the_other_side_of_the_limits),
        BOTH(test_M03_one_unread_stream),
        BOTH(test_M03_many_streams_below_the_limit),
        BOTH(test_M05_streams_with_long_names),
        BOTH(test_M05_replies_that_nobody_reads),
        BOTH(test_rapid_reset),
        BOTH(test_frames_out_of_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
