/* Who connects over a link of tests/fake_io.h: it shakes hands as it should, and then seals
 * whatever it is given. */
#ifndef P2P_TESTS_FAKE_DIALER_H
#define P2P_TESTS_FAKE_DIALER_H

#include <p2p/key.h>

#include "codec/key.h"
#include "conn/multistream.h"
#include "fake_io.h"
#include "layer/layer.h"

enum {
    FAKE_SHAKE_MAX = 4096, /* bytes of one step of the handshake */
};

struct fake_dialer {
    struct layer_config config;
    struct layer_result result;
    struct layer_env env;
    struct pool pool;
    p2p_key *key;
    void *state, *handshake;
    struct multistream select;
    struct buf in;
    struct outq out;
    size_t seen; /* of what the host sent */
    bool selected, secure, refused;
};

/* early_muxer: agreed on within the handshake. */
static inline void fake_dialer_init(struct fake_dialer *self, struct fake_io *io, bool early_muxer)
{
    static const char *const muxers[] = {"/yamux/1.0.0"}, *const ids[] = {"/noise"};
    const uint8_t seed[P2P__ED25519_SEED_LEN] = {7};
    *self = (struct fake_dialer){0};
    int rc = p2p__key_from_seed(seed, &self->key);
    assert(rc == 0);
    p2p__pool_init(&self->pool, 0);
    self->env = (struct layer_env){
        .crypto = io->io.crypto, .aead = io->io.crypto->aead_new(), .pool = &self->pool};
    self->config = (struct layer_config){
        .initiator = true, .key = self->key, .muxers = muxers, .muxer_count = early_muxer};
    memset(self->config.random, 7, sizeof(self->config.random));
    self->state = calloc(1, p2p__layer_noise.state_size);
    self->handshake = calloc(1, p2p__layer_noise.handshake_size);
    buf_init(&self->in, IO_FILL_MAX);
    p2p__multistream_dial_init(&self->select, ids, 1);
    rc = p2p__layer_noise.start(self->state, self->handshake, &self->config, &self->env);
    assert(rc == 0);
}

static inline void fake_dialer_fini(struct fake_dialer *self)
{
    p2p__buf_fini(&self->in, &self->pool);
    p2p__outq_fini(&self->out, &self->pool);
    assert(self->pool.used_bytes == 0);
    p2p__pool_fini(&self->pool);
    self->env.crypto->aead_free(self->env.aead);
    free(self->state);
    free(self->handshake);
    p2p_key_free(self->key);
}

/* The next bytes of the handshake, at most FAKE_SHAKE_MAX, to what the host has said so far;
 * `secure` once it is over. */
static inline size_t fake_dialer_shake(struct fake_dialer *self, const struct fake_link *link,
                                       uint8_t *out)
{
    struct multistream_choice choice;
    struct iov iov[1];
    size_t bytes, done = 0;
    size_t news = link->sent_len - self->seen;
    int rc = news ? p2p__buf_append(&self->in, &self->pool, link->sent + self->seen, news) : 0;
    assert(rc == 0);
    self->seen = link->sent_len;
    if (!self->selected)
        self->selected = p2p__multistream_step(&self->select, &self->pool, &self->in, &self->out,
                                               &choice) == STEP_DONE;
    if (self->selected && !self->secure) {
        rc = p2p__layer_noise.step(self->state, self->handshake, &self->env, &self->in, &self->out,
                                   &self->result);
        self->secure = rc == STEP_DONE;
        self->refused = rc < 0;
    }
    while (p2p__outq_iov(&self->out, iov, 1, FAKE_SHAKE_MAX - done, &bytes) > 0) {
        memcpy(out + done, iov[0].base, bytes);
        done += bytes;
        outq_consume(&self->out, &self->pool, bytes);
    }
    return done;
}

/* One record, at most len + 18 bytes at out. */
static inline size_t fake_dialer_record(struct fake_dialer *self, const void *bytes, size_t len,
                                        uint8_t *out)
{
    struct p2p__const_iov in = {bytes, len};
    int64_t n = p2p__layer_noise.seal(self->state, &self->env, &in, 1, out);
    assert(n > 0);
    return (size_t)n;
}

#endif
