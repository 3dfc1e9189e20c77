/* Telling peers of changes, and hearing of theirs. */
#include "services/identify.h"

#include "services/services.h"

enum {
    PUSH_INTERVAL_US = 1000 * 1000, /* changes that come faster are told together */
    /* What a peer may push to us: a burst of them, then one a second, as we do. */
    BUCKET_BURST = 8,
    /* Pushes beyond that, one behind the other, after which the peer is not worth its connection.
     */
    REFUSED_MAX = 64,
};

/* ---- ours ---- */

static bool is_due(const struct known *known)
{
    const p2p_identity *identity =
        known->identified ? p2p_identify_peer(known->service->host, &known->peer) : NULL;
    return known->told != known->service->version && !known->pushing && identity &&
           p2p_identity_supports(identity, P2P_IDENTIFY_PUSH_PROTOCOL);
}

static void on_told(p2p_stream *stream, const p2p_error *why, void *user)
{
    p2p_conn *conn = p2p_stream_conn(stream);
    struct known *known = conn ? p2p__identify_known(user, p2p_conn_peer(conn)) : NULL;
    if (!known)
        return;
    known->pushing = false;
    if (is_due(known) && !(why && why->code == P2P_ECANCELED))
        p2p__identify_push_soon(known->service);
}

static const p2p_stream_events telling = {
    .size = sizeof(telling),
    .on_close = on_told,
};

static void tell(struct known *known)
{
    static const char *const protocol = P2P_IDENTIFY_PUSH_PROTOCOL;
    static const p2p_dial_opts opts = {sizeof(opts), IDENTIFY_TIMEOUT_MS, 0};
    struct identify *self = known->service;
    p2p_conn *conn = p2p_host_conn(self->host, &known->peer);
    p2p_stream *stream = conn ? p2p_conn_open(conn, &protocol, 1, &opts, &telling, self) : NULL;
    if (!stream)
        return; /* the next change tries again */
    known->pushing = true;
    if (p2p__identify_say(self, stream, conn) < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
    else
        p2p_stream_close(stream);
}

static void tell_all(struct identify *self)
{
    self->pushed_us = p2p_host_now_us(self->host);
    for (struct list *node = self->knowns.next; node != &self->knowns; node = node->next) {
        struct known *known = P2P__CONTAINER(node, struct known, all);
        if (is_due(known))
            tell(known);
    }
}

static void on_timer(void *user, const p2p_error *why)
{
    struct identify *self = user;
    self->push_timer = NULL;
    if (!why)
        tell_all(self);
}

void p2p__identify_push_soon(struct identify *self)
{
    if (self->push_timer)
        return;
    uint64_t now_us = p2p_host_now_us(self->host);
    uint64_t due_us = self->pushed_us ? self->pushed_us + PUSH_INTERVAL_US : 0;
    uint64_t wait_us = due_us > now_us ? due_us - now_us : 0;
    if (!list_empty(&self->knowns))
        self->push_timer =
            p2p_host_after(self->host, (int)((wait_us + 999) / 1000), on_timer, self);
}

/* It may have asked before a change, and have been unable to hear of it until now. */
void p2p__identify_push_to(struct known *known)
{
    if (known->told && is_due(known))
        p2p__identify_push_soon(known->service);
}

/* ---- theirs ---- */

/* Tokens are kept as the time in which they grow: one a second, at most a burst of them. */
static bool take_token(struct known *known, uint64_t now_us)
{
    const uint64_t full_us = (uint64_t)BUCKET_BURST * PUSH_INTERVAL_US;
    uint64_t grown_us = known->tokens_us + (now_us - known->bucket_us);
    if (known->bucket_us == 0 || grown_us > full_us)
        grown_us = full_us;
    known->bucket_us = now_us;
    known->tokens_us = grown_us;
    if (grown_us < PUSH_INTERVAL_US) {
        known->refused++;
        return false;
    }
    known->tokens_us -= PUSH_INTERVAL_US;
    known->refused = 0;
    return true;
}

static void on_open(p2p_stream *stream, void *user)
{
    struct identify *self = user;
    p2p_conn *conn = p2p_stream_conn(stream);
    struct known *known = p2p__identify_known(self, p2p_conn_peer(conn));
    p2p_stream_set_timeout(stream, IDENTIFY_TIMEOUT_MS);
    if (known && take_token(known, p2p_host_now_us(self->host)))
        return;
    p2p_stream_reset(stream, SERVICE_RESET);
    if (known && known->refused >= REFUSED_MAX)
        p2p_conn_close(conn);
}

static void on_read(p2p_stream *stream, void *user)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    (void)user;
    if (p2p__identify_check(bytes, len, false) < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
}

static void on_eof(p2p_stream *stream, void *user)
{
    const p2p_identity *identity;
    (void)user;
    if (p2p__identify_receive(stream, &identity) < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
    else
        p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    (void)user;
}

const p2p_stream_events p2p__identify_push_events = {
    .size = sizeof(p2p__identify_push_events),
    .on_open = on_open,
    .on_read = on_read,
    .on_eof = on_eof,
    .on_close = on_close,
};
