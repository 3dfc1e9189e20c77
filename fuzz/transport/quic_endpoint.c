/* Two QUIC endpoints of ours, a client's and a server's, on two simulated machines, and a third
 * that sends them what it likes. The bytes say, step by step, what happens:
 *
 *   0  time passes: one byte, milliseconds
 *   1  frames (length of two bytes, then bytes) take the place of what the next packet carries that
 *      has room, of the client or (bit 7 of the step) the server, sealed as they would have been
 *   2  a datagram (likewise), from the third machine to the server, or (bit 7) the client
 *   3  a call of the application's: one byte says which
 *
 * Two bits of a step say which; so every level of encryption is reached, in both roles. */
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef P2P_QUIC

#include <assert.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/sim.h>

#include "base/mem.h"
#include "transport/quic/quic.h"

enum {
    STEPS_MAX = 200,
    SESSIONS = 8,
    FRAMES_MAX = 1100,
    DATAGRAM_MAX = 1500,
    STREAMS_IN = 16,
    MEMORY_MAX = 64 << 20,
};

struct input {
    const uint8_t *at;
    size_t left;
};

struct machine {
    p2p_io *io;
    struct shard shard;
    struct transport *transport;
    struct transport_listener *listener;
    struct session *session[SESSIONS];
    uint8_t frames[FRAMES_MAX];
    size_t frames_len;
};

static p2p_key *keys[2]; /* and so certificates are the same in a run */
static struct machine *sealing;

static uint32_t take(struct input *in, size_t n)
{
    uint32_t value = 0;
    for (; n > 0 && in->left > 0; n--, in->left--)
        value = value << 8 | *in->at++;
    return value;
}

static size_t take_bytes(struct input *in, uint8_t *out, size_t cap)
{
    size_t len = take(in, 2);
    len = len < cap ? len : cap;
    len = len < in->left ? len : in->left;
    memcpy(out, in->at, len);
    in->at += len;
    in->left -= len;
    return len;
}

/* In the place of ngtcp2's, which quic_aead.c calls. */
int ngtcp2_crypto_encrypt_cb(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                             const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain,
                             size_t plain_len, const uint8_t *nonce, size_t nonce_len,
                             const uint8_t *aad, size_t aad_len)
{
    uint8_t other[2048];
    struct machine *self = sealing;
    if (self && self->frames_len && plain_len >= self->frames_len && plain_len <= sizeof(other)) {
        memset(other, 0, plain_len);
        memcpy(other, self->frames, self->frames_len);
        self->frames_len = 0;
        plain = other;
    }
    return ngtcp2_crypto_encrypt(dest, aead, ctx, plain, plain_len, nonce, nonce_len, aad,
                                 aad_len) == 0
               ? 0
               : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* ---- a machine ---- */

static void mark(struct session *session)
{
    struct machine *self = session->owner;
    self->io->ops->mark(self->io);
}

static void hold(struct machine *self, struct session *session)
{
    session->owner = self;
    session->wake = mark;
    for (int i = 0; i < SESSIONS; i++)
        if (!self->session[i]) {
            self->session[i] = session;
            mark(session);
            return;
        }
    p2p__session_drop(session, 0, self->shard.now_us);
}

static void serve_streams(struct muxer *muxer, uint64_t now_us)
{
    const struct muxer_ops *ops = muxer->ops;
    while (list_pop(&muxer->ready))
        continue;
    for (struct list *node = muxer->streams.next; node != &muxer->streams;) {
        struct muxer_stream *s = P2P__CONTAINER(node, struct muxer_stream, all);
        size_t len = buf_len(&s->in);
        node = node->next;
        if (len && !(s->flags & MUXER_DONE)) {
            buf_consume(&s->in, len);
            ops->consumed(s, len, now_us);
        }
        if (s->flags & MUXER_EOF)
            ops->close_write(s);
        if (s->flags & MUXER_DONE)
            ops->stream_free(s);
    }
    assert(muxer->streams_in <= STREAMS_IN);
}

static void run_session(struct machine *self, int i)
{
    struct session *session = self->session[i];
    struct muxer *muxer = &session->muxer;
    uint64_t now_us = self->shard.now_us;
    bool more = false;
    size_t len;
    if (session->state != SESSION_OVER && muxer->ops->deadline(muxer) <= now_us)
        (void)muxer->ops->timeout(muxer, now_us);
    if (session->state == SESSION_OPEN) {
        assert(session->peer_len > 0);
        serve_streams(muxer, now_us);
        while (muxer->ops->session->datagram_peek(session, &len))
            muxer->ops->session->datagram_pop(session);
    }
    if (session->state != SESSION_OVER)
        (void)muxer->ops->session->pump(session, 1 << 18, now_us, &more);
    if (more)
        mark(session);
    if (session->state == SESSION_OVER) {
        self->session[i] = NULL;
        p2p__session_drop(session, 0, now_us);
    }
}

static void turn(void *user)
{
    struct machine *self = user;
    struct passage passage;
    uint64_t next_us = UINT64_MAX;
    int sys_errno;
    sealing = self;
    p2p__shard_turn(&self->shard);
    while (self->listener && self->listener->acceptable &&
           self->transport->ops->accept(self->listener, &passage, &sys_errno) == 0)
        hold(self, passage.session);
    for (int i = 0; i < SESSIONS; i++) {
        if (self->session[i])
            run_session(self, i);
        if (self->session[i]) {
            const struct muxer *muxer = &self->session[i]->muxer;
            uint64_t at_us = muxer->ops->deadline(muxer);
            next_us = at_us < next_us ? at_us : next_us;
        }
    }
    sealing = NULL;
    uint64_t timer_us = heap_at(&self->shard.timers);
    next_us = timer_us < next_us ? timer_us : next_us;
    self->io->ops->wake_at(self->io, next_us);
    assert(self->shard.pool.used_bytes <= MEMORY_MAX);
}

static void wake_listener(struct transport_listener *listener)
{
    struct machine *self = listener->owner;
    self->io->ops->mark(self->io);
}

static void machine_init(struct machine *self, p2p_sim *sim, const char *ip, const p2p_key *key)
{
    *self = (struct machine){.io = p2p_sim_host(sim, ip, 0)};
    assert(self->io);
    self->shard.io = self->io;
    self->shard.key = key;
    self->shard.limits = (struct shard_limits){.streams_in_max = STREAMS_IN,
                                               .stream_resets = 20,
                                               .stream_send_max = 1 << 18,
                                               .stream_bytes_max = 1 << 20,
                                               .conn_bytes_max = 2 << 20,
                                               .stream_window = 1 << 18,
                                               .stream_window_max = 1 << 20,
                                               .conn_window_max = 2 << 20,
                                               .keepalive_ms = 30000,
                                               .keepalive_timeout_ms = 10000};
    int rc = p2p__shard_init(&self->shard, MEMORY_MAX);
    assert(rc == 0);
    (void)rc;
    self->transport = p2p__alloc(p2p__transport_quic.size);
    assert(self->transport);
    self->transport->ops = &p2p__transport_quic;
    self->transport->shard = &self->shard;
    p2p__transport_quic.init(self->transport);
    self->io->turn = turn;
    self->io->user = self;
}

static void machine_fini(struct machine *self)
{
    for (int i = 0; i < SESSIONS; i++)
        if (self->session[i])
            p2p__session_drop(self->session[i], 0, shard_now_us(&self->shard));
    if (self->listener)
        p2p__transport_quic.close(self->listener);
    p2p__shard_turn(&self->shard);
    p2p__transport_quic.fini(self->transport);
    self->io->ops->detach(self->io);
    assert(self->shard.pool.used_bytes == 0);
    p2p__free(self->transport);
    p2p__shard_fini(&self->shard);
    p2p_io_free(self->io);
}

/* ---- the steps ---- */

static void call(struct machine *self, uint32_t which)
{
    static const uint8_t bytes[4000];
    struct session *session = self->session[0];
    struct muxer *muxer = session ? &session->muxer : NULL;
    struct muxer_stream *s = NULL;
    int code;
    if (!session || session->state != SESSION_OPEN)
        return;
    if (!list_empty(&muxer->streams))
        s = P2P__CONTAINER(muxer->streams.next, struct muxer_stream, all);
    switch (which % 8) {
    case 0:
        s = muxer->ops->open(muxer, &code);
        if (s && p2p__outq_append(&s->out, &self->shard.pool, bytes, which) == 0)
            muxer->ops->written(s);
        break;
    case 1:
        if (s && !(s->flags & MUXER_FIN_WANTED) &&
            p2p__outq_append(&s->out, &self->shard.pool, bytes, sizeof(bytes)) == 0)
            muxer->ops->written(s);
        break;
    case 2:
        if (s)
            muxer->ops->close_write(s);
        break;
    case 3:
        if (s)
            muxer->ops->reset(s, which);
        break;
    case 4:
        if (s)
            muxer->ops->stop(s);
        break;
    case 5: /* room for frames */
    case 6:
        (void)muxer->ops->session->datagram_send(session, bytes, which % 16 < 8 ? 1000 : which);
        break;
    default:
        if (which > 200)
            muxer->ops->session->close(session, which, shard_now_us(&self->shard));
        break;
    }
    mark(session);
}

static void step(struct machine *both, struct io_udp *third, p2p_sim *sim, struct input *in)
{
    uint32_t op = take(in, 1);
    struct machine *self = &both[op >> 7];
    uint8_t bytes[DATAGRAM_MAX];
    struct io_train train = {.base = bytes, .local = {.family = 4}};
    switch (op & 3) {
    case 0:
        p2p_sim_run(sim, (uint64_t)take(in, 1) * 1000);
        break;
    case 1:
        self->frames_len = take_bytes(in, self->frames, FRAMES_MAX);
        break;
    case 2:
        train.len = (uint32_t)take_bytes(in, bytes, sizeof(bytes));
        train.segment = (uint16_t)train.len;
        train.remote =
            self == &both[0] || !both[0].session[0]
                ? P2P__CONTAINER(both[1].listener, struct quic_endpoint, listener)->udp->local
                : both[0].session[0]->local;
        (void)third->ops->send(third, &train, 1);
        break;
    default:
        call(self, take(in, 1));
        break;
    }
}

static void make_keys(void)
{
    for (int i = 0; i < 2 && !keys[i]; i++)
        if (p2p_key_generate(P2P_KEY_ED25519, &keys[i]) != 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct machine both[2];
    struct passage passage = {0};
    struct io_udp *third;
    const struct io_addr at = {.family = 4, .ip = {10, 0, 0, 3}};
    p2p_multiaddr addr;
    int sys_errno;
    make_keys();
    p2p_sim *sim = p2p_sim_new(NULL);
    machine_init(&both[0], sim, "10.0.0.1", keys[0]);
    machine_init(&both[1], sim, "10.0.0.2", keys[1]);
    p2p_io *io = p2p_sim_host(sim, "10.0.0.3", 0);
    if (io->ops->udp(io, &at, 0, &third, &sys_errno) != 0 ||
        p2p_multiaddr_parse("/ip4/10.0.0.2/udp/4001/quic-v1", &addr) != 0 ||
        p2p__transport_quic.listen(both[1].transport, &addr, &both[1].listener, &sys_errno) != 0)
        abort();
    both[1].listener->owner = &both[1];
    both[1].listener->wake = wake_listener;
    if (p2p__transport_quic.dial(both[0].transport, &addr, 0, &passage, &sys_errno) != 0)
        abort();
    hold(&both[0], passage.session);
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++)
        step(both, third, sim, &in);
    p2p_sim_run(sim, 2 * 1000 * 1000);
    third->ops->close(third);
    io->ops->detach(io);
    p2p_io_free(io);
    machine_fini(&both[0]);
    machine_fini(&both[1]);
    p2p_sim_free(sim);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data, (void)size;
    return 0;
}

#endif
