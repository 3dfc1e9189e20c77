/* A peer that keeps to no rules: it speaks over a link of io/io.h in either world, goes as far
 * through multistream-select and a secure channel as a test lets it, sends whatever bytes the test
 * makes up, and keeps what came back. Include after tests/world.h. */
#ifndef P2P_TESTS_RAW_PEER_H
#define P2P_TESTS_RAW_PEER_H

#include "codec/addr_facts.h"
#include "conn/multistream.h"
#include "io/io.h"
#include "layer/layer.h"
#include "layer/tls.h"
#include "muxer/yamux.h"
#include "transport/tcp.h"

enum raw_stage {
    RAW_BYTES, /* nothing is understood */
    RAW_SELECT,
    RAW_HANDSHAKE,
    RAW_MUXER,
    RAW_OPEN, /* `got` is plaintext */
};

/* A machine with raw peers on it. */
struct raw_net {
    struct world *world;
    p2p_io *io;
    struct pool pool;
    struct layer_env env;
    const struct layer_ops *layer; /* the secure channel: Noise, or TLS */
    p2p_key *key;                  /* the peers' identity unless they have their own */
    struct list peers, dirty;
    struct io_listener *listener;
    struct raw_peer *accepted; /* the last one */
    int accepts;
    uint32_t lying_muxers; /* count of muxers told in the handshake; 0: negotiate */
    const char *const *muxers;
};

struct raw_peer {
    struct list all, dirty;
    struct raw_net *net;
    const struct layer_ops *layer;
    struct link *link;
    const p2p_key *key;
    bool initiator;
    bool deaf;           /* reads nothing */
    bool gone;           /* the remote ended or broke the connection */
    enum raw_stage stop; /* goes no further than this, unless RAW_BYTES */
    enum raw_stage stage;
    int failed;
    struct multistream select;
    struct layer_config config;
    struct layer_result result;
    void *state, *handshake;
    struct buf plain;
    uint8_t *got;
    size_t got_len, got_cap, got_total;
    uint8_t *batch; /* frames on their way to raw_push */
    size_t batch_len, batch_cap;
};

static const char *const raw_muxers[] = {"/yamux/1.0.0"};
static const char *const raw_mplex[] = {"/mplex/6.7.0"};

static inline void raw_grow(uint8_t **bytes, size_t *len, size_t *cap, const void *in,
                            size_t in_len)
{
    if (*cap - *len < in_len) {
        *cap = (*len + in_len) * 2;
        *bytes = realloc(*bytes, *cap);
        assert_non_null(*bytes);
    }
    if (in_len)
        memcpy(*bytes + *len, in, in_len);
    *len += in_len;
}

static inline void raw_keep(struct raw_peer *self, const void *in, size_t in_len)
{
    raw_grow(&self->got, &self->got_len, &self->got_cap, in, in_len);
    self->got_total += in_len;
}

/* Drops what came so far. */
static inline void raw_forget(struct raw_peer *self)
{
    self->got_len = 0;
}

/* ---- the upgrade ---- */

static inline bool raw_anything(void *user, const char *name, size_t name_len)
{
    const char *layer = ((struct raw_peer *)user)->layer->id;
    return (name_len == strlen(layer) && memcmp(name, layer, name_len) == 0) ||
           (name_len == 12 && memcmp(name, "/yamux/1.0.0", 12) == 0);
}

static inline void raw_select(struct raw_peer *self, const char *const *ids)
{
    if (self->initiator)
        p2p__multistream_dial_init(&self->select, ids, 1);
    else
        p2p__multistream_listen_init(&self->select, raw_anything, self);
}

static inline void raw_start_layer(struct raw_peer *self)
{
    struct raw_net *net = self->net;
    self->state = calloc(1, self->layer->state_size);
    self->handshake = calloc(1, self->layer->handshake_size);
    self->config = (struct layer_config){
        .initiator = self->initiator,
        .key = self->key,
        .muxers = net->muxers,
        .muxer_count = net->lying_muxers,
        .wall_s = net->io->ops->wall_us(net->io) / 1000000,
    };
    net->io->ops->random(net->io, self->config.random, sizeof(self->config.random));
    assert_int_equal(self->layer->start(self->state, self->handshake, &self->config, &net->env), 0);
    self->stage = RAW_HANDSHAKE;
}

/* One record's plaintext into plain; as layer_ops.open. */
static inline int raw_open_record(struct raw_peer *self)
{
    struct span span;
    int rc = self->layer->open(self->state, &self->net->env, &self->link->in, &span);
    if (rc == STEP_DONE && span.len)
        assert_int_equal(p2p__buf_append(&self->plain, &self->net->pool, span.base, span.len), 0);
    return rc;
}

static inline void raw_plain(struct raw_peer *self, const void *bytes, size_t len);

static inline int raw_select_muxer(struct raw_peer *self)
{
    struct multistream_choice choice;
    struct outq out = {0};
    struct iov iov[8];
    size_t bytes;
    int rc = p2p__multistream_step(&self->select, &self->net->pool, &self->plain, &out, &choice);
    for (size_t n; (n = p2p__outq_iov(&out, iov, 1, 4096, &bytes)) > 0;) {
        raw_plain(self, iov[0].base, bytes);
        outq_consume(&out, &self->net->pool, bytes);
    }
    if (rc == STEP_DONE)
        self->stage = RAW_OPEN;
    return rc == STEP_WANT_INPUT ? raw_open_record(self) : rc;
}

/* STEP_DONE: go on; else as a step. */
static inline int raw_step(struct raw_peer *self)
{
    struct link *link = self->link;
    struct multistream_choice choice;
    int rc = STEP_WANT_INPUT;
    if (self->stop && self->stage >= self->stop)
        return STEP_WANT_INPUT;
    switch (self->stage) {
    case RAW_BYTES:
        raw_keep(self, buf_data(&link->in), buf_len(&link->in));
        buf_consume(&link->in, buf_len(&link->in));
        break;
    case RAW_SELECT:
        rc = p2p__multistream_step(&self->select, &self->net->pool, &link->in, &link->out, &choice);
        if (rc == STEP_DONE)
            raw_start_layer(self);
        break;
    case RAW_HANDSHAKE:
        rc = self->layer->step(self->state, self->handshake, &self->net->env, &link->in, &link->out,
                               &self->result);
        if (rc == STEP_DONE) {
            self->stage = self->result.muxer ? RAW_OPEN : RAW_MUXER;
            raw_select(self, self->net->muxers);
        }
        break;
    case RAW_MUXER:
        rc = raw_select_muxer(self);
        break;
    case RAW_OPEN:
        raw_keep(self, buf_data(&self->plain), buf_len(&self->plain));
        buf_consume(&self->plain, buf_len(&self->plain));
        rc = raw_open_record(self);
        break;
    }
    return rc;
}

static inline void raw_run(struct raw_peer *self)
{
    struct link *link = self->link;
    if (!link || !link->connected || link->err) {
        self->gone = self->gone || (link && link->err);
        return;
    }
    do {
        int rc;
        while ((rc = raw_step(self)) == STEP_DONE)
            continue;
        if (rc < 0) {
            self->failed = rc;
            self->stage = RAW_BYTES;
        }
        assert_int_equal(p2p__buf_settle(&link->in, &self->net->pool), 0);
        assert_int_equal(p2p__buf_settle(&self->plain, &self->net->pool), 0);
    } while (!self->deaf && link->readable && !link->eof && !link->err &&
             link->ops->fill(link) > 0);
    if (outq_len(&link->out) && link->writable && !link->err)
        link->ops->flush(link);
    self->gone = self->gone || link->eof || link->err;
}

/* ---- machines and peers ---- */

static inline void raw_mark(struct raw_peer *self)
{
    if (list_empty(&self->dirty))
        list_append(&self->net->dirty, &self->dirty);
    self->net->io->ops->mark(self->net->io);
}

static inline void raw_wake(struct link *link)
{
    raw_mark(link->owner);
}

static inline struct raw_peer *raw_peer_new(struct raw_net *net, struct link *link, bool initiator)
{
    struct raw_peer *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->net = net;
    self->layer = net->layer;
    self->link = link;
    self->key = net->key;
    self->initiator = initiator;
    list_init(&self->dirty);
    list_append(&net->peers, &self->all);
    buf_init(&link->in, 4 * net->layer->record_max);
    buf_init(&self->plain, 4 * net->layer->record_max);
    link->owner = self;
    link->wake = raw_wake;
    raw_mark(self);
    return self;
}

/* Off the wire; abort: with a reset. What was received stays readable. */
static inline void raw_close(struct raw_peer *self, bool abort)
{
    if (!self->link)
        return;
    list_remove(&self->dirty);
    p2p__buf_fini(&self->plain, &self->net->pool);
    p2p__buf_fini(&self->link->in, &self->net->pool);
    p2p__outq_fini(&self->link->out, &self->net->pool);
    self->link->ops->close(self->link, abort);
    self->link = NULL;
}

static inline void raw_free(struct raw_peer *self)
{
    raw_close(self, true);
    if (self->handshake)
        self->layer->handshake_fini(self->handshake);
    if (self->state)
        self->layer->fini(self->state);
    list_remove(&self->all);
    if (self->net->accepted == self)
        self->net->accepted = NULL;
    free(self->state);
    free(self->handshake);
    free(self->got);
    free(self->batch);
    free(self);
}

static inline void raw_accept(struct raw_net *self)
{
    struct link *link;
    int sys_errno;
    while (self->listener && self->listener->acceptable &&
           self->io->ops->accept(self->listener, &self->pool, &link, &sys_errno) == 0) {
        self->accepted = raw_peer_new(self, link, false);
        self->accepted->stage = RAW_SELECT;
        raw_select(self->accepted, &self->layer->id);
        self->accepts++;
    }
}

static inline void raw_turn(void *user)
{
    struct raw_net *self = user;
    raw_accept(self);
    struct list batch;
    list_move(&self->dirty, &batch);
    for (struct list *node; (node = list_pop(&batch));)
        raw_run(P2P__CONTAINER(node, struct raw_peer, dirty));
}

static inline void raw_listener_wake(struct io_listener *io)
{
    struct raw_net *self = io->owner;
    self->io->ops->mark(self->io);
}

/* ip: the machine's in a simulation, or NULL for the next one. */
static inline void raw_net_init(struct raw_net *self, struct world *world, const char *ip)
{
    *self = (struct raw_net){
        .world = world, .layer = &p2p__layer_noise, .lying_muxers = 1, .muxers = raw_muxers};
    int i = world->count++;
    self->io = world->kind == WORLD_UV ? p2p_io_uv(&world->loop) : p2p_sim_host(world->sim, ip, 0);
    assert_non_null(self->io);
    world->io[i] = self->io; /* freed with the world's */
    self->key = world_key(world->seed, 10000 + i);
    p2p__pool_init(&self->pool, 0);
    self->env = (struct layer_env){.crypto = self->io->crypto,
                                   .aead = self->io->crypto->aead_new(),
                                   .pool = &self->pool,
                                   .tls = p2p__tls_new()};
    assert_non_null(self->env.tls);
    list_init(&self->peers);
    list_init(&self->dirty);
    self->io->turn = raw_turn;
    self->io->user = self;
}

static inline void raw_net_close_peers(struct raw_net *self)
{
    while (!list_empty(&self->peers))
        raw_free(P2P__CONTAINER(self->peers.next, struct raw_peer, all));
    list_init(&self->dirty);
}

/* Before world_fini. */
static inline void raw_net_fini(struct raw_net *self)
{
    raw_net_close_peers(self);
    if (self->listener)
        self->io->ops->unlisten(self->listener);
    self->io->ops->detach(self->io);
    assert_int_equal(self->pool.used_bytes, 0);
    p2p__pool_fini(&self->pool);
    self->env.crypto->aead_free(self->env.aead);
    p2p__tls_free(self->env.tls);
    p2p_key_free(self->key);
}

static inline void raw_addr_of(struct raw_net *self, p2p_host *host, struct io_addr *out)
{
    p2p_multiaddr addr;
    p2p_peer_id peer;
    struct tcp_route route;
    const char *why;
    assert_int_equal(p2p_host_addr(host, 0, &addr), 0);
    assert_true(p2p__addr_take_peer(&addr, &peer));
    assert_int_equal(p2p__tcp_parse(&addr, self->io, &route, &why), 0);
    *out = route.at;
}

/* from: one of the machine's addresses, or NULL. The connection is under way. */
static inline struct raw_peer *raw_dial_from(struct raw_net *self, p2p_host *host,
                                             const struct io_addr *from)
{
    struct io_addr to;
    struct link *link;
    int sys_errno;
    raw_addr_of(self, host, &to);
    if (self->io->ops->dial(self->io, &to, from, 0, &self->pool, &link, &sys_errno) != 0)
        return NULL;
    return raw_peer_new(self, link, true);
}

static inline struct raw_peer *raw_dial(struct raw_net *self, p2p_host *host)
{
    struct raw_peer *peer = raw_dial_from(self, host, NULL);
    assert_non_null(peer);
    return peer;
}

/* Listens for hosts; the address in *out claims that `key` is here. */
static inline void raw_listen(struct raw_net *self, const p2p_key *key, char *out, size_t out_cap)
{
    struct io_addr at = {.family = 4, .ip = {127, 0, 0, 1}};
    char ip[64];
    unsigned b[4];
    int sys_errno;
    if (self->world->kind == WORLD_SIM) {
        assert_int_equal(p2p_sim_address(self->io, 0, ip, sizeof(ip)), 0);
        assert_int_equal(sscanf(ip, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]), 4);
        for (int i = 0; i < 4; i++)
            at.ip[i] = (uint8_t)b[i];
    }
    assert_int_equal(self->io->ops->listen(self->io, &at, &self->listener, &sys_errno), 0);
    self->listener->owner = self;
    self->listener->wake = raw_listener_wake;
    p2p_multiaddr addr;
    const struct tcp_route route = {.at = self->listener->local};
    p2p__tcp_format(&route, &addr);
    p2p__addr_append_peer(&addr, p2p_key_peer_id(key));
    assert_true(p2p_multiaddr_format(&addr, out, out_cap) > 0);
}

/* ---- sending ---- */

/* Bytes as they are. */
static inline void raw_send(struct raw_peer *self, const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, bytes, len);
    struct iov iov = {copy, len};
    if (!self->link->err)
        assert_int_equal(link_send(self->link, &iov, 1), 0);
    free(copy);
    raw_mark(self);
}

/* One record of at most plain_max bytes. */
static inline void raw_record(struct raw_peer *self, const void *bytes, size_t len)
{
    uint8_t *out = malloc(len + self->layer->overhead);
    struct p2p__const_iov in = {bytes, len};
    int64_t n = self->layer->seal(self->state, &self->net->env, &in, 1, out);
    assert_true(n > 0);
    raw_send(self, out, (size_t)n);
    free(out);
}

static inline void raw_plain(struct raw_peer *self, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t n; len; at += n, len -= n) {
        n = len < self->layer->plain_max ? len : self->layer->plain_max;
        raw_record(self, at, n);
    }
}

/* The layer's own goodbye. */
static inline void raw_goodbye(struct raw_peer *self)
{
    assert_int_equal(self->layer->close(self->state, &self->net->env, &self->link->out), 0);
    raw_mark(self);
}

/* Sends what raw_frame and raw_data have put together. */
static inline void raw_push(struct raw_peer *self)
{
    raw_plain(self, self->batch, self->batch_len);
    self->batch_len = 0;
}

static inline void raw_frame(struct raw_peer *self, uint32_t type, uint32_t flags, uint32_t id,
                             uint32_t length)
{
    uint8_t header[YAMUX_HEADER];
    p2p__yamux_header(header, (enum yamux_type)type, flags, id, length);
    raw_grow(&self->batch, &self->batch_len, &self->batch_cap, header, sizeof(header));
}

static inline void raw_data(struct raw_peer *self, uint32_t flags, uint32_t id, const void *body,
                            size_t len)
{
    raw_frame(self, YAMUX_DATA, flags, id, (uint32_t)len);
    raw_grow(&self->batch, &self->batch_len, &self->batch_cap, body, len);
}

/* One line of multistream-select at out; returns its length. */
static inline size_t raw_line(const char *text, uint8_t *out)
{
    size_t len = strlen(text) + 1, n = 0;
    if (len >= 128) {
        out[n++] = (uint8_t)(len | 0x80);
        out[n++] = (uint8_t)(len >> 7);
    } else {
        out[n++] = (uint8_t)len;
    }
    memcpy(out + n, text, len - 1);
    out[n + len - 1] = '\n';
    return n + len;
}

/* Header and proposal, as a dialer begins a negotiation. */
static inline size_t raw_proposal(const char *protocol, uint8_t *out)
{
    size_t n = raw_line("/multistream/1.0.0", out);
    return n + raw_line(protocol, out + n);
}

/* Opens a stream of ours and proposes a protocol; in the batch. */
static inline void raw_stream(struct raw_peer *self, uint32_t id, const char *protocol)
{
    uint8_t bytes[2048];
    size_t n = raw_proposal(protocol, bytes);
    raw_data(self, YAMUX_SYN, id, bytes, n);
}

/* ---- what came back ---- */

struct raw_seen {
    uint32_t type, flags, id, length;
    const uint8_t *body; /* of data */
};

static inline uint32_t raw_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The frame at *at of all that came; false at the end. */
static inline bool raw_next(const struct raw_peer *self, size_t *at, struct raw_seen *out)
{
    if (self->got_len - *at < YAMUX_HEADER)
        return false;
    const uint8_t *h = self->got + *at;
    *out = (struct raw_seen){h[1], (uint32_t)h[2] << 8 | h[3], raw_u32(h + 4), raw_u32(h + 8),
                             h + YAMUX_HEADER};
    size_t len = YAMUX_HEADER + (out->type == YAMUX_DATA ? out->length : 0);
    if (self->got_len - *at < len)
        return false;
    *at += len;
    return true;
}

/* How many frames of that type with at least one of these flags (0: any); id 0: any stream. */
static inline size_t raw_count(const struct raw_peer *self, uint32_t type, uint32_t flags,
                               uint32_t id)
{
    struct raw_seen f;
    size_t at = 0, count = 0;
    while (raw_next(self, &at, &f))
        count += f.type == type && (!flags || (f.flags & flags)) && (!id || f.id == id);
    return count;
}

/* Whether the stream was reset, by whatever type of frame. */
static inline bool raw_was_reset(const struct raw_peer *self, uint32_t id)
{
    return raw_count(self, YAMUX_WINDOW, YAMUX_RST, id) ||
           raw_count(self, YAMUX_DATA, YAMUX_RST, id);
}

static inline bool raw_was_ended(const struct raw_peer *self, uint32_t id)
{
    return raw_count(self, YAMUX_WINDOW, YAMUX_FIN, id) ||
           raw_count(self, YAMUX_DATA, YAMUX_FIN, id);
}

/* All bytes of a stream, at most cap; returns how many there were. */
static inline size_t raw_bytes(const struct raw_peer *self, uint32_t id, uint8_t *out, size_t cap)
{
    struct raw_seen f;
    size_t at = 0, len = 0;
    while (raw_next(self, &at, &f)) {
        if (f.type != YAMUX_DATA || f.id != id)
            continue;
        for (size_t i = 0; i < f.length; i++, len++)
            if (len < cap)
                out[len] = f.body[i];
    }
    return len;
}

/* ---- waiting ---- */

static inline bool raw_is_open(void *user)
{
    struct raw_peer *self = user;
    return self->stage == RAW_OPEN || self->failed || self->gone;
}

static inline bool raw_is_gone(void *user)
{
    return ((struct raw_peer *)user)->gone;
}

static inline bool raw_is_connected(void *user)
{
    struct raw_peer *self = user;
    return self->link->connected || self->gone;
}

/* Lets it shake hands as far as `stop` says; RAW_BYTES: to the end. */
static inline void raw_begin(struct raw_peer *self, enum raw_stage stop)
{
    self->stop = stop;
    self->stage = RAW_SELECT;
    raw_select(self, &self->layer->id);
    raw_mark(self);
}

/* To an open connection; false if it was refused. */
static inline bool raw_upgrade(struct raw_peer *self)
{
    raw_begin(self, RAW_BYTES);
    (void)world_until(self->net->world, raw_is_open, self, 5000);
    return self->stage == RAW_OPEN && !self->gone;
}

#endif
