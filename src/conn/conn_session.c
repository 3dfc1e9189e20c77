/* A connection on a session: no link, no layers. The session shakes hands and moves its own
 * datagrams; what is left is to admit the peer, to tell, and to say goodbye. */
#include "conn/conn.h"

#include <string.h>

#include "base/mem.h"

/* What a closing connection tells the remote (libp2p specs, error codes). */
enum {
    CODE_NO_ERROR = 0,
    CODE_RESOURCE_LIMIT_EXCEEDED = 0x1001,
    CODE_PROTOCOL_VIOLATION = 0x1003,
    CODE_GATED = 0x1007,
};

enum {
    DATAGRAMS_PER_PASS = 256,
};

static void session_wake(struct session *session)
{
    conn_mark(session->owner);
}

void p2p__session_drop(struct session *session, uint32_t code, uint64_t now_us)
{
    session->muxer.ops->session->close(session, code, now_us);
    session->muxer.ops->fini(&session->muxer);
    p2p__free(session);
}

void p2p__conn_take_session(struct p2p_conn *self, struct session *session,
                            const p2p_peer_id *expected)
{
    self->muxer = &session->muxer;
    self->stage = CONN_CONNECTING;
    session->owner = self;
    session->wake = session_wake;
    if (expected) {
        memcpy(session->expected, expected->bytes, expected->len);
        session->expected_len = expected->len;
    }
}

static uint32_t farewell_code(int code)
{
    switch (code) {
    case P2P_ELIMIT:
    case P2P_ENOMEM:
        return CODE_RESOURCE_LIMIT_EXCEEDED;
    case P2P_EPROTO:
        return CODE_PROTOCOL_VIOLATION;
    case P2P_EDENIED:
        return CODE_GATED;
    default:
        return CODE_NO_ERROR;
    }
}

void p2p__conn_session_close(struct p2p_conn *self)
{
    struct session *session = conn_session(self);
    session->muxer.ops->session->close(session, farewell_code(self->ending.code),
                                       self->shard->now_us);
}

/* Its own end becomes the connection's; nothing can be delivered any more. */
static void session_over(struct p2p_conn *self)
{
    const struct session *session = conn_session(self);
    const struct session_end *end = &session->end;
    const char *limit = end->code == P2P_ELIMIT ? self->muxer->limit : NULL;
    if (limit)
        self->shard->owner->limited(self->shard->host, limit, end->message);
    if (end->code == P2P_EPEERID)
        p2p__conn_wrong_peer(self, session->peer, session->peer_len, false);
    else
        p2p__conn_end(self, (struct ending){.code = end->code,
                                            .sys_errno = end->sys_errno,
                                            .remote_code = end->remote_code,
                                            .limit = limit,
                                            .message = end->message,
                                            .remote = true});
    self->stage = CONN_DEAD;
}

static void proven(struct p2p_conn *self)
{
    const struct session *session = conn_session(self);
    const char *limit = NULL;
    int rc = p2p_peer_id_decode(session->peer, session->peer_len, &self->peer);
    if (rc == 0)
        rc = self->shard->owner->admit(self, &limit);
    if (rc < 0) {
        p2p__conn_end(self, (struct ending){.code = rc, .limit = limit});
        return;
    }
    p2p__upgrade_free(self);
    self->stage = CONN_OPEN;
}

static void pump(struct p2p_conn *self)
{
    struct session *session = conn_session(self);
    struct shard *shard = self->shard;
    bool more = false;
    if (self->stage == CONN_DEAD)
        return;
    if (session->state != SESSION_OVER)
        shard->pump_bytes +=
            session->muxer.ops->session->pump(session, SHARD_CONN_PASS_MAX, shard->now_us, &more);
    if (more)
        conn_mark(self);
    if (session->state == SESSION_OVER)
        session_over(self);
}

/* Those that nobody wants to hear of are dropped. */
static void tell_datagrams(struct p2p_conn *self)
{
    struct session *session = conn_session(self);
    const struct session_ops *ops = session->muxer.ops->session;
    for (int i = 0; i < DATAGRAMS_PER_PASS; i++) {
        size_t len;
        const uint8_t *bytes = ops->datagram_peek(session, &len);
        if (!bytes)
            return;
        if (self->stage == CONN_OPEN && self->events && self->events->on_datagram)
            self->events->on_datagram(self, bytes, len, self->events_user);
        ops->datagram_pop(session);
    }
    conn_mark(self);
}

/* What came is told before the end that came with it: its handshake, and bytes. */
void p2p__conn_session_run(struct p2p_conn *self)
{
    struct session *session = conn_session(self);
    struct muxer *muxer = self->muxer;
    uint64_t now_us = self->shard->now_us;
    if (session->state != SESSION_OVER && muxer->ops->deadline(muxer) <= now_us)
        (void)muxer->ops->timeout(muxer, now_us); /* what comes of it is the session's state */
    if (self->stage == CONN_CONNECTING && session->proven)
        proven(self);
    if (self->stage == CONN_OPEN || self->stage == CONN_CLOSING) {
        p2p__conn_tell(self);
        tell_datagrams(self);
    }
    pump(self);
}

/* ---- what an application calls ---- */

int p2p_conn_send_datagram(p2p_conn *self, const void *bytes, size_t len)
{
    struct session *session = conn_session(self);
    if (!session || self->stage != CONN_OPEN)
        return session ? P2P_ECLOSED : P2P_ENOTSUP;
    int rc = session->muxer.ops->session->datagram_send(session, bytes, len);
    if (rc == 0)
        conn_mark(self);
    return rc;
}

size_t p2p_conn_max_datagram(const p2p_conn *self)
{
    const struct session *session = conn_session(self);
    if (!session || self->stage != CONN_OPEN)
        return 0;
    return session->muxer.ops->session->datagram_max(session);
}
