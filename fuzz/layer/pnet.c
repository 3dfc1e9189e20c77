/* A script of what is sealed and in what pieces it arrives. The reader sees exactly what was sent,
 * but for the bits that were flipped on the way; or, with another key or nonce, none of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "../script.h"
#include "layer/pnet.h"

enum {
    WIRE_CAP = 1 << 18,
    OTHER_KEY = 1,
    OTHER_NONCE = 2,
    REFLECTED = 4,
};

static const struct layer_ops *const ops = &p2p__layer_pnet;

struct world {
    struct pool pool;
    struct layer_env env;
    struct pnet_state sender, reader;
    uint8_t *wire, *text; /* text: what the reader must see */
    size_t wire_len, delivered, opened, same;
    struct buf in;
    int code;
};

static void do_seal(struct world *w, size_t len, size_t split)
{
    if (w->wire_len + len > WIRE_CAP)
        return;
    uint8_t *text = w->text + w->wire_len;
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)((w->wire_len + i) * 131 ^ (w->wire_len + i) >> 8);
    split = split < len ? split : len;
    const struct p2p__const_iov in[] = {{text, split}, {text, 0}, {text + split, len - split}};
    int64_t n = ops->seal(&w->sender, &w->env, in, 3, w->wire + w->wire_len);
    assert(n == (int64_t)len);
    w->wire_len += len;
}

static void do_flip(struct world *w, size_t back, uint8_t mask)
{
    size_t waiting = w->wire_len - w->delivered;
    if (waiting == 0)
        return;
    size_t at = w->wire_len - 1 - back % waiting;
    if (at < PNET_NONCE_LEN)
        return;
    w->wire[at] ^= mask;
    w->text[at] ^= mask;
}

static void do_deliver(struct world *w, size_t len)
{
    size_t waiting = w->wire_len - w->delivered;
    len = len < waiting ? len : waiting;
    assert(p2p__buf_append(&w->in, &w->pool, w->wire + w->delivered, len) == 0);
    w->delivered += len;
    struct span span;
    while ((w->code = ops->open(&w->reader, &w->env, &w->in, &span)) == STEP_DONE) {
        const uint8_t *text = w->text + PNET_NONCE_LEN + w->opened;
        assert(span.len > 0 && buf_len(&w->in) == 0);
        for (size_t i = 0; i < span.len; i++)
            w->same += span.base[i] == text[i];
        w->opened += span.len;
    }
    assert(p2p__buf_settle(&w->in, &w->pool) == 0);
}

static void check(const struct world *w, uint8_t flags)
{
    if (flags & REFLECTED) {
        assert(w->opened == 0);
        assert(w->code == (w->delivered < PNET_NONCE_LEN ? STEP_WANT_INPUT : P2P_EPROTO));
        return;
    }
    size_t expected = w->delivered < PNET_NONCE_LEN ? 0 : w->delivered - PNET_NONCE_LEN;
    assert(w->code == STEP_WANT_INPUT && w->opened == expected);
    if (!(flags & (OTHER_KEY | OTHER_NONCE)))
        assert(w->same == w->opened);
    else if (w->opened >= 4096)
        assert(w->same < w->opened / 32); /* one of 256 by chance */
}

static void run(struct world *w, struct script *script)
{
    while (script->left > 0) {
        unsigned command = script_next(script, 1);
        switch (command % 5) {
        case 0:
            do_seal(w, script_next(script, 1), command / 5);
            break;
        case 1:
            do_seal(w, script_next(script, 2), command / 5 * 100);
            break;
        case 2:
            do_flip(w, script_next(script, 1), (uint8_t)script_next(script, 1));
            break;
        case 3:
            do_deliver(w, script_next(script, 1));
            break;
        case 4:
            do_deliver(w, script_next(script, 2) * 4);
            break;
        }
    }
    do_deliver(w, WIRE_CAP);
}

/* The reader's own nonce is all zero; with REFLECTED it is the sender's. */
static void begin(struct world *w, uint8_t flags)
{
    static const uint8_t key[2][32] = {{1}, {2}};
    struct layer_config config = {.psk = key[0], .random = {3}};
    struct layer_result result = {0};
    struct pnet_handshake handshake = {0};
    struct outq out = {0};
    struct iov iov;
    size_t total;
    assert(ops->start(&w->sender, &handshake, &config, &w->env) == 0);
    assert(ops->step(&w->sender, &handshake, &w->env, &w->in, &out, &result) == STEP_DONE);
    assert(p2p__outq_iov(&out, &iov, 1, 64, &total) == 1 && total == PNET_NONCE_LEN);
    memcpy(w->wire, iov.base, total);
    w->wire_len = total;
    outq_consume(&out, &w->pool, total);
    if (flags & OTHER_NONCE)
        w->wire[PNET_NONCE_LEN - 1] ^= 1;
    if (flags & OTHER_KEY)
        config.psk = key[1];
    memset(config.random, 0, sizeof config.random);
    if (flags & REFLECTED)
        memcpy(config.random, w->wire, PNET_NONCE_LEN);
    assert(ops->start(&w->reader, &handshake, &config, &w->env) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return 0;
    struct world w = {.wire = malloc(WIRE_CAP), .text = calloc(1, WIRE_CAP)};
    p2p__pool_init(&w.pool, 0);
    w.env = (struct layer_env){.crypto = &p2p__crypto_real, .pool = &w.pool};
    buf_init(&w.in, WIRE_CAP);
    begin(&w, data[0]);
    run(&w, &(struct script){data + 1, size - 1});
    check(&w, data[0]);
    ops->fini(&w.sender);
    ops->fini(&w.reader);
    p2p__buf_fini(&w.in, &w.pool);
    assert(w.pool.used_bytes == 0);
    p2p__pool_fini(&w.pool);
    free(w.wire);
    free(w.text);
    return 0;
}
