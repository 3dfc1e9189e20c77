/* Peers whose bytes never end: as fast as a host reads, more is there. A turn ends all the same, so
 * that others and the deadlines get their go. Rows of oracle U that only a link of our own shows.
 */
#include "tests/test.h"

#include "tests/fake_dialer.h"

#include <p2p/p2p.h>

#include "host/host.h"
#include "muxer/yamux.h"

enum {
    /* What one turn may take of an endless link: its budget, and a read that began within it. */
    TURN_BYTES = SHARD_TURN_BYTES_MAX + SHARD_CONN_PASS_MAX + 2 * IO_FILL_MAX,
    RUNAWAY = 64 << 20,
};

struct endless {
    struct fake_dialer dialer;
    size_t taken; /* by this turn */
    bool runaway;
    /* One piece of what never ends, at out; its length. */
    size_t (*more)(struct endless *, uint8_t *out);
};

static size_t endless_source(struct fake_link *link, uint8_t *out, size_t room)
{
    struct endless *self = link->user;
    if (!self->dialer.secure)
        return room > FAKE_SHAKE_MAX ? fake_dialer_shake(&self->dialer, link, out) : 0;
    size_t n = 0;
    while (room - n > 4096 && self->taken < RUNAWAY)
        n += self->more(self, out + n);
    self->taken += n;
    self->runaway = self->runaway || self->taken >= RUNAWAY;
    return n;
}

static size_t record(struct endless *self, const void *bytes, size_t len, uint8_t *out)
{
    return fake_dialer_record(&self->dialer, bytes, len, out);
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
    fake_dialer_init(&self.dialer, io, early_muxer);
    struct fake_link *link = fake_connect(io, endless_source, &self);
    for (int turn = 0; turn < 16; turn++) {
        self.taken = 0;
        io->marked = io->marked || turn > 10;
        fake_turns(io, 1);
        assert_false(self.runaway);
        assert_true(self.taken <= TURN_BYTES);
        if (io->links && !self.dialer.secure)
            fake_wake(link);
    }
    assert_true(self.dialer.secure);
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
    fake_dialer_fini(&self.dialer);
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
