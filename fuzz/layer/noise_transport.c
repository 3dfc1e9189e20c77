/* A script of what is sealed, damaged in transit, delivered and read. Whatever happens, the reader
 * must see the sealed bytes in their order up to the first damage, and nothing after it. The
 * plaintext is collected in a buf with the gaps that the channel promises, as a connection does. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "../script.h"
#include "layer/noise.h"

enum {
    WIRE_CAP = 1 << 18,
    RECORDS_MAX = 200,
};

#ifndef FUZZ_LAYER
#define FUZZ_LAYER p2p__layer_noise
#endif

static const struct layer_ops *const ops = &FUZZ_LAYER;

struct world {
    struct pool pool;
    struct layer_env env;
    struct noise_state sender, reader;
    uint8_t *wire;
    size_t wire_len, delivered, damaged_at; /* damaged_at: no damage from wire_len on */
    struct buf in, plain;
    uint64_t sealed, opened, consumed; /* bytes of plaintext */
    uint64_t intact;                   /* of these, whole records before the first damage */
    unsigned records;
    bool broken;
};

/* Byte n of all that is ever sent. */
static uint8_t text_at(uint64_t n)
{
    return (uint8_t)(n * 131 ^ n >> 8);
}

static void do_seal(struct world *w, size_t len, size_t split)
{
    if (w->records == RECORDS_MAX || w->wire_len + len + ops->overhead > WIRE_CAP)
        return;
    uint8_t *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = text_at(w->sealed + i);
    split = split < len ? split : len;
    const struct p2p__const_iov in[] = {{text, split}, {text, 0}, {text + split, len - split}};
    int64_t n = ops->seal(&w->sender, &w->env, in, 3, w->wire + w->wire_len);
    assert(n == (int64_t)(len + ops->overhead));
    w->wire_len += (size_t)n;
    w->sealed += len;
    w->records++;
    if (w->damaged_at == SIZE_MAX)
        w->intact = w->sealed;
    free(text);
}

/* Records that begin before `at` and end behind it are lost too; how much is intact is recounted
 * from the frames, which nothing has damaged before. */
static void damage(struct world *w, size_t at)
{
    if (at >= w->damaged_at)
        return;
    size_t record = 0;
    uint64_t intact = 0;
    for (;;) {
        size_t len = (size_t)w->wire[record] << 8 | w->wire[record + 1];
        if (record + 2 + len > at)
            break;
        intact += len - 16;
        record += 2 + len;
    }
    w->damaged_at = at;
    w->intact = intact;
}

static void do_flip(struct world *w, size_t back, uint8_t mask)
{
    size_t waiting = w->wire_len - w->delivered;
    if (waiting == 0 || mask == 0)
        return;
    size_t at = w->wire_len - 1 - back % waiting;
    /* A second flip at the first damage might mend it. */
    if (at == w->damaged_at)
        return;
    damage(w, at);
    w->wire[at] ^= mask;
}

/* Garbage between two records. */
static void do_insert(struct world *w, uint8_t byte, size_t len)
{
    if (len == 0 || w->wire_len + len > WIRE_CAP)
        return;
    memset(w->wire + w->wire_len, byte, len);
    if (w->damaged_at == SIZE_MAX)
        w->damaged_at = w->wire_len;
    w->wire_len += len;
}

static void take(struct world *w, size_t n)
{
    const uint8_t *bytes = buf_data(&w->plain);
    n = n < buf_len(&w->plain) ? n : buf_len(&w->plain);
    for (size_t i = 0; i < n; i++)
        assert(bytes[i] == text_at(w->consumed + i));
    buf_consume(&w->plain, n);
    w->consumed += n;
}

static int open_one(struct world *w)
{
    struct span span;
    size_t before = buf_len(&w->in);
    int code = ops->open(&w->reader, &w->env, &w->in, &span);
    if (code != STEP_DONE) {
        assert(buf_len(&w->in) == before);
        return code;
    }
    assert(!w->broken && before - buf_len(&w->in) == span.len + ops->overhead);
    assert(span.gap >= 2 && span.gap <= 18);
    w->opened += span.len;
    assert(w->opened <= w->intact);
    assert(p2p__buf_join(&w->plain, &w->pool, span.base, span.len, span.gap) == 0);
    return STEP_DONE;
}

/* Delivers, then opens what is whole, and leaves `keep` bytes unread between records. */
static void do_deliver(struct world *w, size_t len, size_t keep)
{
    size_t waiting = w->wire_len - w->delivered;
    len = len < waiting ? len : waiting;
    assert(p2p__buf_append(&w->in, &w->pool, w->wire + w->delivered, len) == 0);
    w->delivered += len;
    int code;
    while ((code = open_one(w)) == STEP_DONE) {
        if (buf_len(&w->plain) > keep)
            take(w, buf_len(&w->plain) - keep);
    }
    /* Before its memory is filled again. */
    assert(p2p__buf_settle(&w->plain, &w->pool) == 0);
    assert(p2p__buf_settle(&w->in, &w->pool) == 0);
    if (code < 0) {
        assert(code == P2P_EPROTO || code == P2P_ELIMIT);
        assert(w->damaged_at != SIZE_MAX);
        w->broken = true;
    }
}

static void run(struct world *w, struct script *script)
{
    while (script->left > 0) {
        unsigned command = script_next(script, 1);
        switch (command % 6) {
        case 0:
            do_seal(w, script_next(script, 1), command / 6);
            break;
        case 1:
            do_seal(w, script_next(script, 2) % (ops->plain_max + 1), command / 6 * 100);
            break;
        case 2:
            do_flip(w, script_next(script, 1), (uint8_t)script_next(script, 1));
            break;
        case 3:
            do_insert(w, (uint8_t)script_next(script, 1), command / 6);
            break;
        case 4:
            do_deliver(w, script_next(script, 1), command / 6);
            break;
        case 5:
            do_deliver(w, script_next(script, 2) * 4, command / 6);
            break;
        }
    }
    do_deliver(w, SIZE_MAX, 0);
    take(w, SIZE_MAX);
    assert(w->opened == w->intact && w->consumed == w->opened);
    assert(w->damaged_at != SIZE_MAX || (w->opened == w->sealed && buf_len(&w->in) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return 0;
    const struct p2p__crypto *crypto = data[0] & 1 ? &p2p__crypto_real : &p2p__crypto_cheap;
    struct world w = {.damaged_at = SIZE_MAX, .wire = malloc(WIRE_CAP)};
    p2p__pool_init(&w.pool, 0);
    w.env = (struct layer_env){.crypto = crypto, .aead = crypto->aead_new(), .pool = &w.pool};
    w.sender.send.key[0] = w.reader.recv.key[0] = 1;
    w.sender.send.nonce = w.reader.recv.nonce = data[0] >> 1;
    buf_init(&w.in, WIRE_CAP);
    buf_init(&w.plain, WIRE_CAP);
    run(&w, &(struct script){data + 1, size - 1});
    p2p__buf_fini(&w.in, &w.pool);
    p2p__buf_fini(&w.plain, &w.pool);
    assert(w.pool.used_bytes == 0);
    p2p__pool_fini(&w.pool);
    crypto->aead_free(w.env.aead);
    free(w.wire);
    return 0;
}
