/* Connections over descriptors that somebody else made: a serial line, a pipe to another program, a
 * socket of any kind. */
#include "host/host.h"

#include <stdio.h>
#include <string.h>

#include "transport/local.h"

struct fds_op {
    p2p_op op;
    struct conn_entry *entry; /* until it is open or over */
};

static void let_go(struct fds_op *self)
{
    if (self->entry)
        self->entry->fds = NULL;
    self->entry = NULL;
}

void p2p__fds_opened(struct conn_entry *entry)
{
    struct fds_op *self = entry->fds;
    if (!self)
        return;
    let_go(self);
    p2p__op_finish(&self->op, NULL);
}

void p2p__fds_closed(struct conn_entry *entry, const p2p_error *why)
{
    struct fds_op *self = entry->fds;
    if (!self)
        return;
    let_go(self);
    p2p__op_finish(&self->op, why);
}

static void on_cancel(p2p_op *op)
{
    struct fds_op *self = P2P__CONTAINER(op, struct fds_op, op);
    p2p_conn *conn = self->entry ? self->entry->conn : NULL;
    let_go(self);
    if (conn)
        p2p__conn_end(conn, (struct ending){.code = P2P_ECANCELED});
}

static const struct transport *local_transport(const p2p_host *host)
{
    const struct list *node = host->transports.next;
    while (P2P__CONTAINER(node, const struct transport, node)->ops != &p2p__transport_local)
        node = node->next;
    return P2P__CONTAINER(node, const struct transport, node);
}

static void fail(struct fds_op *self, int code, int sys_errno, const char *limit)
{
    char text[160];
    const char *why = sys_errno ? strerror(sys_errno) : p2p_code_text(code);
    if (limit)
        snprintf(text, sizeof(text), "the limit %s is reached", limit);
    else
        snprintf(text, sizeof(text), "cannot use these descriptors: %s", why);
    const p2p_error error = {.size = sizeof(error),
                             .code = code,
                             .sys_errno = sys_errno,
                             .limit = limit,
                             .message = text};
    p2p__op_finish(&self->op, &error);
}

static p2p_op *use(p2p_host *host, int read_fd, int write_fd, bool outbound,
                   const p2p_peer_id *expected, p2p_done_cb done, void *user)
{
    struct p2p_io *io = host->shard.io;
    struct passage passage = {.link = NULL};
    int sys_errno = 0;
    struct fds_op *self = (struct fds_op *)p2p__op_new(host, sizeof(*self), done, user);
    if (!self)
        return NULL;
    self->op.on_cancel = on_cancel;
    int rc = io->ops->adopt ? io->ops->adopt(io, read_fd, write_fd, &host->shard.pool,
                                             &passage.link, &sys_errno)
                            : P2P_ENOTSUP;
    if (rc < 0) {
        fail(self, rc, sys_errno, NULL);
        return &self->op;
    }
    const char *limit =
        outbound ? p2p__limits_refuse_out(host) : p2p__limits_refuse_in(host, &passage);
    if (limit || host->closing) {
        p2p__passage_close(&host->shard, &passage);
        fail(self, limit ? P2P_ELIMIT : P2P_ECANCELED, 0, limit);
        return &self->op;
    }
    if (!p2p__host_add_conn(host, local_transport(host), &passage, outbound, expected,
                            &self->entry)) {
        fail(self, P2P_ENOMEM, 0, NULL);
        return &self->op;
    }
    self->entry->fds = self;
    return &self->op;
}

p2p_op *p2p_host_connect_fds(p2p_host *host, int read_fd, int write_fd, const p2p_peer_id *peer,
                             p2p_done_cb done, void *user)
{
    return use(host, read_fd, write_fd, true, peer, done, user);
}

p2p_op *p2p_host_accept_fds(p2p_host *host, int read_fd, int write_fd, p2p_done_cb done, void *user)
{
    return use(host, read_fd, write_fd, false, NULL, done, user);
}
