/* Byte 0: 0 the bytes that follow are all that the remote sends; otherwise they are a message,
 * which is framed, and byte 0 bytes of its end come behind it. Byte 1: the size of the pieces.
 * Whatever the pieces, the outcome is that of the whole; and whoever is taken for somebody has said
 * so. */
#define _GNU_SOURCE /* memmem */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/key.h"
#include "codec/varint.h"
#include "layer/plaintext.h"

static const struct layer_ops *const ops = &p2p__layer_plaintext;
static p2p_key *key;

struct victim {
    struct pool pool;
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct plaintext_handshake handshake;
    uint8_t state[1];
    struct buf in;
    struct outq out;
    int code;
    size_t fed;
};

static void victim_run(struct victim *self, const uint8_t *bytes, size_t len, size_t piece)
{
    memset(self, 0, sizeof *self);
    p2p__pool_init(&self->pool, 0);
    self->env = (struct layer_env){.crypto = &p2p__crypto_real, .pool = &self->pool};
    self->config.key = key;
    buf_init(&self->in, 1 << 20);
    assert(ops->start(self->state, &self->handshake, &self->config, &self->env) == 0);
    for (;;) {
        self->code = ops->step(self->state, &self->handshake, &self->env, &self->in, &self->out,
                               &self->result);
        assert(self->code <= 0 || self->code == STEP_WANT_INPUT);
        assert(outq_len(&self->out) == 79);
        if (self->code != STEP_WANT_INPUT || self->fed == len)
            break;
        assert(buf_len(&self->in) < PLAINTEXT_EXCHANGE_MAX + P2P__VARINT_MAX);
        size_t n = len - self->fed < piece ? len - self->fed : piece;
        assert(p2p__buf_append(&self->in, &self->pool, bytes + self->fed, n) == 0);
        self->fed += n;
    }
    assert((self->code < 0) == (self->result.error != NULL));
    assert((self->code == STEP_DONE) == (self->result.remote_peer_len > 0));
}

/* The first bytes of the channel are what follows the message. */
static void check_done(struct victim *self, const uint8_t *bytes, size_t len)
{
    uint64_t body_len;
    int prefix = p2p__varint_decode(bytes, len, &body_len);
    assert(prefix > 0 && body_len <= PLAINTEXT_EXCHANGE_MAX);
    size_t used = (size_t)prefix + (size_t)body_len;
    assert(memmem(bytes, used, self->result.remote_peer, self->result.remote_peer_len));
    struct span span;
    int code = ops->open(self->state, &self->env, &self->in, &span);
    assert(code == (self->fed > used ? STEP_DONE : STEP_WANT_INPUT));
    if (code == STEP_DONE)
        assert(span.len == self->fed - used && memcmp(span.base, bytes + used, span.len) == 0);
}

static void victim_fini(struct victim *self)
{
    ops->handshake_fini(&self->handshake);
    ops->fini(self->state);
    p2p__buf_fini(&self->in, &self->pool);
    p2p__outq_fini(&self->out, &self->pool);
    assert(self->pool.used_bytes == 0);
    p2p__pool_fini(&self->pool);
}

static void both(const uint8_t *bytes, size_t len, size_t piece)
{
    struct victim whole, pieces;
    victim_run(&whole, bytes, len, len);
    victim_run(&pieces, bytes, len, piece);
    assert(whole.code == pieces.code && whole.result.error == pieces.result.error);
    assert(memcmp(whole.result.remote_peer, pieces.result.remote_peer, 64) == 0);
    if (whole.code == STEP_DONE) {
        check_done(&whole, bytes, len);
        check_done(&pieces, bytes, len);
    }
    victim_fini(&whole);
    victim_fini(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[P2P__ED25519_SEED_LEN] = {1};
    if (size < 3 || size > 8192)
        return 0;
    if (!key)
        assert(p2p__key_from_seed(seed, &key) == 0);
    size_t behind = data[0] < size - 2 ? data[0] : size - 2, piece = 1u + data[1];
    uint8_t *bytes = malloc(size + P2P__VARINT_MAX);
    size_t prefix = data[0] ? p2p__varint_encode(size - 2 - behind, bytes) : 0;
    memcpy(bytes + prefix, data + 2, size - 2);
    both(bytes, prefix + size - 2, piece);
    free(bytes);
    return 0;
}
