/* Peers whose bytes never end: as fast as a host reads, more is there. A turn ends all the same, so
 * that others and the deadlines get their go. Rows of oracle U that only a link of our own shows.
 */
#include "tests/test.h"

#include "tests/fake_io.h"

#include <p2p/p2p.h>

#include "conn/multistream.h"
#include "host/host.h"
#include "layer/layer.h"
#include "muxer/yamux.h"

enum {
    /* What one turn may take of an endless link: its budget, and a read that began within it. */
    TURN_BYTES = SHARD_TURN_BYTES_MAX + SHARD_CONN_PASS_MAX + 2 * IO_FILL_MAX,
    RUNAWAY = 64 << 20,
};

/* The dialer's side, driven by what the host reads. */
struct endless {
    struct layer_config config;
    struct layer_result result;
    struct layer_env env;
    struct pool pool;
    p2p_key *key;
    void *state, *handshake;
    struct multistream select;
    struct buf in;
    struct outq out;
    size_t seen;  /* of what the host sent */
    size_t taken; /* by this turn */
    bool selected, secure;
    bool runaway;
    /* One piece of what never ends, at out; its length. */
    size_t (*more)(struct endless *, uint8_t *out);
};

static size_t record(struct endless *self, const void *bytes, size_t len, uint8_t *out)
{
    struct p2p__const_iov in = {bytes, len};
    int64_t n = p2p__layer_noise.seal(self->state, &self->env, &in, 1, out);
    assert_true(n > 0);
    return (size_t)n;
}

static size_t drain_out(struct endless *self, uint8_t *out)
{
    struct iov iov[8];
    size_t bytes, done = 0;
    for (size_t n; (n = p2p__outq_iov(&self->out, iov, 1, 4096, &bytes)) > 0;) {
        memcpy(out + done, iov[0].base, bytes);
        done += bytes;
        outq_consume(&self->out, &self->pool, bytes);
    }
    return done;
}

static size_t shake(struct endless *self, struct fake_link *link, uint8_t *out)
{
    static const char *const ids[] = {"/noise"};
    struct multistream_choice choice;
    if (!self->select.protocols)
        p2p__multistream_dial_init(&self->select, ids, 1);
    assert_int_equal(p2p__buf_append(&self->in, &self->pool, link->sent + self->seen,
                                     link->sent_len - self->seen),
                     0);
    self->seen = link->sent_len;
    if (!self->selected)
        self->selected = p2p__multistream_step(&self->select, &self->pool, &self->in, &self->out,
                                               &choice) == STEP_DONE;
    if (self->selected && !self->secure)
        self->secure = p2p__layer_noise.step(self->state, self->handshake, &self->env, &self->in,
                                             &self->out, &self->result) == STEP_DONE;
    return drain_out(self, out);
}

static size_t endless_source(struct fake_link *link, uint8_t *out, size_t room)
{
    struct endless *self = link->user;
    if (!self->secure)
        return room > 4096 ? shake(self, link, out) : 0;
    size_t n = 0;
    while (room - n > 4096 && self->taken < RUNAWAY)
        n += self->more(self, out + n);
    self->taken += n;
    self->runaway = self->runaway || self->taken >= RUNAWAY;
    return n;
}

static size_t empty_records(struct endless *self, uint8_t *out)
{
    return record(self, "", 0, out);
}

static size_t records_of_a_byte(struct endless *self, uint8_t *out)
{
    return record(self, "\0", 1, out);
}

/* A frame that no version of yamux has, and bytes without an end behind it. */
static size_t broken_frame(struct endless *self, uint8_t *out)
{
    static const uint8_t frames[1000] = {99};
    return record(self, frames, sizeof(frames), out);
}

static size_t broken_record(struct endless *self, uint8_t *out)
{
    (void)self;
    memset(out, 0x40, 2048);
    return 2048;
}

static size_t yamux_pings(struct endless *self, uint8_t *out)
{
    uint8_t frames[100 * YAMUX_HEADER];
    for (uint32_t i = 0; i < 100; i++)
        p2p__yamux_header(frames + i * YAMUX_HEADER, YAMUX_PING, YAMUX_SYN, 0, i);
    return record(self, frames, sizeof(frames), out);
}

static void closed(void *user, const p2p_error *why)
{
    (void)why;
    *(bool *)user = true;
}

static void run_endless(size_t (*more)(struct endless *, uint8_t *out), bool early_muxer)
{
    static const char *const muxers[] = {"/yamux/1.0.0"};
    struct fake_io *io = malloc(sizeof(*io));
    struct endless self = {.more = more};
    char why[100];
    bool over = false;
    fake_io_init(io, &p2p__crypto_cheap);
    p2p_config *config = p2p_config_new();
    p2p_config_set(config, "listen", "/ip4/10.0.0.1/tcp/4001", why, sizeof(why));
    p2p_host *host;
    assert_int_equal(p2p_host_new(config, &io->io, &host, NULL), 0);
    p2p_config_free(config);
    assert_int_equal(p2p_key_generate(P2P_KEY_ED25519, &self.key), 0);
    p2p__pool_init(&self.pool, 0);
    self.env = (struct layer_env){
        .crypto = io->io.crypto, .aead = io->io.crypto->aead_new(), .pool = &self.pool};
    self.config = (struct layer_config){
        .initiator = true, .key = self.key, .muxers = muxers, .muxer_count = early_muxer};
    memset(self.config.random, 7, sizeof(self.config.random));
    self.state = calloc(1, p2p__layer_noise.state_size);
    self.handshake = calloc(1, p2p__layer_noise.handshake_size);
    buf_init(&self.in, IO_FILL_MAX);
    assert_int_equal(p2p__layer_noise.start(self.state, self.handshake, &self.config, &self.env),
                     0);
    struct fake_link *link = fake_connect(io, endless_source, &self);
    for (int turn = 0; turn < 40; turn++) {
        self.taken = 0;
        io->marked = io->marked || turn > 30;
        fake_turns(io, 1);
        assert_false(self.runaway);
        assert_true(self.taken <= TURN_BYTES);
        if (io->links && !self.secure)
            fake_wake(link);
    }
    assert_true(self.secure);
    /* Its time comes, whatever it sends. */
    if (!early_muxer) {
        io->now_us += 11 * 1000 * 1000;
        self.taken = 0;
        io->marked = true;
        fake_turns(io, 1);
        assert_int_equal(io->links, 0);
    }
    p2p_host_close(host, closed, &over);
    for (int i = 0; i < 100 && !over; i++) {
        self.taken = 0;
        io->marked = true;
        io->now_us += 50 * 1000;
        fake_turns(io, 1);
        assert_false(self.runaway);
    }
    assert_true(over);
    assert_int_equal(io->links, 0);
    p2p__buf_fini(&self.in, &self.pool);
    p2p__outq_fini(&self.out, &self.pool);
    p2p__pool_fini(&self.pool);
    io->io.crypto->aead_free(self.env.aead);
    free(self.state);
    free(self.handshake);
    p2p_key_free(self.key);
    free(io);
}

static void test_U_empty_records_instead_of_a_muxer(void **state)
{
    (void)state;
    run_endless(empty_records, false);
}

static void test_U_empty_records(void **state)
{
    (void)state;
    run_endless(empty_records, true);
}

static void test_U_records_of_a_byte_that_break_yamux(void **state)
{
    (void)state;
    run_endless(records_of_a_byte, true);
}

static void test_U_bytes_behind_a_broken_frame(void **state)
{
    (void)state;
    run_endless(broken_frame, true);
}

static void test_U_bytes_behind_a_broken_record(void **state)
{
    (void)state;
    run_endless(broken_record, true);
}

static void test_U_pings(void **state)
{
    (void)state;
    run_endless(yamux_pings, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_U_empty_records_instead_of_a_muxer),
        cmocka_unit_test(test_U_empty_records),
        cmocka_unit_test(test_U_records_of_a_byte_that_break_yamux),
        cmocka_unit_test(test_U_bytes_behind_a_broken_frame),
        cmocka_unit_test(test_U_bytes_behind_a_broken_record),
        cmocka_unit_test(test_U_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
