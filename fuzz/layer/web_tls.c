/* Byte 0: bit 0 the victim dials; bit 1 what is done with the bytes: 0 sent as they are, behind as
 * many honest flights as byte 1 says; 1 written over the honest remote's flight. Bytes 2 and 3:
 * where (big-endian), or the size of the pieces. Then the bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <p2p/error.h>

#include "../../tests/web_pem.h"
#include "layer/web_tls.h"

enum {
    DIALS = 1,
    OVER = 2,
    NOW_S = 1795000000,
    FLIGHT_MAX = 8192,
    IN_MAX = 1 << 20,
};

static const struct layer_ops *const ops = &p2p__layer_web_tls;

struct end {
    struct pool pool;
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct tls_state state;
    struct web_handshake handshake;
    struct buf in;
    struct outq out;
    int code;
};

/* Kept from one input to the next. */
static struct p2p__tls *tls;
static struct p2p__web *web;

static void prepare(void)
{
    struct web_fault fault;
    const char *error;
    const struct web_pem pair = {web_pem_cert, sizeof web_pem_cert - 1, web_pem_key,
                                 sizeof web_pem_key - 1};
    if (web)
        return;
    tls = p2p__tls_new();
    web = p2p__web_new();
    assert(tls && web);
    int code = p2p__web_serve(web, &pair, 1, &fault);
    assert(code == 0);
    code = p2p__web_trust(web, pair.chain, pair.chain_len, &error);
    assert(code == 0);
}

static void end_step(struct end *self)
{
    if (self->code != STEP_WANT_INPUT)
        return;
    self->code =
        ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out, &self->result);
    assert(self->code != STEP_WANT_ROOM && outq_len(&self->out) <= FLIGHT_MAX);
    assert(ERR_peek_error() == 0);
    assert(self->result.remote_peer_len == 0);
    if (self->code < 0) {
        assert(self->result.error);
        int again = ops->step(&self->state, &self->handshake, &self->env, &self->in, &self->out,
                              &self->result);
        assert(again == self->code);
    }
}

static void end_init(struct end *self, bool initiator)
{
    memset(self, 0, sizeof *self);
    p2p__pool_init(&self->pool, 0);
    self->env = (struct layer_env){.pool = &self->pool, .tls = tls, .web = web};
    self->config = (struct layer_config){
        .initiator = initiator, .wall_s = NOW_S, .server_name = "node.example"};
    buf_init(&self->in, IN_MAX);
    int code = ops->start(&self->state, &self->handshake, &self->config, &self->env);
    assert(code == 0);
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
    int code = p2p__buf_append(&self->in, &self->pool, bytes, len);
    assert(code == 0);
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

/* The flights in turn, the client's first; `over` is written over the honest end's, from `at`. */
static void exchange(struct end *victim, struct end *honest, int count, const uint8_t *over,
                     size_t over_len, size_t at)
{
    uint8_t bytes[FLIGHT_MAX];
    for (int i = 0; i < count; i++) {
        struct end *from = (i % 2 == 0) == victim->config.initiator ? victim : honest;
        struct end *to = from == victim ? honest : victim;
        size_t len = drain(from, bytes);
        if (from == honest && over && len > 0) {
            size_t begin = at % len, n = over_len < len - begin ? over_len : len - begin;
            memcpy(bytes + begin, over, n);
        }
        feed(to, bytes, len);
        end_step(to);
    }
}

/* Whoever has no keys finishes no handshake. */
static void fuzz_raw(struct end *victim, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0 && victim->code == STEP_WANT_INPUT) {
        size_t n = size < piece ? size : piece;
        feed(victim, data, n);
        end_step(victim);
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 60000)
        return 0;
    prepare();
    struct end *victim = malloc(sizeof *victim), *honest = malloc(sizeof *honest);
    bool dials = data[0] & DIALS;
    size_t where = (size_t)(data[2] << 8 | data[3]);
    end_init(victim, dials);
    end_init(honest, !dials);
    if (data[0] & OVER) {
        exchange(victim, honest, 3, data + 4, size - 4, where);
    } else {
        exchange(victim, honest, data[1] % 3, NULL, 0, 0);
        fuzz_raw(victim, data + 4, size - 4, where + 1);
    }
    end_fini(victim);
    end_fini(honest);
    free(victim);
    free(honest);
    return 0;
}
