/* Connections per second (dial, handshake, 32 bytes echoed, close) on loopback, one process a side,
 * against the pure cost of their cryptography: the same number of Noise handshakes in memory, both
 * ends, shared out between two processes.
 *
 *   bench-connections [COUNT=2000] */
#include "bench.h"

#include <sodium.h>

#include <p2p/echo.h>

#include "crypto/crypto.h"
#include "layer/layer.h"

enum {
    ECHO_LEN = 32,
    AT_ONCE = 32,
    MESSAGE_MAX = 1024, /* a handshake's are shorter */
};

/* ---- the handshake alone ---- */

struct end {
    struct layer_config config;
    struct layer_result result;
    void *state, *handshake;
    struct buf in;
    struct outq out;
};

static struct pool pool;
static struct layer_env env;

static void end_init(struct end *self, bool initiator, const p2p_key *key)
{
    static const char *const muxers[] = {"/yamux/1.0.0"};
    *self = (struct end){.config = {.initiator = initiator,
                                    .key = (const struct p2p_key *)key,
                                    .muxers = muxers,
                                    .muxer_count = 1}};
    self->state = calloc(1, p2p__layer_noise.state_size);
    self->handshake = calloc(1, p2p__layer_noise.handshake_size);
    randombytes_buf(self->config.random, sizeof(self->config.random));
    buf_init(&self->in, MESSAGE_MAX);
    p2p__layer_noise.start(self->state, self->handshake, &self->config, &env);
}

static void end_fini(struct end *self)
{
    p2p__layer_noise.handshake_fini(self->handshake);
    p2p__layer_noise.fini(self->state);
    p2p__buf_fini(&self->in, &pool);
    p2p__outq_fini(&self->out, &pool);
    free(self->state);
    free(self->handshake);
}

/* One step, and what it said to the other end. */
static int say(struct end *self, struct end *other)
{
    struct iov iov[4];
    size_t total;
    int rc = p2p__layer_noise.step(self->state, self->handshake, &env, &self->in, &self->out,
                                   &self->result);
    size_t n = p2p__outq_iov(&self->out, iov, 4, SIZE_MAX, &total);
    for (size_t i = 0; i < n; i++)
        p2p__buf_append(&other->in, &pool, iov[i].base, iov[i].len);
    outq_consume(&self->out, &pool, total);
    return rc;
}

static void shake_hands(const p2p_key *key)
{
    struct end dialer, listener;
    end_init(&dialer, true, key);
    end_init(&listener, false, key);
    if (say(&dialer, &listener) != STEP_WANT_INPUT || say(&listener, &dialer) != STEP_WANT_INPUT ||
        say(&dialer, &listener) != STEP_DONE || say(&listener, &dialer) != STEP_DONE)
        abort();
    end_fini(&dialer);
    end_fini(&listener);
}

/* Seconds for count handshakes, half of them here and half in another process; and, of those here,
 * the processor's seconds for one. */
static double handshakes(uint64_t count, double *cpu_s)
{
    p2p_key *key;
    if (p2p_key_generate(P2P_KEY_ED25519, &key) < 0)
        die("a key");
    p2p__pool_init(&pool, 0);
    env = (struct layer_env){
        .crypto = &p2p__crypto_real, .aead = p2p__crypto_real.aead_new(), .pool = &pool};
    fflush(stdout);
    double start = now_s();
    pid_t child = fork();
    double before = cpu_now_s();
    for (uint64_t i = 0; i < (count + 1) / 2; i++)
        shake_hands(key);
    if (child == 0)
        _exit(0);
    *cpu_s = (cpu_now_s() - before) / (double)((count + 1) / 2);
    waitpid(child, NULL, 0);
    return now_s() - start;
}

/* Seconds of one processor for the primitives of one connection, both ends: two keys, three
 * Diffie-Hellmans, one signature and its check each. */
static double primitives(uint64_t count)
{
    uint8_t secret[32], pub[32], shared[32], message[56] = {1};
    uint8_t sign_pub[32], sign_secret[64], sig[64];
    randombytes_buf(secret, sizeof(secret));
    crypto_sign_keypair(sign_pub, sign_secret);
    double start = cpu_now_s();
    for (uint64_t i = 0; i < 2 * count; i++) {
        for (int k = 0; k < 2; k++)
            crypto_scalarmult_base(pub, secret);
        for (int k = 0; k < 3; k++)
            if (crypto_scalarmult(shared, secret, pub) != 0)
                abort();
        crypto_sign_detached(sig, NULL, message, sizeof(message), sign_secret);
        if (crypto_sign_verify_detached(sig, message, sizeof(message), sign_pub) != 0)
            abort();
    }
    return (cpu_now_s() - start) / (double)count;
}

/* ---- whole connections ---- */

/* A peer that dials again and again, one connection at a time. */
struct dialer {
    struct bench_host base;
    struct run *run;
};

struct run {
    const char *addr;
    uint64_t to_dial, done;
    struct dialer dialers[AT_ONCE];
};

static void dial_next(struct dialer *self);

static void on_read(p2p_stream *stream, void *user)
{
    size_t len;
    (void)user;
    p2p_stream_peek(stream, &len);
    if (len == ECHO_LEN) {
        p2p_stream_consume(stream, len);
        p2p_stream_close(stream);
        p2p_conn_close(p2p_stream_conn(stream));
    }
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct dialer *self = user;
    (void)stream;
    if (why && why->code != P2P_ECLOSED) {
        fprintf(stderr, "bench-connections: %s\n", why->message);
        exit(1);
    }
    self->run->done++;
    dial_next(self);
}

static const p2p_stream_events events = {sizeof(events), NULL, on_read, NULL, NULL, on_close};

static void dial_next(struct dialer *self)
{
    static const char *const protocol = P2P_ECHO_PROTOCOL;
    static const uint8_t bytes[ECHO_LEN] = {1};
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    if (self->run->to_dial == 0)
        return;
    self->run->to_dial--;
    opts.flags = P2P_DIAL_NEW_CONN | P2P_DIAL_NO_REUSE_PORT;
    p2p_stream *stream =
        p2p_host_open(self->base.host, self->run->addr, &protocol, 1, &opts, &events, self);
    p2p_stream_write(stream, bytes, sizeof(bytes));
}

static double dials(struct run *self, uint64_t count, unsigned at_once)
{
    self->done = 0;
    self->to_dial = count;
    double start = now_s();
    for (unsigned i = 0; i < at_once; i++)
        dial_next(&self->dialers[i]);
    host_until(&self->dialers[0].base, &self->done, count);
    return now_s() - start;
}

/* A listener and dialers that no limit stands in the way of. */
static void start(struct run *self, struct remote *remote)
{
    static const char *const server[] = {
        "listen",
        "/ip4/127.0.0.1/tcp/0",
        "services",
        "echo",
        "streams_per_protocol",
        "10000",
        "conns_in",
        "10000",
        "conns_per_peer",
        "10000",
        "half_open",
        "10000",
        "streams_in",
        "10000",
        NULL,
    };
    static const char *const client[] = {
        "services", "", "conns_out", "10000", "conns_per_peer", "10000", NULL,
    };
    *self = (struct run){0};
    remote_start(remote, server, NULL);
    self->addr = remote->addr;
    for (int i = 0; i < AT_ONCE; i++) {
        uv_loop_t *loop = i > 0 ? self->dialers[0].base.loop : NULL;
        self->dialers[i].run = self;
        host_start(&self->dialers[i].base, loop, client);
    }
    dials(self, AT_ONCE, AT_ONCE);
}

int main(int argc, char **argv)
{
    uint64_t count = argument(argc, argv, 1, 2000);
    struct run self;
    struct remote remote;
    print("connections.primitives", primitives(count / 4 + 1) * 1e6, "us");
    double handshake_s;
    double limit = (double)count / handshakes(count, &handshake_s);
    print("connections.handshake", handshake_s * 1e6, "us");
    print("connections.limit", limit, "/s");
    start(&self, &remote);
    print("connections.sequential", (double)count / dials(&self, count, 1), "/s");
    double near = usage_of(&self.dialers[0].base).cpu_s, far = remote_usage(&remote).cpu_s;
    double rate = (double)count / dials(&self, count, AT_ONCE);
    double spent = usage_of(&self.dialers[0].base).cpu_s - near + remote_usage(&remote).cpu_s - far;
    print("connections.32_at_once", rate, "/s");
    print("connections.ratio", rate / limit, "");
    print("connections.cpu", spent / (double)count * 1e6, "us");
    print("connections.cpu_ratio", handshake_s * (double)count / spent, "");
    remote_stop(&remote);
    return 0;
}
