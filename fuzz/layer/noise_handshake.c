/* Byte 0: bits 0 the victim dials, 1 the bytes are a payload in correct cryptography, 2 behind an
 * honest identity, 3 real primitives. Bytes 1 and 2: with a payload, where the frame is damaged and
 * by what (0: not at all); otherwise the size of the pieces. Then the bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/key.h"
#include "layer/noise.h"
#include "layer/noise_payload.h"

enum {
    DIALS = 1,
    PAYLOAD = 2,
    IDENTITY = 4,
    REAL = 8,
};

static const struct layer_ops *const ops = &p2p__layer_noise;
static const char *const muxers[] = {"/yamux/1.0.0", "/mplex/6.7.0"};
static const uint8_t rogue_static[32] = {7}, rogue_eph[32] = {8};

static p2p_key *victim_key, *rogue_key;

struct victim {
    struct pool pool;
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct noise_state state;
    struct noise_handshake handshake;
    struct buf in;
    struct outq out;
    int code;
};

static void victim_step(struct victim *self)
{
    self->code =
        ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out, &self->result);
    assert(self->code != STEP_WANT_ROOM && outq_len(&self->out) <= 34 + 1024);
    assert(self->result.muxer == NULL || self->result.muxer == muxers[0] ||
           self->result.muxer == muxers[1]);
    if (self->code >= 0)
        return;
    assert(self->result.error && !self->result.muxer);
    int again =
        ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out, &self->result);
    assert(again == self->code);
}

static void victim_init(struct victim *self, uint8_t flags)
{
    memset(self, 0, sizeof *self);
    p2p__pool_init(&self->pool, 0);
    const struct p2p__crypto *crypto = flags & REAL ? &p2p__crypto_real : &p2p__crypto_cheap;
    self->env =
        (struct layer_env){.crypto = crypto, .aead = crypto->aead_new(), .pool = &self->pool};
    self->config = (struct layer_config){.initiator = flags & DIALS,
                                         .key = victim_key,
                                         .muxers = muxers,
                                         .muxer_count = 2,
                                         .random = {1, 2, 3}};
    self->config.random[32] = 4;
    buf_init(&self->in, 1 << 20);
    assert(ops->start(&self->state, &self->handshake, &self->config, &self->env) == 0);
    victim_step(self);
    assert(self->code == STEP_WANT_INPUT);
}

static void victim_fini(struct victim *self)
{
    ops->handshake_fini(&self->handshake);
    ops->fini(&self->state);
    p2p__buf_fini(&self->in, &self->pool);
    p2p__outq_fini(&self->out, &self->pool);
    assert(self->pool.used_bytes == 0);
    p2p__pool_fini(&self->pool);
    self->env.crypto->aead_free(self->env.aead);
}

static void victim_feed(struct victim *self, const uint8_t *bytes, size_t len)
{
    assert(p2p__buf_append(&self->in, &self->pool, bytes, len) == 0);
    victim_step(self);
}

/* Whoever has no key can neither finish a handshake nor be taken for anybody. */
static void fuzz_raw(struct victim *victim, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0 && victim->code == STEP_WANT_INPUT) {
        size_t n = size < piece ? size : piece;
        victim_feed(victim, data, n);
        data += n;
        size -= n;
        assert(victim->code != STEP_DONE && victim->result.remote_peer_len == 0);
    }
}

static size_t rogue_frame(struct noise_xx *rogue, const struct layer_env *env,
                          const uint8_t *payload, size_t len, uint8_t *frame)
{
    size_t total = p2p__noise_xx_overhead(rogue) + len;
    frame[0] = (uint8_t)(total >> 8);
    frame[1] = (uint8_t)total;
    assert(p2p__noise_xx_write(rogue, env, payload, len, frame + 2) == 0);
    return 2 + total;
}

static void rogue_read(struct noise_xx *rogue, struct victim *victim)
{
    uint8_t bytes[2048];
    struct iov iov;
    size_t total, payload_len;
    const uint8_t *payload;
    assert(p2p__outq_iov(&victim->out, &iov, 1, sizeof bytes, &total) == 1);
    memcpy(bytes, iov.base, total);
    outq_consume(&victim->out, &victim->pool, total);
    assert(p2p__noise_xx_read(rogue, &victim->env, bytes + 2, total - 2, &payload, &payload_len) ==
           0);
}

/* Both have the same keys, and the victim knows whom it talks to. */
static void check_channel(struct victim *victim, struct noise_xx *rogue)
{
    const p2p_peer_id *id = p2p_key_peer_id(rogue_key);
    assert(victim->result.remote_peer_len == id->len);
    assert(memcmp(victim->result.remote_peer, id->bytes, id->len) == 0);
    if (victim->config.initiator)
        rogue_read(rogue, victim);
    struct noise_cipher send, recv;
    p2p__noise_xx_split(rogue, &victim->env, &send, &recv);
    uint8_t record[32];
    const struct p2p__const_iov in = {(const uint8_t *)"hello", 5};
    assert(ops->seal(&victim->state, &victim->env, &in, 1, record) == 5 + 18);
    assert(p2p__noise_open(&recv, &victim->env, NULL, 0, record + 2, 5 + 16) == 0);
    assert(memcmp(record + 2, "hello", 5) == 0);
}

static void fuzz_payload(struct victim *victim, uint8_t flags, const uint8_t *data, size_t size,
                         size_t damage_at, uint8_t damage)
{
    uint8_t *frame = malloc(2 + NOISE_MESSAGE_MAX), *payload = malloc(NOISE_PAYLOAD_MAX + size);
    struct noise_xx rogue;
    int honest_len = 0;
    p2p__noise_xx_init(&rogue, &victim->env, !(flags & DIALS), data, 0, rogue_static, rogue_eph);
    if (!(flags & DIALS))
        victim_feed(victim, frame, rogue_frame(&rogue, &victim->env, data, 0, frame));
    rogue_read(&rogue, victim);
    if (flags & IDENTITY)
        honest_len = p2p__noise_payload_encode(rogue_key, rogue.static_public, NULL, 0, payload);
    memcpy(payload + honest_len, data, size);
    size_t len = rogue_frame(&rogue, &victim->env, payload, (size_t)honest_len + size, frame);
    frame[2 + damage_at % (len - 2)] ^= damage;
    victim_feed(victim, frame, len);
    assert(victim->code != STEP_WANT_INPUT);
    assert(damage == 0 || victim->code != STEP_DONE);
    if (victim->code == STEP_DONE)
        check_channel(victim, &rogue);
    free(frame);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t victim_seed[32] = {1}, rogue_seed[32] = {2};
    if (size < 4 || size > 60000)
        return 0;
    if (!victim_key) {
        assert(p2p__key_from_seed(victim_seed, &victim_key) == 0);
        assert(p2p__key_from_seed(rogue_seed, &rogue_key) == 0);
    }
    struct victim victim;
    victim_init(&victim, data[0]);
    if (data[0] & PAYLOAD)
        fuzz_payload(&victim, data[0], data + 3, size - 3, data[1], data[2]);
    else
        fuzz_raw(&victim, data + 3, size - 3, 1u + data[1]);
    victim_fini(&victim);
    return 0;
}
