/* Two ends of a TLS channel in memory, and a peer made of OpenSSL alone that does as it is told;
 * for the tests. */
#ifndef P2P_LAYER_TLS_FIXTURE_H
#define P2P_LAYER_TLS_FIXTURE_H

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "layer/tls.h"
#include "layer/tls_forge.h"

enum {
    IN_MAX = 256 * 1024,
    BYTES_MAX = 64 * 1024,
};

static const struct layer_ops *const ops = &p2p__layer_tls;
static const char *const yamux_mplex[] = {"/yamux/1.0.0", "/mplex/6.7.0"};
static const char *const mplex_yamux[] = {"/mplex/6.7.0", "/yamux/1.0.0"};

/* One end of a channel, driven through its table only. */
struct end {
    struct layer_env env;
    struct layer_config config;
    struct layer_result result;
    struct tls_state *state;
    struct tls_handshake *handshake;
    p2p_key *key;
    struct buf in;
    struct outq out;
};

struct fixture {
    struct pool pool;
    struct end dialer, listener;
};

static inline void end_start(struct end *end)
{
    memset(end->state, 0, ops->state_size);
    memset(end->handshake, 0, ops->handshake_size);
    end->result = (struct layer_result){0};
    end->config.key = end->key;
    assert_int_equal(ops->start(end->state, end->handshake, &end->config, &end->env), 0);
}

static inline void end_clear(struct end *end)
{
    p2p__buf_fini(&end->in, end->env.pool);
    p2p__outq_fini(&end->out, end->env.pool);
    buf_init(&end->in, IN_MAX);
    ops->handshake_fini(end->handshake);
    ops->fini(end->state);
}

static inline void end_reset(struct end *end)
{
    end_clear(end);
    end_start(end);
}

static inline void end_init(struct fixture *f, struct end *end, bool initiator)
{
    end->env = (struct layer_env){.pool = &f->pool, .tls = p2p__tls_new()};
    end->state = calloc(1, ops->state_size);
    end->handshake = calloc(1, ops->handshake_size);
    end->key = key_of(initiator ? 1 : 2);
    end->config = (struct layer_config){
        .initiator = initiator, .muxers = yamux_mplex, .muxer_count = 2, .wall_s = NOW_S};
    buf_init(&end->in, IN_MAX);
    end_start(end);
}

static inline void end_fini(struct end *end)
{
    end_clear(end);
    p2p__tls_free(end->env.tls);
    free(end->state);
    free(end->handshake);
    p2p_key_free(end->key);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    end_init(f, &f->dialer, true);
    end_init(f, &f->listener, false);
    *state = f;
    return 0;
}

/* Nothing is left in OpenSSL's queue of errors, which is the application's. */
static inline int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ERR_peek_error(), 0);
    end_fini(&f->dialer);
    end_fini(&f->listener);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    free(f);
    return 0;
}

static inline int step(struct end *end)
{
    return ops->step(end->state, end->handshake, &end->env, &end->in, &end->out, &end->result);
}

static inline void feed(struct end *end, const void *bytes, size_t len)
{
    assert_int_equal(p2p__buf_append(&end->in, end->env.pool, bytes, len), 0);
}

static inline size_t drain(struct end *end, uint8_t *out, size_t cap)
{
    size_t done = 0, total;
    struct iov iov[8];
    for (;;) {
        size_t count = p2p__outq_iov(&end->out, iov, 8, cap - done, &total);
        if (total == 0)
            return done;
        for (size_t i = 0; i < count; i++) {
            memcpy(out + done, iov[i].base, iov[i].len);
            done += iov[i].len;
        }
        outq_consume(&end->out, end->env.pool, total);
    }
}

static inline size_t move(struct end *from, struct end *to)
{
    static uint8_t bytes[BYTES_MAX];
    size_t len = drain(from, bytes, sizeof bytes);
    feed(to, bytes, len);
    return len;
}

static inline void shake_hands(struct fixture *f)
{
    assert_int_equal(step(&f->dialer), STEP_WANT_INPUT);
    move(&f->dialer, &f->listener);
    assert_int_equal(step(&f->listener), STEP_WANT_INPUT);
    move(&f->listener, &f->dialer);
    assert_int_equal(step(&f->dialer), STEP_DONE);
    move(&f->dialer, &f->listener);
    assert_int_equal(step(&f->listener), STEP_DONE);
}

static inline void expect_peer(const struct end *end, const p2p_key *key)
{
    const p2p_peer_id *id = p2p_key_peer_id(key);
    assert_int_equal(end->result.remote_peer_len, id->len);
    assert_memory_equal(end->result.remote_peer, id->bytes, id->len);
}

static inline size_t seal(struct end *end, const void *bytes, size_t len, uint8_t *out)
{
    const struct p2p__const_iov in[] = {{bytes, len / 2},
                                        {(const uint8_t *)bytes + len / 2, len - len / 2}};
    int64_t sealed = ops->seal(end->state, &end->env, in, 2, out);
    assert_true(sealed > (int64_t)len && sealed <= (int64_t)(len + ops->overhead));
    return (size_t)sealed;
}

static inline int open_code(struct end *end)
{
    struct span span;
    return ops->open(end->state, &end->env, &end->in, &span);
}

/* The next bytes, behind whatever brings none. */
static inline void expect_open(struct end *end, const void *bytes, size_t len)
{
    struct span span;
    do
        assert_int_equal(ops->open(end->state, &end->env, &end->in, &span), STEP_DONE);
    while (span.len == 0 && len > 0);
    assert_int_equal(span.len, len);
    if (len)
        assert_memory_equal(span.base, bytes, len);
}

static inline void send_all(struct end *from, struct end *to, const void *bytes, size_t len)
{
    static uint8_t record[BYTES_MAX];
    feed(to, record, seal(from, bytes, len, record));
}

/* ---- the rogue ---- */

struct rogue {
    SSL_CTX *ctx;
    SSL *ssl;
    struct forged forged;
    p2p_key *key;
};

static inline int rogue_trusts(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

static inline int rogue_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                             const unsigned char *in, unsigned in_len, void *name)
{
    (void)ssl;
    (void)in;
    (void)in_len;
    *out = name;
    *out_len = (unsigned char)strlen(name);
    return SSL_TLSEXT_ERR_OK;
}

/* recipe NULL: no certificate. alpn: as a client, the list in wire form; as a server, what it
 * answers; NULL: none. */
static inline void rogue_init(struct rogue *self, bool server, const struct recipe *recipe,
                              const char *alpn)
{
    *self = (struct rogue){.ctx = SSL_CTX_new(TLS_method()), .key = key_of(3)};
    SSL_CTX_set_security_level(self->ctx, 0);
    SSL_CTX_set_num_tickets(self->ctx, 0);
    SSL_CTX_set_cert_verify_callback(self->ctx, rogue_trusts, NULL);
    SSL_CTX_set_verify(self->ctx, SSL_VERIFY_PEER, NULL);
    if (recipe) {
        forge(recipe, self->key, &self->forged);
        assert_int_equal(
            SSL_CTX_use_certificate_ASN1(self->ctx, (int)self->forged.len, self->forged.der), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(self->ctx, self->forged.key), 1);
    }
    if (server && alpn)
        SSL_CTX_set_alpn_select_cb(self->ctx, rogue_alpn, (void *)(uintptr_t)alpn);
    if (!server && alpn)
        SSL_CTX_set_alpn_protos(self->ctx, (const unsigned char *)alpn, (unsigned)strlen(alpn));
}

/* After whatever else is to be set in ctx. */
static inline void rogue_start(struct rogue *self, bool server)
{
    self->ssl = SSL_new(self->ctx);
    SSL_set_bio(self->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(self->ssl);
    else
        SSL_set_connect_state(self->ssl);
}

static inline void rogue_fini(struct rogue *self)
{
    SSL_free(self->ssl);
    SSL_CTX_free(self->ctx);
    forged_free(&self->forged);
    p2p_key_free(self->key);
    ERR_clear_error();
}

/* Bytes moved between the two. */
static inline size_t rogue_exchange(struct rogue *self, struct end *end)
{
    static uint8_t bytes[BYTES_MAX];
    size_t sent = drain(end, bytes, sizeof bytes);
    if (sent)
        assert_int_equal(BIO_write(SSL_get_rbio(self->ssl), bytes, (int)sent), (int)sent);
    int got = BIO_read(SSL_get_wbio(self->ssl), bytes, sizeof bytes);
    if (got > 0)
        feed(end, bytes, (size_t)got);
    return sent + (got > 0 ? (size_t)got : 0);
}

/* To the end of the handshake: the code of our end. */
static inline int rogue_shake_hands(struct rogue *self, struct end *end)
{
    int code = STEP_WANT_INPUT, rounds = 0;
    do {
        if (code == STEP_WANT_INPUT)
            code = step(end);
        rogue_exchange(self, end);
        SSL_do_handshake(self->ssl);
        ERR_clear_error();
    } while (rogue_exchange(self, end) > 0 || ++rounds < 3);
    return code;
}

static inline void rogue_send(struct rogue *self, struct end *end, const void *bytes, int len)
{
    assert_int_equal(SSL_write(self->ssl, bytes, len), len);
    rogue_exchange(self, end);
}

static inline void rogue_expect(struct rogue *self, struct end *end, const void *bytes, int len)
{
    uint8_t got[BYTES_MAX];
    rogue_exchange(self, end);
    assert_int_equal(SSL_read(self->ssl, got, sizeof got), len);
    assert_memory_equal(got, bytes, (size_t)len);
}

static inline void end_send(struct end *end, const void *bytes, size_t len)
{
    static uint8_t record[BYTES_MAX];
    assert_int_equal(
        p2p__outq_append(&end->out, end->env.pool, record, seal(end, bytes, len, record)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
