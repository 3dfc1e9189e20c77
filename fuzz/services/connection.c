/* A whole host with all its services, and a remote whose bytes are the fuzzer's: from the first
 * byte on, or as what a peer says that has proven its identity. Afterwards nothing of it is left.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/echo.h>
#include <p2p/identify.h>
#include <p2p/p2p.h>
#include <p2p/perf.h>
#include <p2p/ping.h>

#include "../../tests/fake_dialer.h"
#include "host/host.h"
#include "muxer/yamux.h"
#include "tests/known.h"

enum mode {
    RAW,    /* the wire's bytes */
    PLAIN,  /* plaintext behind a handshake that agreed on yamux */
    SELECT, /* plaintext that has to agree on the muxer first */
    SCRIPT, /* streams opened, written and ended, mostly by the rules */
    MODES,
};

enum {
    SCRIPT_STREAMS = 64,
    RECORD_MAX = 4096,
};

struct remote {
    struct fake_io *io;
    struct fake_dialer dialer;
    const uint8_t *at; /* the fuzzer's bytes */
    size_t left;
    enum mode mode;
    size_t piece; /* bytes that one read brings, at most; also of a record */
    uint32_t streams;
    uint8_t wire[2 * RECORD_MAX];
    size_t wire_len, wire_at; /* sealed, not yet read */
};

static unsigned next(struct remote *self)
{
    if (self->left == 0)
        return 0;
    self->left--;
    return *self->at++;
}

/* ---- a script's next frames ---- */

static const char *const protocols[] = {
    P2P_IDENTIFY_PROTOCOL,
    P2P_IDENTIFY_PUSH_PROTOCOL,
    P2P_PING_PROTOCOL,
    P2P_PERF_PROTOCOL,
    P2P_ECHO_PROTOCOL,
    "/none",
    "ls",
    "/ipfs/id/1.0.0x",
};

static size_t put_header(uint8_t *out, enum yamux_type type, uint32_t flags, uint32_t id,
                         size_t len)
{
    p2p__yamux_header(out, type, flags, id, (uint32_t)len);
    return YAMUX_HEADER;
}

static size_t put_line(uint8_t *out, const char *text)
{
    size_t len = strlen(text);
    out[0] = (uint8_t)(len + 1);
    memcpy(out + 1, text, len);
    out[len + 1] = '\n';
    return len + 2;
}

static size_t put_open(struct remote *self, uint8_t *out, unsigned what)
{
    size_t n = put_line(out + YAMUX_HEADER, "/multistream/1.0.0");
    n += put_line(out + YAMUX_HEADER + n, protocols[what % 8]);
    uint32_t flags = YAMUX_SYN | (what & 8 ? YAMUX_FIN : 0);
    put_header(out, YAMUX_DATA, flags, 1 + 2 * self->streams++, n);
    return YAMUX_HEADER + n;
}

/* Ours, or those that the host opened to us. */
static uint32_t pick(const struct remote *self, unsigned what)
{
    return what & 16 ? 2 + 2 * (what & 3) : 1 + 2 * (self->streams ? what % self->streams : 0);
}

static size_t put_data(struct remote *self, uint8_t *out, unsigned what, uint32_t flags)
{
    size_t len = next(self) * (what & 8 ? 8 : 1);
    size_t here = len < self->left ? len : self->left;
    put_header(out, YAMUX_DATA, flags, pick(self, what), len);
    memset(out + YAMUX_HEADER, (int)what, len);
    if (here)
        memcpy(out + YAMUX_HEADER, self->at, here);
    self->at += here;
    self->left -= here;
    return YAMUX_HEADER + len;
}

static size_t script(struct remote *self, uint8_t *out)
{
    unsigned op = next(self), what = op >> 3;
    switch (op & 7) {
    case 0:
        return self->streams < SCRIPT_STREAMS ? put_open(self, out, what) : 0;
    case 1:
        return put_data(self, out, what, 0);
    case 2:
        return put_data(self, out, what, YAMUX_FIN);
    case 3:
        return put_header(out, YAMUX_WINDOW, what & 8 ? YAMUX_ACK : 0, pick(self, what),
                          next(self) << 10);
    case 4:
        return put_header(out, YAMUX_WINDOW, YAMUX_RST, pick(self, what), what);
    case 5:
        return put_header(out, YAMUX_PING, what & 1 ? YAMUX_ACK : YAMUX_SYN, 0, what);
    case 6:
        return put_header(out, (enum yamux_type)next(self), next(self), pick(self, what),
                          next(self));
    default: { /* an answer to what the host asked */
        size_t n = put_line(out + YAMUX_HEADER, "/multistream/1.0.0");
        n += put_line(out + YAMUX_HEADER + n, protocols[what % 2]);
        put_header(out, YAMUX_DATA, YAMUX_ACK, 2 + 2 * (what & 3), n);
        return YAMUX_HEADER + n;
    }
    }
}

/* ---- what the host reads ---- */

static size_t copy(struct remote *self, uint8_t *out, size_t room)
{
    size_t n = self->left < room ? self->left : room;
    memcpy(out, self->at, n);
    self->at += n;
    self->left -= n;
    return n;
}

static void refill(struct remote *self, const struct fake_link *link)
{
    uint8_t plain[RECORD_MAX];
    size_t n = 0;
    self->wire_at = self->wire_len = 0;
    if (!self->dialer.secure) {
        self->wire_len = fake_dialer_shake(&self->dialer, link, self->wire);
        if (self->wire_len || !self->dialer.secure)
            return;
    }
    if (self->mode == SCRIPT)
        while (n == 0 && self->left)
            n = script(self, plain);
    else
        n = copy(self, plain, self->piece < RECORD_MAX ? self->piece : RECORD_MAX);
    if (n)
        self->wire_len = fake_dialer_record(&self->dialer, plain, n, self->wire);
}

static size_t source(struct fake_link *link, uint8_t *out, size_t room)
{
    struct remote *self = link->user;
    size_t max = self->piece < room ? self->piece : room;
    if (self->mode == RAW) {
        link->dry = self->left == 0;
        return copy(self, out, max);
    }
    if (self->wire_at == self->wire_len)
        refill(self, link);
    size_t n = self->wire_len - self->wire_at;
    n = n < max ? n : max;
    memcpy(out, self->wire + self->wire_at, n);
    self->wire_at += n;
    link->dry = n == 0 && self->dialer.secure && self->left == 0;
    return n;
}

/* ---- the host ---- */

static p2p_host *host_new(struct fake_io *io)
{
    static const char *const options[][2] = {
        {"listen", "/ip4/10.0.0.1/tcp/4001"},
        {"services", "identify,ping,perf,echo"},
    };
    const uint8_t seed[P2P__ED25519_SEED_LEN] = {1};
    p2p_config *config = p2p_config_new();
    p2p_key *key;
    p2p_host *host;
    for (size_t i = 0; i < 2; i++) {
        int rc = p2p_config_set(config, options[i][0], options[i][1], NULL, 0);
        assert(rc == 0);
    }
    int rc = p2p__key_from_seed(seed, &key);
    assert(rc == 0);
    rc = p2p_config_set_key(config, key);
    assert(rc == 0);
    rc = p2p_host_new(config, &io->io, &host, NULL);
    assert(rc == 0);
    p2p_key_free(key);
    p2p_config_free(config);
    return host;
}

static void closed(void *user, const p2p_error *why)
{
    assert(!why);
    *(bool *)user = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct fake_io *io = malloc(sizeof(*io));
    fake_io_init(io, &p2p__crypto_cheap);
    p2p_host *host = host_new(io);
    struct remote *self = calloc(1, sizeof(*self));
    self->io = io;
    self->mode = (enum mode)(data[0] % MODES);
    self->piece = data[1] ? data[1] * 17u : 65536;
    self->at = data + 2;
    self->left = size - 2;
    fake_dialer_init(&self->dialer, io, self->mode != SELECT);
    struct fake_link *link = fake_connect(io, source, self);
    link->deaf = self->mode == RAW && (data[0] & 64);
    int links = 1;
    for (int i = 0; i < 64 && links; i++) {
        fake_turns(io, 4);
        if (i < 8 && io->links)
            fake_wake(link); /* the handshake waits for what the host says */
        if (data[0] & 128)
            fake_pass(io, 300000);
        links = io->links;
    }
    fake_pass(io, 120 * 1000000ull);
    assert(io->links == 0); /* whatever it was, it is over by now */
    assert(host->shard.pool.used_bytes == 0);
    assert(host->limits.conns_in == 0 && host->limits.half_open == 0 &&
           host->limits.proven_in == 0);
    forget_known(host);
    assert(list_empty(&host->peers));
    bool over = false;
    p2p_host_close(host, closed, &over);
    fake_turns(io, 100);
    fake_pass(io, 5 * 1000000ull);
    assert(over);
    fake_dialer_fini(&self->dialer);
    free(self);
    free(io);
    return 0;
}
