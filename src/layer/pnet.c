/* Private networks (libp2p specs, pnet r0): under everything else, each direction is a random nonce
 * of 24 bytes and then XSalsa20 under the network's key, from the first byte on.
 *
 * Our nonce goes out at once, and what follows it does not wait for the remote's, which costs no
 * round trip, and does not block where the remote keeps its nonce until it has something to say. So
 * the handshake is over when it has begun; the remote's nonce belongs to what is opened. */
#include "layer/pnet.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

static int pnet_start(void *state, void *handshake, const struct layer_config *config,
                      const struct layer_env *env)
{
    (void)handshake;
    (void)env;
    struct pnet_state *self = state;
    assert(config->psk);
    _Static_assert(sizeof config->random >= PNET_NONCE_LEN, "a nonce");
    memcpy(self->nonce, config->random, PNET_NONCE_LEN);
    p2p__xsalsa20_init(&self->send, config->psk, self->nonce);
    memcpy(self->recv.key, config->psk, sizeof self->recv.key);
    return 0;
}

static int pnet_step(void *state, void *handshake, const struct layer_env *env, struct buf *in,
                     struct outq *out, struct layer_result *result)
{
    (void)in;
    (void)result;
    const struct pnet_state *self = state;
    struct pnet_handshake *once = handshake;
    if (once->sent)
        return STEP_DONE;
    int code = p2p__outq_append(out, env->pool, self->nonce, PNET_NONCE_LEN);
    once->sent = code == 0;
    return code < 0 ? code : STEP_DONE;
}

static void pnet_handshake_fini(void *handshake)
{
    (void)handshake; /* nothing in it is secret */
}

static int nonce_take(struct pnet_state *self, struct buf *in)
{
    if (buf_len(in) < PNET_NONCE_LEN)
        return STEP_WANT_INPUT;
    /* Our own bytes, sent back to us, would open to what we said. */
    if (memcmp(buf_data(in), self->nonce, PNET_NONCE_LEN) == 0)
        return P2P_EPROTO;
    p2p__xsalsa20_init(&self->recv, self->recv.key, buf_data(in));
    self->keyed = true;
    buf_consume(in, PNET_NONCE_LEN);
    return STEP_DONE;
}

/* All there is. Nothing new comes into `in` before what was lent of it is settled, so that whatever
 * stands before it is dead. */
static int pnet_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    (void)env;
    struct pnet_state *self = state;
    int code = self->keyed ? STEP_DONE : nonce_take(self, in);
    if (code != STEP_DONE)
        return code;
    if (buf_len(in) == 0) {
        plain->len = SIZE_MAX; /* whatever comes is handed on */
        return STEP_WANT_INPUT;
    }
    *plain = (struct span){.base = buf_data_mut(in), .len = buf_len(in), .gap = in->head};
    p2p__xsalsa20_xor(&self->recv, plain->base, plain->len, plain->base);
    buf_consume(in, plain->len);
    return STEP_DONE;
}

static int64_t pnet_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                         size_t in_count, uint8_t *out)
{
    (void)env;
    struct pnet_state *self = state;
    size_t len = 0;
    for (size_t i = 0; i < in_count; i++) {
        assert(in[i].len <= PNET_PIECE_MAX - len);
        p2p__xsalsa20_xor(&self->send, in[i].base, in[i].len, out + len);
        len += in[i].len;
    }
    return (int64_t)len;
}

static size_t pnet_wrap(void *state, uint8_t *plain, size_t len)
{
    struct pnet_state *self = state;
    assert(len <= PNET_PIECE_MAX);
    p2p__xsalsa20_xor(&self->send, plain, len, plain);
    return 0;
}

static void pnet_fini(void *state)
{
    p2p__wipe(state, sizeof(struct pnet_state));
}

const struct layer_ops p2p__layer_pnet = {
    .id = "/key/swarm/psk/1.0.0/",
    .state_size = sizeof(struct pnet_state),
    .handshake_size = sizeof(struct pnet_handshake),
    .record_max = PNET_PIECE_MAX,
    .plain_max = PNET_PIECE_MAX,
    .overhead = 0,
    .start = pnet_start,
    .step = pnet_step,
    .handshake_fini = pnet_handshake_fini,
    .open = pnet_open,
    .seal = pnet_seal,
    .wrap = pnet_wrap,
    .fini = pnet_fini,
};
