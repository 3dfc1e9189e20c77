/* Byte 0: the mode (mod 3), byte 1: a parameter, then
 *   0: what a listener receives, in pieces of 1 + parameter bytes and again byte by byte,
 *   1: what a dialer of 1 + parameter % 4 protocols receives, in pieces of 1 + parameter / 4 bytes,
 *   2: a list of proposals (a byte each), made by our dialer to our listener. */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "conn/multistream.h"

#define HEADER "\x13/multistream/1.0.0\n"

enum {
    HEADER_LEN = sizeof HEADER - 1,
    OUT_CAP = 8192,
    NAMES = 8,
};

static const char *const names[NAMES] = {
    "/noise", "/tls/1.0.0", "/yamux/1.0.0", "/mplex/6.7.0",
    "/x",     "na",         "ls",           "/libp2p/simultaneous-connect"};

struct run {
    struct pool pool;
    struct multistream ms;
    struct buf in;
    struct outq out;
    struct multistream_choice choice;
    int code;
    size_t consumed;
    uint8_t sent[OUT_CAP];
    size_t sent_len;
};

static bool in_mask(void *user, const char *name, size_t name_len)
{
    unsigned mask = *(const unsigned *)user;
    for (unsigned i = 0; i < NAMES; i++) {
        if (strlen(names[i]) == name_len && memcmp(names[i], name, name_len) == 0)
            return mask & 1u << i;
    }
    return false;
}

static void run_init(struct run *run)
{
    memset(run, 0, sizeof *run);
    p2p__pool_init(&run->pool, 0);
    buf_init(&run->in, 1 << 20);
    run->code = STEP_WANT_INPUT;
}

static void run_fini(struct run *run)
{
    p2p__buf_fini(&run->in, &run->pool);
    p2p__outq_fini(&run->out, &run->pool);
    assert(run->pool.used_bytes == 0);
    p2p__pool_fini(&run->pool);
}

static void run_step(struct run *run)
{
    size_t before = buf_len(&run->in);
    run->code = p2p__multistream_step(&run->ms, &run->pool, &run->in, &run->out, &run->choice);
    run->consumed += before - buf_len(&run->in);
    assert(run->code != STEP_WANT_ROOM);
    struct iov iov[4];
    size_t total, count = p2p__outq_iov(&run->out, iov, 4, OUT_CAP, &total);
    for (size_t i = 0; i < count; i++) {
        assert(run->sent_len + iov[i].len <= OUT_CAP);
        memcpy(run->sent + run->sent_len, iov[i].base, iov[i].len);
        run->sent_len += iov[i].len;
    }
    outq_consume(&run->out, &run->pool, total);
    assert(outq_len(&run->out) == 0);
}

static void run_feed(struct run *run, const uint8_t *data, size_t size, size_t piece)
{
    run_step(run);
    while (size > 0 && run->code == STEP_WANT_INPUT) {
        size_t n = size < piece ? size : piece;
        assert(p2p__buf_append(&run->in, &run->pool, data, n) == 0);
        run_step(run);
        data += n;
        size -= n;
        /* A line that is too long is refused before it is collected. */
        assert(run->code < 0 || run->code == STEP_DONE ||
               buf_len(&run->in) < 2 + MULTISTREAM_LINE_MAX);
    }
    if (run->code < 0)
        assert(p2p__multistream_step(&run->ms, &run->pool, &run->in, &run->out, &run->choice) ==
               run->code);
}

static void check_listener(const struct run *run, unsigned mask)
{
    assert(run->ms.failed <= MULTISTREAM_FAILED_MAX);
    assert(run->sent_len >= HEADER_LEN && memcmp(run->sent, HEADER, HEADER_LEN) == 0);
    const uint8_t *at = run->sent + HEADER_LEN;
    for (unsigned i = 0; i < run->ms.failed; i++, at += 4)
        assert(memcmp(at, "\x03na\n", 4) == 0);
    size_t left = (size_t)(run->sent + run->sent_len - at);
    if (run->code != STEP_DONE) {
        assert(left == 0);
        return;
    }
    assert(in_mask(&mask, run->choice.name, run->choice.name_len));
    assert(run->choice.name[0] == '/' && run->choice.name[1] != 'l');
    assert(left == run->choice.name_len + 2 && at[0] == run->choice.name_len + 1);
    assert(memcmp(at + 1, run->choice.name, run->choice.name_len) == 0);
}

static void fuzz_listener(const uint8_t *data, size_t size, size_t piece)
{
    static struct run whole, bytes;
    unsigned mask = 0xeb; /* two of the known names are unsupported */
    run_init(&whole);
    run_init(&bytes);
    p2p__multistream_listen_init(&whole.ms, in_mask, &mask);
    p2p__multistream_listen_init(&bytes.ms, in_mask, &mask);
    run_feed(&whole, data, size, piece);
    run_feed(&bytes, data, size, 1);
    check_listener(&whole, mask);
    check_listener(&bytes, mask);
    assert(whole.code == bytes.code && whole.consumed == bytes.consumed);
    assert(whole.sent_len == bytes.sent_len);
    run_fini(&whole);
    run_fini(&bytes);
}

static void fuzz_dialer(const uint8_t *data, size_t size, size_t count, size_t piece)
{
    static struct run run;
    run_init(&run);
    p2p__multistream_dial_init(&run.ms, names, count);
    run_feed(&run, data, size, piece);
    assert(run.ms.index < count);
    assert(memcmp(run.sent, HEADER, HEADER_LEN) == 0);
    const uint8_t *at = run.sent + HEADER_LEN;
    for (size_t i = 0; i <= run.ms.index; i++) {
        size_t len = strlen(names[i]);
        assert(at[0] == len + 1 && memcmp(at + 1, names[i], len) == 0 && at[len + 1] == '\n');
        at += len + 2;
    }
    assert(at == run.sent + run.sent_len);
    if (run.code == STEP_DONE)
        assert(run.choice.name == names[run.ms.index]);
    if (run.code == P2P_ENOPROTO)
        assert(run.ms.index + 1 == count);
    run_fini(&run);
}

static void deliver(struct run *from, struct run *to, size_t *seen)
{
    assert(p2p__buf_append(&to->in, &to->pool, from->sent + *seen, from->sent_len - *seen) == 0);
    *seen = from->sent_len;
    run_step(to);
}

/* The dialer must end up with the first of its list that the listener takes. */
static void fuzz_pair(const uint8_t *data, size_t size, unsigned mask)
{
    static struct run dialer, listener;
    const char *list[40];
    size_t count = size < 40 ? size : 40, expected = 0, dialer_seen = 0, listener_seen = 0;
    for (size_t i = 0; i < count; i++)
        list[i] = names[data[i] % 5];
    while (expected < count && !in_mask(&mask, list[expected], strlen(list[expected])))
        expected++;
    if (count == 0)
        return;
    run_init(&dialer);
    run_init(&listener);
    p2p__multistream_dial_init(&dialer.ms, list, count);
    p2p__multistream_listen_init(&listener.ms, in_mask, &mask);
    run_step(&dialer);
    run_step(&listener);
    for (size_t i = 0; i < count && dialer.code == STEP_WANT_INPUT; i++) {
        deliver(&dialer, &listener, &dialer_seen);
        deliver(&listener, &dialer, &listener_seen);
    }
    assert(dialer.code == (expected < count ? STEP_DONE : P2P_ENOPROTO));
    assert(expected == count || dialer.ms.index == expected);
    assert((listener.code == STEP_DONE) == (expected < count));
    check_listener(&listener, mask);
    run_fini(&dialer);
    run_fini(&listener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint8_t mode = data[0] % 3, parameter = data[1];
    data += 2;
    size -= 2;
    if (mode == 0)
        fuzz_listener(data, size, 1u + parameter);
    else if (mode == 1)
        fuzz_dialer(data, size, 1u + parameter % 4, 1u + parameter / 4);
    else
        fuzz_pair(data, size, parameter);
    return 0;
}
