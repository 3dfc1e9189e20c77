/* Byte 0: bit 0 the victim dials; bits 1 and 2 what is done with the bytes: 0 sent as they are,
 * behind as much of an honest handshake as byte 1 says (in flights); 1 written over the honest
 * remote's flight; 2 sealed, after the handshake, as records of which each begins with its type and
 * length; 3 sent after the handshake as they are. Bytes 2 and 3: where (big-endian), or the size of
 * the pieces. Then the bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <p2p/error.h>

#include "codec/key.h"
#include "layer/tls.h"

enum {
    DIALS = 1,
    MODE_RAW = 0,
    MODE_OVER = 1,
    MODE_SEALED = 2,
    MODE_AFTER = 3,
    NOW_S = 1795000000,
    FLIGHT_MAX = 8192,
    IN_MAX = 1 << 20,
};

static const struct layer_ops *const ops = &p2p__layer_tls;
static const char *const muxers[] = {"/yamux/1.0.0", "/mplex/6.7.0"};

struct end {
    struct pool pool;
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct tls_state state;
    struct tls_handshake handshake;
    struct buf in;
    struct outq out;
    int code;
};

/* Kept from one input to the next: keys, and the certificates, which take long to make. */
static struct p2p__tls *tls[2];
static p2p_key *keys[2];

static void end_step(struct end *self)
{
    if (self->code != STEP_WANT_INPUT)
        return;
    self->code =
        ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out, &self->result);
    assert(self->code != STEP_WANT_ROOM && outq_len(&self->out) <= FLIGHT_MAX);
    assert(ERR_peek_error() == 0);
    if (self->code < 0) {
        assert(self->result.error && !self->result.muxer);
        assert(ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out,
                         &self->result) == self->code);
    }
}

static void end_init(struct end *self, int who, bool initiator)
{
    memset(self, 0, sizeof *self);
    p2p__pool_init(&self->pool, 0);
    self->env = (struct layer_env){.pool = &self->pool, .tls = tls[who]};
    self->config = (struct layer_config){.initiator = initiator,
                                         .key = keys[who],
                                         .muxers = muxers,
                                         .muxer_count = 2,
                                         .wall_s = NOW_S};
    buf_init(&self->in, IN_MAX);
    assert(ops->start(&self->state, &self->handshake, &self->config, &self->env) == 0);
    self->code = STEP_WANT_INPUT;
    end_step(self);
    assert(self->code == STEP_WANT_INPUT);
}

static void end_fini(struct end *self)
{
    ops->handshake_fini(&self->handshake);
    ops->fini(&self->state);
    p2p__buf_fini(&self->in, &self->pool);
    p2p__outq_fini(&self->out, &self->pool);
    assert(self->pool.used_bytes == 0);
    p2p__pool_fini(&self->pool);
}

static void feed(struct end *self, const uint8_t *bytes, size_t len)
{
    assert(p2p__buf_append(&self->in, &self->pool, bytes, len) == 0);
}

static size_t drain(struct end *self, uint8_t out[FLIGHT_MAX])
{
    struct iov iov[4];
    size_t total, len = 0;
    size_t count = p2p__outq_iov(&self->out, iov, 4, FLIGHT_MAX, &total);
    for (size_t i = 0; i < count; len += iov[i++].len)
        memcpy(out + len, iov[i].base, iov[i].len);
    outq_consume(&self->out, &self->pool, total);
    return len;
}

/* The flights in turn, the first `count` of them, the dialer's first. `over`, of over_len bytes, is
 * written at `at` over the last one that the honest end sends. True if it was changed. */
static bool exchange(struct end *victim, struct end *honest, int count, const uint8_t *over,
                     size_t over_len, size_t at)
{
    uint8_t bytes[FLIGHT_MAX];
    bool changed = false;
    for (int i = 0; i < count; i++) {
        struct end *from = (i % 2 == 0) == victim->config.initiator ? victim : honest;
        struct end *to = from == victim ? honest : victim;
        size_t len = drain(from, bytes);
        if (from == honest && over && i >= count - 2 && len > 0) {
            size_t begin = at % len, n = over_len < len - begin ? over_len : len - begin;
            /* The version of the first record is looked at by nobody. */
            changed = n > 0 && memcmp(bytes + begin, over, n) != 0;
            memcpy(bytes + begin, over, n);
        }
        feed(to, bytes, len);
        end_step(to);
    }
    return changed;
}

/* Whoever has no keys can neither finish a handshake nor be taken for anybody. */
static void fuzz_raw(struct end *victim, struct end *honest, uint8_t flights, const uint8_t *data,
                     size_t size, size_t piece)
{
    int count = flights % 3;
    /* Not the honest end's last flight. */
    exchange(victim, honest, count, NULL, 0, 0);
    if (victim->code != STEP_WANT_INPUT)
        return;
    while (size > 0 && victim->code == STEP_WANT_INPUT) {
        size_t n = size < piece ? size : piece;
        feed(victim, data, n);
        end_step(victim);
        data += n;
        size -= n;
        assert(victim->code != STEP_DONE);
    }
}

static void fuzz_over(struct end *victim, struct end *honest, const uint8_t *data, size_t size,
                      size_t at)
{
    exchange(victim, honest, 3, data, size, at);
    if (victim->code != STEP_DONE)
        return;
    const p2p_peer_id *id = p2p_key_peer_id(keys[1]);
    assert(victim->result.remote_peer_len == id->len);
    assert(memcmp(victim->result.remote_peer, id->bytes, id->len) == 0);
    assert(victim->result.muxer == muxers[0]);
}

static void open_all(struct end *victim, uint64_t *data_bytes)
{
    struct span span = {0};
    size_t before = buf_len(&victim->in);
    int code;
    while ((code = ops->open(&victim->state, &victim->env, &victim->in, &span)) == STEP_DONE) {
        assert(span.len <= TLS_PLAIN_MAX && buf_len(&victim->in) < before);
        before = buf_len(&victim->in);
        for (size_t i = 0; i < span.gap; i++)
            span.base[-1 - (ptrdiff_t)i] = 0xdd;
        *data_bytes += span.len;
    }
    assert(code < 0 || code == STEP_WANT_INPUT);
    assert(ERR_peek_error() == 0);
    victim->code = code;
    if (code < 0)
        assert(ops->open(&victim->state, &victim->env, &victim->in, &span) == code);
}

static void fuzz_sealed(struct end *victim, struct end *honest, const uint8_t *data, size_t size)
{
    uint8_t record[TLS_PLAIN_MAX + TLS_RECORD_OVERHEAD];
    uint64_t sent = 0, got = 0;
    exchange(victim, honest, 3, NULL, 0, 0);
    assert(victim->code == STEP_DONE && honest->code == STEP_DONE);
    while (size >= 3 && victim->code >= 0) {
        size_t len = (size_t)(data[1] << 8 | data[2]) % TLS_PLAIN_MAX;
        len = len < size - 3 ? len : size - 3;
        const struct p2p__const_iov iov = {data + 3, len};
        /* 0 would make what is before it the type. */
        enum tls_content type = data[0] ? data[0] : TLS_DATA;
        int64_t n = p2p__tls_record_seal(&honest->state.send, &honest->env.tls->ciphers, type, &iov,
                                         1, record);
        assert(n == (int64_t)(len + TLS_RECORD_OVERHEAD));
        feed(victim, record, (size_t)n);
        sent += type == TLS_DATA ? len : 0;
        uint8_t key[TLS_KEY_MAX];
        memcpy(key, victim->state.recv.key, sizeof key);
        open_all(victim, &got);
        /* The remote updates its keys as it said. */
        if (memcmp(key, victim->state.recv.key, sizeof key) != 0)
            honest->state.send = victim->state.recv;
        assert(got <= sent && (got == sent || victim->code < 0 || victim->state.ended));
        data += 3 + len;
        size -= 3 + len;
    }
}

static void fuzz_after(struct end *victim, struct end *honest, const uint8_t *data, size_t size,
                       size_t piece)
{
    uint64_t got = 0;
    exchange(victim, honest, 3, NULL, 0, 0);
    assert(victim->code == STEP_DONE);
    while (size > 0 && victim->code >= 0) {
        size_t n = size < piece ? size : piece;
        feed(victim, data, n);
        open_all(victim, &got);
        assert(got == 0);
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 60000)
        return 0;
    for (int i = 0; i < 2 && !tls[i]; i++) {
        uint8_t seed[P2P__ED25519_SEED_LEN] = {(uint8_t)(1 + i)};
        tls[i] = p2p__tls_new();
        assert(tls[i] && p2p__key_from_seed(seed, &keys[i]) == 0);
    }
    struct end *victim = malloc(sizeof *victim), *honest = malloc(sizeof *honest);
    bool dials = data[0] & DIALS;
    size_t where = (size_t)(data[2] << 8 | data[3]);
    end_init(victim, 0, dials);
    end_init(honest, 1, !dials);
    switch (data[0] >> 1 & 3) {
    case MODE_RAW:
        fuzz_raw(victim, honest, data[1], data + 4, size - 4, where + 1);
        break;
    case MODE_OVER:
        fuzz_over(victim, honest, data + 4, size - 4, where);
        break;
    case MODE_SEALED:
        fuzz_sealed(victim, honest, data + 4, size - 4);
        break;
    case MODE_AFTER:
        fuzz_after(victim, honest, data + 4, size - 4, where + 1);
        break;
    }
    end_fini(victim);
    end_fini(honest);
    free(victim);
    free(honest);
    return 0;
}
