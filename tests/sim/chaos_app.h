/* What the hosts of the chaos test do: anything that the public functions allow, in any callback.
 */
#ifndef P2P_TESTS_SIM_CHAOS_APP_H
#define P2P_TESTS_SIM_CHAOS_APP_H

#include "tests/sim/chaos.h"

#define CHAOS_PROTOCOL     "/chaos/1"
#define CHAOS_MSG_PROTOCOL "/chaos/msg/1"

static void meddle(struct chaos_host *at);
static void poke(struct chaos_stream *s);

/* What an application does on the occasion of a callback. */
static void react(struct chaos_host *at, struct chaos_stream *s)
{
    struct chaos *c = at->c;
    if (!at->host || !chance(c, c->wild))
        return;
    if (s && chance(c, 60))
        poke(s);
    else
        meddle(at);
}

/* ---- streams ---- */

static void end_write(struct chaos_stream *s)
{
    CHAOS_SAY(s->at->c, "host %d stream %u close_write", s->at->index, s->id);
    s->ended = true;
    p2p_stream_close_write(s->stream);
}

static int64_t write_some(struct chaos_stream *s, size_t len)
{
    struct chaos *c = s->at->c;
    uint8_t bytes[4096];
    len = len < sizeof(bytes) ? len : sizeof(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = chaos_byte(s->id, s->sent + i);
    size_t room = p2p_stream_room(s->stream);
    p2p_blob *blob = chance(c, 20) ? p2p_blob_new(bytes, len) : NULL;
    int64_t took =
        blob ? p2p_stream_write_blob(s->stream, blob) : p2p_stream_write(s->stream, bytes, len);
    if (blob)
        p2p_blob_free(blob);
    else
        CHAOS_EXPECT(c, took < 0 || (size_t)took == (len < room ? len : room),
                     "stream %u took %lld of %zu bytes with room for %zu", s->id, (long long)took,
                     len, room);
    CHAOS_EXPECT(c, took < 0 || !(s->ended || s->closed || s->reset || s->last),
                 "stream %u took bytes after its end", s->id);
    if (took > 0)
        s->sent += (uint64_t)took;
    return took < (int64_t)len ? -1 : took;
}

/* Writes until it has all, or there is no room (on_drain will come), or the stream is over. */
static void pump_out(struct chaos_stream *s)
{
    struct chaos *c = s->at->c;
    if (s->ended || s->closed || s->reset || s->last)
        return;
    while (s->sent < s->to_send) {
        uint64_t left = s->to_send - s->sent, some = 1 + roll_size(c, 14);
        if (write_some(s, (size_t)(some < left ? some : left)) < 0)
            return;
    }
    end_write(s);
}

static void read_some(struct chaos_stream *s)
{
    struct chaos *c = s->at->c;
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(s->stream, &len);
    chaos_check_bytes(s, bytes, len);
    bool all = (s->eof && c->gentle) || chance(c, 70);
    size_t n = all ? len : (size_t)roll(c, len + 1);
    s->got += n;
    p2p_stream_consume(s->stream, n);
    if (n == len)
        return;
    if (chance(c, 50)) {
        int rc = p2p_stream_want(s->stream, len - n + 1 + (size_t)roll(c, 500));
        CHAOS_EXPECT(c, rc == 0 || rc == P2P_ELIMIT, "want: %d", rc);
        if (rc == 0)
            return;
    }
    if (c->gentle || chance(c, 80))
        p2p_stream_resume(s->stream);
}

static void on_open(p2p_stream *stream, void *user)
{
    struct chaos_stream *s = user;
    chaos_enter(s->at->c, "on_open");
    CHAOS_EXPECT(s->at->c, s->stream == stream, "another stream's on_open");
    chaos_stream_opened(s);
    s->at->c->in_call = true;
    pump_out(s);
    s->at->c->in_call = false;
    react(s->at, s);
}

static void on_read(p2p_stream *stream, void *user)
{
    struct chaos_stream *s = user;
    size_t len = 0;
    chaos_stream_told(s, "on_read");
    p2p_stream_peek(stream, &len);
    CHAOS_EXPECT(s->at->c, len > 0, "stream %u: on_read of nothing", s->id);
    read_some(s);
    react(s->at, s);
}

static void on_eof(p2p_stream *stream, void *user)
{
    struct chaos_stream *s = user;
    (void)stream;
    chaos_stream_told(s, "on_eof");
    chaos_stream_eof(s);
    read_some(s);
    react(s->at, s);
}

static void on_drain(p2p_stream *stream, void *user)
{
    struct chaos_stream *s = user;
    (void)stream;
    chaos_stream_told(s, "on_drain");
    CHAOS_EXPECT(s->at->c, !s->ended, "stream %u: on_drain after its end", s->id);
    pump_out(s);
    react(s->at, s);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct chaos_stream *s = user;
    chaos_enter(s->at->c, "on_close");
    CHAOS_EXPECT(s->at->c, s->stream == stream, "another stream's on_close");
    chaos_stream_last(s, why);
    react(s->at, s);
}

static const p2p_stream_events stream_events = {
    sizeof(stream_events), on_open, on_read, on_eof, on_drain, on_close,
};

static uint64_t roll_amount(struct chaos *c)
{
    uint64_t n = roll_size(c, c->segments == P2P_SIM_BYTE ? 9 : 17);
    n = n < c->bytes_left ? n : c->bytes_left;
    c->bytes_left -= n;
    return n;
}

static void accept_open(p2p_stream *stream, void *user)
{
    struct chaos_stream *s = chaos_stream_new(user, false);
    s->stream = stream;
    s->to_send = roll_amount(s->at->c);
    s->at->streams++;
    CHAOS_EXPECT(s->at->c, !p2p_stream_outbound(stream), "accepted, but outbound");
    p2p_stream_set_user(stream, s);
    p2p_stream_set_events(stream, &stream_events);
    on_open(stream, s);
}

static void accept_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct chaos_host *at = user;
    (void)stream, (void)why;
    CHAOS_EXPECT(at->c, false, "an inbound stream closed that had not opened");
}

static const p2p_stream_events accept_events = {
    .size = sizeof(accept_events), .on_open = accept_open, .on_close = accept_close};

/* One thing that may be done to any stream at any time, in on_close too. */
static void poke(struct chaos_stream *s)
{
    struct chaos *c = s->at->c;
    const uint8_t *bytes;
    size_t len = 0;
    c->in_call = true;
    switch (c->gentle ? 9 : roll(c, 10)) {
    case 0:
        CHAOS_SAY(c, "host %d stream %u closing", s->at->index, s->id);
        s->closed = s->ended = true;
        if (s->opened && chaos_deadline(s->at, 10000, 0) < s->due_us)
            s->due_us = chaos_deadline(s->at, 10000, 0);
        p2p_stream_close(s->stream);
        break;
    case 1:
        CHAOS_SAY(c, "host %d stream %u reset", s->at->index, s->id);
        s->reset = true;
        p2p_stream_reset(s->stream, (uint32_t)roll(c, 100));
        break;
    case 2: {
        int ms = chance(c, 20) ? -1 : (int)roll_size(c, 13);
        if (!s->closed)
            s->due_us = ms < 0 ? CHAOS_NEVER : p2p_host_now_us(s->at->host) + (uint64_t)ms * 1000;
        p2p_stream_set_timeout(s->stream, ms);
        break;
    }
    case 3:
        end_write(s);
        break;
    case 4:
        (void)p2p_stream_want(s->stream, (size_t)roll_size(c, 20));
        break;
    case 5:
        p2p_stream_resume(s->stream);
        break;
    case 6:
        bytes = p2p_stream_peek(s->stream, &len);
        chaos_check_bytes(s, bytes, len);
        len = (size_t)roll(c, len + 1);
        s->got += len;
        p2p_stream_consume(s->stream, len);
        break;
    case 7:
        (void)write_some(s, 1 + (size_t)roll_size(c, 12));
        break;
    default:
        pump_out(s);
        break;
    }
    c->in_call = false;
}

/* ---- what a host does ---- */

static bool create(struct chaos *c)
{
    if (c->quiet || c->creations == CHAOS_CREATIONS_MAX)
        return false;
    c->creations++;
    return true;
}

static const char *roll_target(struct chaos_host *at)
{
    struct chaos *c = at->c;
    const struct chaos_host *to = &c->hosts[roll(c, (uint64_t)c->host_count)];
    if (to == at && c->gentle)
        to = &c->hosts[(at->index + 1) % c->host_count];
    if (!c->gentle && chance(c, 3))
        return "/ip4/10.99.9.9/tcp/1/p2p/nonsense";
    return !c->gentle && chance(c, 20) ? to->peer_text : to->addr;
}

static p2p_dial_opts roll_opts(struct chaos *c)
{
    p2p_dial_opts opts = P2P_DIAL_OPTS_INIT;
    if (!c->gentle && chance(c, 30))
        opts.timeout_ms = 1 + (int)roll_size(c, 13);
    if (chance(c, 10))
        opts.flags = (unsigned)roll(c, 4);
    return opts;
}

static void open_stream(struct chaos_host *at)
{
    struct chaos *c = at->c;
    const char *const offers[] = {"/chaos/none", CHAOS_PROTOCOL};
    size_t skip = chance(c, 70), count = !c->gentle && chance(c, 10) ? 1 : 2 - skip;
    p2p_conn *conn = chance(c, 40) ? p2p_host_conn_at(at->host, (size_t)roll(c, 3)) : NULL;
    p2p_dial_opts opts = roll_opts(c);
    struct chaos_stream *s = chaos_stream_new(at, true);
    at->streams++;
    s->to_send = roll_amount(c);
    s->open_due_us = chaos_deadline(at, opts.timeout_ms, 10000);
    s->stream = conn ? p2p_conn_open(conn, offers + skip, count, &opts, &stream_events, s)
                     : p2p_host_open(at->host, roll_target(at), offers + skip, count, &opts,
                                     &stream_events, s);
    CHAOS_SAY(c, "host %d stream %u opening", at->index, s->id);
    if (!s->stream) {
        s->last = true;
        at->streams--;
    } else if (chance(c, 50)) {
        pump_out(s);
    }
}

static void op_done(void *user, const p2p_error *why)
{
    struct chaos_op *op = user;
    chaos_op_last(op, why);
    if (chance(op->at->c, 20))
        p2p_op_cancel(op->op); /* too late, and harmless: what is being told stays */
    CHAOS_EXPECT(op->at->c, !why || why->code < 0, "a reason that changed while it was told");
    react(op->at, NULL);
}

static void op_reply(void *user, const uint8_t *msg, size_t len, const p2p_error *why)
{
    struct chaos_op *op = user;
    for (size_t i = 0; i < len; i++)
        CHAOS_EXPECT(op->at->c, msg[i] == (uint8_t)(len + i), "a reply that nobody sent");
    op_done(user, why);
}

static void start_op(struct chaos_host *at)
{
    struct chaos *c = at->c;
    struct chaos_op *op = chaos_op_new(at, (enum chaos_op_kind)roll(c, 3));
    p2p_dial_opts opts = roll_opts(c);
    uint8_t msg[2000];
    size_t len = (size_t)roll_size(c, 10);
    int delay_ms = (int)roll_size(c, 13);
    for (size_t i = 0; i < len; i++)
        msg[i] = (uint8_t)(len + i);
    op->due_us = chaos_deadline(at, opts.timeout_ms, 10000);
    if (op->kind == CHAOS_AFTER) {
        op->due_us = p2p_host_now_us(at->host) + (uint64_t)delay_ms * 1000;
        op->op = p2p_host_after(at->host, delay_ms, op_done, op);
    } else if (op->kind == CHAOS_CONNECT) {
        op->op = p2p_host_connect(at->host, roll_target(at), &opts, op_done, op);
    } else {
        const p2p_request_opts request = {sizeof(request), opts.timeout_ms, 0, opts.flags};
        op->op = p2p_host_request(at->host, roll_target(at), CHAOS_MSG_PROTOCOL, msg, len, &request,
                                  op_reply, op);
    }
    CHAOS_SAY(c, "host %d operation %d kind %d", at->index, (int)(op - c->ops), op->kind);
    if (!op->op) {
        op->last = true;
        at->ops--;
    }
}

static void cancel_op(struct chaos_host *at)
{
    struct chaos *c = at->c;
    struct chaos_op *op = c->op_count ? &c->ops[roll(c, c->op_count)] : NULL;
    if (!op || op->last || op->at != at)
        return;
    CHAOS_SAY(c, "host %d operation %d canceled", at->index, (int)(op - c->ops));
    op->canceled = true;
    p2p_op_cancel(op->op);
}

static void close_host(struct chaos_host *at)
{
    CHAOS_SAY(at->c, "host %d closing", at->index);
    if (!at->closing)
        at->close_at_us = p2p_sim_now_us(at->c->sim);
    bool again = at->closing;
    at->closing = true;
    p2p_host_close(at->host, again ? NULL : chaos_host_closed, at);
}

static void look_around(struct chaos_host *at)
{
    struct chaos *c = at->c;
    p2p_conn *conn;
    p2p_multiaddr addr;
    for (size_t i = 0; (conn = p2p_host_conn_at(at->host, i)); i++) {
        bool known = false;
        for (unsigned k = 0; k < c->conn_count; k++)
            known |= c->conns[k].conn == conn && !c->conns[k].last;
        CHAOS_EXPECT(c, known, "a connection that was not told, or had ended");
        p2p_conn_remote_addr(conn, &addr);
        p2p_conn_local_addr(conn, &addr);
        CHAOS_EXPECT(c, p2p_conn_security(conn) && p2p_conn_muxer(conn), "hollow connection");
        CHAOS_EXPECT(c, p2p_host_conn(at->host, p2p_conn_peer(conn)) || !c->gentle, "not found");
        (void)p2p_conn_rtt_us(conn);
    }
    for (size_t i = 0; p2p_host_protocol(at->host, i); i++)
        continue;
}

static void learn_address(struct chaos_host *at)
{
    struct chaos *c = at->c;
    const struct chaos_host *to = &c->hosts[roll(c, (uint64_t)c->host_count)];
    p2p_multiaddr addr;
    if (p2p_multiaddr_parse(to->addr, &addr) == 0)
        (void)p2p_host_add_addr(at->host, &to->peer, &addr, chance(c, 50) ? -1 : 1000);
}

static void posted(p2p_host *host, int code, void *user)
{
    struct chaos_host *at = user;
    chaos_enter(at->c, "a posted call");
    CHAOS_EXPECT(at->c, host == at->host && (code == 0 || at->closing), "a post gone astray");
}

/* What only a host without manners does. */
static void misbehave(struct chaos_host *at)
{
    struct chaos *c = at->c;
    p2p_conn *conn;
    switch (roll(c, 6)) {
    case 0:
        conn = p2p_host_conn_at(at->host, (size_t)roll(c, 4));
        if (conn)
            p2p_conn_close(conn);
        break;
    case 1:
        (void)p2p_host_unhandle(at->host, chance(c, 50) ? CHAOS_PROTOCOL : CHAOS_MSG_PROTOCOL);
        break;
    case 2:
        (void)p2p_host_handle_limit(at->host, CHAOS_PROTOCOL, (int)roll(c, 8));
        break;
    case 3:
        cancel_op(at);
        break;
    case 4:
        if (chance(c, 15))
            close_host(at);
        break;
    default: {
        p2p_multiaddr addr;
        p2p_error *err = NULL;
        char text[100];
        snprintf(text, sizeof(text), "/ip4/%s/tcp/%d", at->ip, (int)roll(c, 3) + 4000);
        if (p2p_multiaddr_parse(text, &addr) == 0)
            (void)p2p_host_listen(at->host, &addr, &err);
        p2p_error_free(err);
        break;
    }
    }
}

static const p2p_stream_events msg_events;

static void meddle(struct chaos_host *at)
{
    struct chaos *c = at->c;
    c->in_call = true;
    uint64_t what = roll(c, 14);
    if (what < 5 && create(c)) {
        open_stream(at);
    } else if (what < 8 && create(c)) {
        start_op(at);
    } else if (what == 8) {
        look_around(at);
    } else if (what == 9) {
        learn_address(at);
    } else if (what == 10) {
        (void)p2p_host_post(at->host, posted, at);
    } else if (what == 11) {
        (void)p2p_host_handle(at->host, CHAOS_PROTOCOL, &accept_events, at);
        (void)p2p_host_handle(at->host, CHAOS_MSG_PROTOCOL, &msg_events, NULL);
    } else if (!c->gentle && !c->quiet) {
        misbehave(at);
    }
    c->in_call = false;
}

/* ---- requests are answered ---- */

static void msg_read(p2p_stream *stream, void *user)
{
    const uint8_t *msg = NULL;
    size_t len = 0;
    (void)user;
    int rc = p2p_msg_peek(stream, 4096, &msg, &len);
    if (rc == 0)
        return;
    if (rc < 0 || p2p_msg_write(stream, msg, len) < 0) {
        p2p_stream_reset(stream, 1);
        return;
    }
    p2p_msg_consume(stream);
    p2p_stream_close(stream);
}

static void msg_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why, (void)user;
}

static const p2p_stream_events msg_events = {
    .size = sizeof(msg_events), .on_read = msg_read, .on_close = msg_close};

#endif
