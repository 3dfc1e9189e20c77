/* From a connected link to an open connection: agree on a secure channel, shake hands, agree on a
 * muxer. Everything that only this needs is in struct upgrade, and freed at the end. */
#include "conn/conn.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/ip_text.h"
#include "conn/first_bytes.h"

static const struct layer_ops *const all_layers[] = {&p2p__layer_noise, &p2p__layer_tls,
                                                     &p2p__layer_signed, &p2p__layer_plaintext};
static const struct muxer_ops *const all_muxers[] = {&p2p__muxer_yamux, &p2p__muxer_mplex};

static const struct layer_ops *find_layer(const char *id, size_t len)
{
    for (size_t i = 0; i < sizeof(all_layers) / sizeof(*all_layers); i++)
        if (strlen(all_layers[i]->id) == len && memcmp(all_layers[i]->id, id, len) == 0)
            return all_layers[i];
    return NULL;
}

static const struct muxer_ops *find_muxer(const char *id, size_t len)
{
    for (size_t i = 0; i < sizeof(all_muxers) / sizeof(*all_muxers); i++)
        if (strlen(all_muxers[i]->id) == len && memcmp(all_muxers[i]->id, id, len) == 0)
            return all_muxers[i];
    return NULL;
}

static size_t count_of(const char *const *list)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

static bool listed(const char *const *list, const char *name, size_t name_len)
{
    for (; *list; list++)
        if (strlen(*list) == name_len && memcmp(*list, name, name_len) == 0)
            return true;
    return false;
}

static bool security_supported(void *user, const char *name, size_t name_len)
{
    struct p2p_conn *self = user;
    return listed(self->shard->securities, name, name_len);
}

static bool muxer_supported(void *user, const char *name, size_t name_len)
{
    struct p2p_conn *self = user;
    return listed(self->shard->muxers, name, name_len);
}

/* A layer whose handshake did not come to its end. */
static void layer_drop(struct upgrade *upgrade)
{
    if (upgrade->handshake)
        upgrade->layer->handshake_fini(upgrade->handshake);
    p2p__free(upgrade->handshake);
    if (upgrade->layer_state)
        upgrade->layer->fini(upgrade->layer_state);
    p2p__free(upgrade->layer_state);
    upgrade->handshake = upgrade->layer_state = NULL;
}

void p2p__upgrade_free(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    if (!upgrade)
        return;
    layer_drop(upgrade);
    p2p__outq_fini(&upgrade->plain_out, &self->shard->pool);
    p2p__wipe(upgrade, sizeof(*upgrade));
    p2p__free(upgrade);
    self->upgrade = NULL;
}

enum {
    UPGRADE_OUT_MAX = 64 * 1024, /* sealed at once */
};

static void end(struct p2p_conn *self, int code, const char *message)
{
    p2p__conn_end(self, (struct ending){.code = code, .message = message});
}

/* ---- the layers so far, as seen by the next one ---- */

static struct buf *stage_in(struct p2p_conn *self)
{
    return self->stack.count ? &self->plain : &self->link->in;
}

static struct outq *stage_out(struct p2p_conn *self)
{
    return self->stack.count ? &self->upgrade->plain_out : &self->link->out;
}

/* What the next layer has said goes down through those that stand. */
static int stage_flush(struct p2p_conn *self)
{
    struct outq *out = &self->upgrade->plain_out;
    struct iov iov[8];
    size_t bytes = 0;
    for (size_t n; (n = p2p__outq_iov(out, iov, 8, UPGRADE_OUT_MAX, &bytes)) > 0;) {
        int rc = p2p__stack_seal(&self->stack, self->shard, self->link, iov, n);
        if (rc < 0)
            return rc;
        outq_consume(out, &self->shard->pool, bytes);
    }
    return 0;
}

/* ---- one layer ---- */

static int start_layer(struct p2p_conn *self, const struct layer_ops *layer)
{
    struct shard *shard = self->shard;
    struct upgrade *upgrade = self->upgrade;
    upgrade->layer = layer;
    upgrade->layer_state = p2p__alloc(layer->state_size);
    upgrade->handshake = p2p__alloc(layer->handshake_size ? layer->handshake_size : 1);
    if (!upgrade->layer_state || !upgrade->handshake)
        return P2P_ENOMEM;
    upgrade->config = (struct layer_config){
        .initiator = self->initiator,
        .key = shard->key,
        .muxers = shard->muxers,
        .muxer_count = count_of(shard->muxers),
        .expected_peer = upgrade->expected.len ? upgrade->expected.bytes : NULL,
        .expected_peer_len = upgrade->expected.len,
        .wall_s = io_wall_s(shard->io),
        .psk = shard->psk,
        .host_name = upgrade->host,
        .server_name = upgrade->server,
    };
    shard->io->ops->random(shard->io, upgrade->config.random, sizeof(upgrade->config.random));
    return layer->start(upgrade->layer_state, upgrade->handshake, &upgrade->config, &shard->env);
}

/* STEP_DONE: the layer stands. */
static int step_layer(struct p2p_conn *self, struct buf *in)
{
    struct upgrade *upgrade = self->upgrade;
    struct shard *shard = self->shard;
    int rc = upgrade->layer->step(upgrade->layer_state, upgrade->handshake, &shard->env, in,
                                  stage_out(self), &upgrade->result);
    int flushed = stage_flush(self);
    if (rc != STEP_DONE)
        return rc;
    if (flushed == 0)
        flushed = p2p__stack_push(&self->stack, shard, upgrade->layer, upgrade->layer_state,
                                  &self->plain);
    if (flushed < 0)
        return flushed;
    upgrade->layer_state = NULL;
    layer_drop(upgrade);
    return STEP_DONE;
}

/* ---- what lies under the secure channel ---- */

int p2p__conn_set_name(struct p2p_conn *self, const char *name, size_t name_len)
{
    if (name_len > CONN_NAME_MAX)
        return P2P_EADDR;
    memcpy(self->upgrade->name, name, name_len);
    self->upgrade->name[name_len] = '\0';
    return 0;
}

/* The dialed server as HTTP's Host header names it (RFC 9110, section 7.2), and as its certificate
 * must. */
static void name_server(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    const struct io_addr *remote = &self->link->remote;
    const char *name = upgrade->name;
    char ip[P2P__IP6_TEXT_MAX], port[8] = "";
    bool bare_ip6 = !*name && remote->family == 6;
    if (remote->family == 4)
        p2p__ip4_format(remote->ip, ip);
    else
        p2p__ip6_format(remote->ip, ip);
    if (remote->port != (self->web_tls ? 443 : 80))
        snprintf(port, sizeof(port), ":%u", (unsigned)remote->port);
    snprintf(upgrade->server, sizeof(upgrade->server), "%s", *name ? name : ip);
    snprintf(upgrade->host, sizeof(upgrade->host), "%s%s%s%s", bare_ip6 ? "[" : "", upgrade->server,
             bare_ip6 ? "]" : "", port);
}

static bool standing(const struct p2p_conn *self, const struct layer_ops *layer)
{
    for (uint32_t i = 0; i < self->stack.count; i++)
        if (self->stack.layers[i].ops == layer)
            return true;
    return false;
}

static int run_layer(struct p2p_conn *self, const struct layer_ops *layer)
{
    int rc = self->upgrade->handshake ? 0 : start_layer(self, layer);
    return rc < 0 ? rc : step_layer(self, stage_in(self));
}

/* One port serves several: the first bytes tell. */
static int sniff(struct p2p_conn *self)
{
    const struct buf *in = &self->link->in;
    enum first_bytes first = p2p__first_bytes(buf_data(in), buf_len(in), self->shard->psk != NULL);
    if (first == FIRST_BYTES_MORE)
        return STEP_WANT_INPUT;
    self->web_tls = first == FIRST_BYTES_TLS && self->sniff_tls;
    self->ws = self->web_tls || (first == FIRST_BYTES_HTTP && self->sniff_ws);
    self->sniff_ws = self->sniff_tls = false;
    return STEP_DONE;
}

/* From the link up: TLS, WebSocket, a private network. The last comes where other implementations
 * have it, inside of WebSocket's messages. STEP_DONE: the secure channel comes next. */
static int step_under(struct p2p_conn *self)
{
    const struct layer_ops *under[] = {self->web_tls ? &p2p__layer_web_tls : NULL,
                                       self->ws ? &p2p__layer_ws : NULL,
                                       self->shard->psk ? &p2p__layer_pnet : NULL};
    for (size_t i = 0; i < sizeof(under) / sizeof(*under); i++) {
        if (!under[i] || standing(self, under[i]))
            continue;
        int rc = run_layer(self, under[i]);
        if (rc != STEP_DONE)
            return rc;
    }
    return STEP_DONE;
}

static int begin_under(struct p2p_conn *self)
{
    if (self->initiator)
        name_server(self);
    else if (self->sniff_ws || self->sniff_tls)
        return sniff(self);
    return STEP_DONE;
}

/* ---- the secure channel ---- */

static int protection_of(const char *id)
{
    const struct layer_ops *channel = find_layer(id, strlen(id));
    return (channel->clear ? 0 : 2) + (channel->unproven ? 0 : 1);
}

void p2p__conn_proposals(const char *const *securities, const char **out)
{
    int best = 0;
    for (; *securities; securities++) {
        int protection = protection_of(*securities);
        if (protection < best)
            continue;
        best = protection;
        *out++ = *securities;
    }
    *out = NULL;
}

void p2p__conn_propose(struct p2p_conn *self, size_t first, size_t count)
{
    if (!self->upgrade || !self->link) /* a session has its own */
        return;
    self->upgrade->security_first = (uint8_t)first;
    self->upgrade->security_count = (uint8_t)count;
}

static void start_select(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    const char *const *ids = self->shard->proposals + upgrade->security_first;
    size_t count = upgrade->security_count ? upgrade->security_count : count_of(ids);
    if (self->initiator)
        p2p__multistream_dial_init(&upgrade->select, ids, count);
    else
        p2p__multistream_listen_init(&upgrade->select, security_supported, self);
    self->stage = CONN_SECURITY_SELECT;
}

/* 1: go on; 0: wait; negative: ended. */
static int select_security(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    struct multistream_choice choice;
    int rc = p2p__multistream_step(&upgrade->select, &self->shard->pool, stage_in(self),
                                   stage_out(self), &choice);
    if (rc == STEP_DONE) {
        if (!upgrade->optimistic)
            rc = start_layer(self, find_layer(choice.name, choice.name_len));
        self->stage = CONN_SECURITY_STEP;
        int flushed = stage_flush(self);
        return rc < 0 ? rc : flushed < 0 ? flushed : 1;
    }
    /* A single proposal leaves nothing to wait for: the first handshake message goes with it. */
    if (rc == STEP_WANT_INPUT && self->initiator && !upgrade->optimistic &&
        multistream_optimistic(&upgrade->select)) {
        const char *id = self->shard->proposals[upgrade->security_first];
        struct buf nothing;
        buf_init(&nothing, 0);
        upgrade->optimistic = true;
        rc = start_layer(self, find_layer(id, strlen(id)));
        if (rc == 0)
            rc = step_layer(self, &nothing);
        return rc < 0 ? rc : 0;
    }
    int flushed = stage_flush(self);
    if (rc < 0)
        return rc == P2P_ENOPROTO ? P2P_ENOSECURITY : rc;
    return flushed;
}

/* ---- the muxer ---- */

static int start_muxer(struct p2p_conn *self, const struct muxer_ops *ops)
{
    struct shard *shard = self->shard;
    struct muxer_config config = {
        .initiator = self->initiator,
        .streams_in_max = shard->limits.streams_in_max,
        .stream_window = shard->limits.stream_window,
        .stream_window_max = shard->limits.stream_window_max,
        .conn_window_max = shard->limits.conn_window_max,
        .keepalive_ms = shard->limits.keepalive_ms,
        .keepalive_timeout_ms = shard->limits.keepalive_timeout_ms,
        .resets = self->load ? &self->load->resets : NULL,
        .resets_per_s = shard->limits.stream_resets,
        .unread_max = shard->limits.mplex_unread_max,
        .stream_head = sizeof(struct stream_head),
        .hash_key = shard->hash_key,
        .pool = &shard->pool,
    };
    struct muxer *muxer = p2p__alloc(ops->conn_size);
    if (!muxer)
        return P2P_ENOMEM;
    int rc = ops->init(muxer, &config, shard->now_us);
    if (rc < 0) {
        p2p__free(muxer);
        return rc;
    }
    self->muxer = muxer;
    self->stage = CONN_OPEN;
    return 0;
}

static int proven(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    int rc = p2p_peer_id_decode(upgrade->result.remote_peer, upgrade->result.remote_peer_len,
                                &self->peer);
    if (rc < 0)
        return rc;
    const char *limit = NULL;
    rc = self->shard->owner->admit(self, &limit);
    if (rc < 0) {
        p2p__conn_end(self, (struct ending){.code = rc, .limit = limit});
        return rc;
    }
    if (upgrade->result.muxer)
        return start_muxer(self, find_muxer(upgrade->result.muxer, strlen(upgrade->result.muxer)));
    const char *const *ids = self->shard->muxers;
    if (self->initiator)
        p2p__multistream_dial_init(&upgrade->select, ids, count_of(ids));
    else
        p2p__multistream_listen_init(&upgrade->select, muxer_supported, self);
    self->stage = CONN_MUXER_SELECT;
    return 0;
}

static int select_muxer(struct p2p_conn *self)
{
    struct upgrade *upgrade = self->upgrade;
    struct multistream_choice choice;
    int rc = p2p__multistream_step(&upgrade->select, &self->shard->pool, stage_in(self),
                                   stage_out(self), &choice);
    const struct muxer_ops *ops = rc == STEP_DONE ? find_muxer(choice.name, choice.name_len) : NULL;
    int flushed = stage_flush(self);
    if (rc < 0)
        return rc == P2P_ENOPROTO ? P2P_ENOMUXER : rc;
    if (flushed < 0)
        return flushed;
    return ops ? start_muxer(self, ops) : 0;
}

/* ---- the whole ---- */

/* 1: something changed, go on; 0: bytes are needed; negative: over. */
static int advance(struct p2p_conn *self)
{
    int rc = 0;
    switch ((enum conn_stage)self->stage) {
    case CONN_CONNECTING:
        if (!self->link->connected)
            return 0;
        self->stage = CONN_UNDER;
        return 1;
    case CONN_UNDER:
        rc = begin_under(self);
        if (rc == STEP_DONE)
            rc = step_under(self);
        if (rc != STEP_DONE)
            return rc < 0 ? rc : 0;
        start_select(self);
        return 1;
    case CONN_SECURITY_SELECT:
        return select_security(self);
    case CONN_SECURITY_STEP:
        rc = step_layer(self, stage_in(self));
        if (rc != STEP_DONE)
            return rc < 0 ? rc : 0;
        rc = proven(self);
        return rc < 0 ? rc : 1;
    case CONN_MUXER_SELECT:
        rc = select_muxer(self);
        return rc < 0 ? rc : self->stage == CONN_OPEN;
    case CONN_OPEN:
    case CONN_CLOSING:
    case CONN_UNREAD:
    case CONN_DEAD:
        break;
    }
    return 0;
}

void p2p__conn_wrong_peer(struct p2p_conn *self, const uint8_t *peer, size_t peer_len,
                          bool unproven)
{
    p2p_peer_id actual;
    char want[P2P_PEER_ID_TEXT_MAX], got[P2P_PEER_ID_TEXT_MAX], text[256];
    if (p2p_peer_id_decode(peer, peer_len, &actual) < 0 ||
        p2p_peer_id_format(&self->upgrade->expected, want, sizeof(want)) < 0 ||
        p2p_peer_id_format(&actual, got, sizeof(got)) < 0) {
        end(self, P2P_EPEERID, NULL);
        return;
    }
    snprintf(text, sizeof(text), "expected peer %s, but the remote %s %s", want,
             unproven ? "says to be" : "proved to be", got);
    p2p__conn_end_text(self, P2P_EPEERID, text);
}

static void wrong_peer(struct p2p_conn *self)
{
    const struct upgrade *upgrade = self->upgrade;
    p2p__conn_wrong_peer(self, upgrade->result.remote_peer, upgrade->result.remote_peer_len,
                         upgrade->layer && upgrade->layer->unproven);
}

static const char *sentence(int code)
{
    switch (code) {
    case P2P_EPROTO:
        return "the remote does not speak libp2p: it broke the handshake's protocol";
    case P2P_ELIMIT:
        return "the remote proposed too many protocols";
    default:
        return NULL;
    }
}

static void upgrade_link_ended(struct p2p_conn *self)
{
    struct link *link = self->link;
    if (link->err) {
        p2p__conn_end(self, (struct ending){.code = link->err,
                                            .sys_errno = link->sys_errno,
                                            .message = link->connected
                                                           ? "the connection broke during the "
                                                             "handshake"
                                                           : NULL});
    } else {
        end(self, P2P_EHANDSHAKE, "the remote closed the connection during the handshake");
    }
}

static void upgrade_failed(struct p2p_conn *self, int rc)
{
    /* The layers that stand say why they end, but for what may have left half a record. */
    if (rc != P2P_ENOMEM)
        (void)p2p__stack_close(&self->stack, self->shard, self->link);
    if (self->upgrade && rc == P2P_EPEERID)
        wrong_peer(self);
    else if (rc == P2P_EEOF)
        upgrade_link_ended(self);
    else if (self->upgrade && self->upgrade->result.error)
        end(self, rc, self->upgrade->result.error);
    else
        end(self, rc, sentence(rc));
}

/* More for the next layer: what those that stand can open, or else from the link. True if anything
 * came. */
static int feed(struct p2p_conn *self)
{
    struct link *link = self->link;
    struct shard *shard = self->shard;
    if (self->stack.count) {
        int rc = p2p__stack_open(&self->stack, shard, link, &self->plain);
        if (rc != STEP_WANT_INPUT)
            return rc < 0 ? rc : 1;
    }
    if (!link->connected || !link->readable || link->eof)
        return 0;
    int rc = p2p__stack_settle(&self->stack, shard);
    if (rc == 0)
        rc = p2p__buf_settle(&self->plain, &shard->pool);
    if (rc < 0)
        return rc;
    size_t filled = link->ops->fill(link);
    shard->pump_bytes += filled;
    self->heard |= filled > 0;
    return filled > 0;
}

static void opened(struct p2p_conn *self)
{
    p2p__upgrade_free(self);
    self->link->in.max = p2p__stack_fill_max(&self->stack);
}

void p2p__conn_upgrade(struct p2p_conn *self)
{
    struct link *link = self->link;
    uint64_t end = self->shard->pump_bytes + SHARD_CONN_PASS_MAX;
    while (self->stage < CONN_OPEN) {
        int rc = advance(self);
        if (rc == 0 && self->shard->pump_bytes >= end)
            conn_mark(self); /* more may be there; others get their go first */
        else if (rc == 0)
            rc = feed(self);
        int owed = 0;
        if (rc >= 0 && outq_len(&link->out) == 0)
            owed = p2p__stack_pending(&self->stack, self->shard, link);
        rc = owed < 0 ? owed : rc;
        if (outq_len(&link->out) && link->writable && !link->err)
            link->ops->flush(link);
        if (rc < 0) {
            upgrade_failed(self, rc);
            return;
        }
        if (rc > 0)
            continue;
        if (self->shard->pump_bytes < end && (link->err || link->eof))
            upgrade_link_ended(self);
        return;
    }
    if (self->stage == CONN_OPEN)
        opened(self); /* what the handshake left is the muxer's first input */
}
