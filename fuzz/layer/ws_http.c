/* Any bytes as the other end's half of the upgrade, all at once and in pieces: the verdict must be
 * the same, every refusal has its answer, and nothing behind a head is taken. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "layer/ws.h"

enum {
    OUT_CAP = 4096,
    CLIENT = 1, /* flags in the first byte */
    REAL = 2,
};

static const struct layer_ops *const ops = &p2p__layer_ws;

struct outcome {
    int code;
    size_t left, out_len;
    uint8_t out[OUT_CAP];
    const char *error;
};

static void collect(struct outcome *self, struct outq *out, struct pool *pool)
{
    struct iov iov[4];
    size_t total;
    size_t count = p2p__outq_iov(out, iov, 4, SIZE_MAX, &total);
    assert(total == outq_len(out) && total <= OUT_CAP);
    for (size_t i = 0; i < count; i++) {
        memcpy(self->out + self->out_len, iov[i].base, iov[i].len);
        self->out_len += iov[i].len;
    }
    outq_consume(out, pool, total);
}

static void run(uint8_t flags, const uint8_t *bytes, size_t len, size_t piece, struct outcome *self)
{
    struct ws_state state = {0};
    struct ws_handshake handshake = {0};
    struct layer_config config = {.initiator = flags & CLIENT, .host_name = "example.com"};
    struct layer_result result = {0};
    struct pool pool;
    struct buf in;
    struct outq out = {0};
    p2p__pool_init(&pool, 0);
    struct layer_env env = {
        .crypto = flags & REAL ? &p2p__crypto_real : &p2p__crypto_cheap,
        .pool = &pool,
    };
    buf_init(&in, 1 << 20);
    assert(ops->start(&state, &handshake, &config, &env) == 0);
    /* The key of RFC 6455's example, so that the corpus can know the answer. */
    memcpy(handshake.key, "dGhlIHNhbXBsZSBub25jZQ==", WS_KEY_TEXT_LEN);
    *self = (struct outcome){.code = ops->step(&state, &handshake, &env, &in, &out, &result)};
    assert(self->code == STEP_WANT_INPUT);
    for (size_t at = 0; at < len; at += piece) {
        piece = piece < len - at ? piece : len - at;
        assert(p2p__buf_append(&in, &pool, bytes + at, piece) == 0);
        if (self->code == STEP_WANT_INPUT)
            self->code = ops->step(&state, &handshake, &env, &in, &out, &result);
    }
    self->left = buf_len(&in);
    self->error = result.error;
    collect(self, &out, &pool);
    assert(state.open == (self->code == STEP_DONE));
    ops->handshake_fini(&handshake);
    ops->fini(&state);
    p2p__buf_fini(&in, &pool);
    p2p__outq_fini(&out, &pool);
    assert(pool.used_bytes == 0);
    p2p__pool_fini(&pool);
}

static void check_head(const struct outcome *self, const uint8_t *bytes, size_t len)
{
    size_t taken = len - self->left;
    assert(taken <= WS_HEAD_MAX && memcmp(bytes + taken - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i + 4 < taken; i++)
        assert(memcmp(bytes + i, "\r\n\r\n", 4) != 0);
}

static void check_server(const struct outcome *self, const uint8_t *bytes, size_t len)
{
    if (self->code == STEP_WANT_INPUT) {
        assert(self->out_len == 0 && self->left == len && len < WS_HEAD_MAX);
        return;
    }
    if (self->code < 0) {
        assert(memcmp(self->out, "HTTP/1.1 4", 10) == 0 && self->error && self->left == len);
        return;
    }
    /* What a client makes of our answer, from the key that is in the request. */
    const char *key, *error;
    char accept[WS_ACCEPT_TEXT_LEN + 1];
    check_head(self, bytes, len);
    assert(p2p__ws_request_check(bytes, len - self->left, &key, &error) == 101);
    assert(p2p__ws_accept(key, accept) == 0);
    assert(p2p__ws_response_check(self->out, self->out_len, accept, &error) == 0);
}

static void check_client(const struct outcome *self, const uint8_t *bytes, size_t len)
{
    /* Nothing but the request, which a server takes. */
    const char *key, *error;
    assert(p2p__ws_request_check(self->out, self->out_len, &key, &error) == 101);
    if (self->code == STEP_DONE) {
        check_head(self, bytes, len);
        assert(memcmp(bytes, "HTTP/1.1 101", 12) == 0);
    } else {
        assert((self->code < 0) == (self->error != NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, pieces;
    if (size < 2 || size > 3 * WS_HEAD_MAX)
        return 0;
    uint8_t flags = data[0];
    const uint8_t *bytes = data + 2;
    size_t len = size - 2;
    run(flags, bytes, len, len ? len : 1, &whole);
    run(flags, bytes, len, 1u + data[1], &pieces);
    assert(whole.code == pieces.code && whole.error == pieces.error);
    assert(whole.left == pieces.left && whole.out_len == pieces.out_len);
    assert(memcmp(whole.out, pieces.out, whole.out_len) == 0);
    if (flags & CLIENT)
        check_client(&whole, bytes, len);
    else
        check_server(&whole, bytes, len);
    return 0;
}
