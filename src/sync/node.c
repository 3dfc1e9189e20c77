/* A host's handle: opened, asked, closed. */
#include "sync/node.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sync/stream.h"

enum {
    /* How long a closing host waits for its streams to take what was written; the host itself says
     * goodbye for another second. */
    DELIVER_MS = 1000,
};

/* ---- the end ---- */

static void on_host_closed(void *user, const p2p_error *why)
{
    struct node *self = user;
    (void)why;
    self->host = NULL;
}

static void close_host(struct node *self)
{
    if (self->close_begun)
        return;
    self->close_begun = true;
    p2p__bridges_drop(self);
    p2p_host_close(self->host, on_host_closed, self);
}

void p2p__node_settled(struct node *self)
{
    if (!self->closing || self->close_begun)
        return;
    for (struct list *at = self->streams.next; at != &self->streams; at = at->next)
        if (!p2p__sync_stream_settled(P2P__CONTAINER(at, struct stream, of_node)))
            return;
    close_host(self);
}

static void deliver_no_longer(void *user, const p2p_error *why)
{
    (void)why;
    close_host(user);
}

static void run_close(struct job *job)
{
    struct node *self = P2P__CONTAINER(job, struct node, close_job);
    self->closing = true;
    for (struct list *at = self->streams.next; at != &self->streams; at = at->next) {
        struct stream *stream = P2P__CONTAINER(at, struct stream, of_node);
        p2p__sync_stream_move(stream);
        if (stream->bridge)
            p2p__bridge_last_call(stream->bridge);
    }
    p2p__node_settled(self);
    if (!self->close_begun && !p2p_host_after(self->host, DELIVER_MS, deliver_no_longer, self))
        close_host(self);
}

/* Its handle is gone already, so that nothing can be added any more. */
static void node_close(struct object *object)
{
    struct node *self = (struct node *)object;
    struct object *child;
    while ((child = p2p__handle_remove_of(self))) {
        child->ops->close(child);
        p2p__object_unref(child);
    }
    p2p__events_close(&self->events);
    (void)p2p__loop_put(&self->loop, &self->close_job);
    p2p__loop_join(&self->loop);
}

static void node_free(struct object *object)
{
    struct node *self = (struct node *)object;
    p2p__services_free(self);
    p2p__events_fini(&self->events);
    p2p__gate_fini(&self->calls);
    p2p__loop_fini(&self->loop);
    p2p__free(self);
}

static const struct object_ops node_ops = {KIND_NODE, node_close, node_free};

/* ---- calls ---- */

static void run_call(struct job *job)
{
    struct call *call = P2P__CONTAINER(job, struct call, job);
    struct gate *gate = &call->node->calls;
    call->run(call);
    gate_lock(gate);
    call->done = true;
    gate_wake(gate);
    gate_unlock(gate);
}

int p2p__node_call(struct node *self, struct call *call, void (*run)(struct call *))
{
    call->node = self;
    call->run = run;
    call->done = false;
    job_init(&call->job, run_call);
    if (p2p__loop_here(&self->loop)) {
        run(call);
        return 0;
    }
    int rc = p2p__loop_put(&self->loop, &call->job);
    if (rc < 0)
        return rc;
    gate_lock(&self->calls);
    while (!call->done)
        (void)p2p__gate_wait(&self->calls, GATE_NEVER);
    gate_unlock(&self->calls);
    return 0;
}

/* ---- the beginning ---- */

static int set_options(p2p_config *config, const char *options, char *why, size_t why_cap)
{
    char name[P2P_OPTION_NAME_MAX], value[P2P_OPTION_VALUE_MAX];
    size_t line = 0;
    while (options) {
        int rc = p2p_option_next(&options, &line, name, value);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = p2p_config_set(config, name, value, why, why_cap);
        else
            snprintf(why, why_cap, "line %zu of the options is %s", line,
                     rc == P2P_ETOOBIG ? "too long" : "not name=value");
        if (rc < 0)
            return rc == P2P_ETOOBIG ? P2P_EINVAL : rc;
    }
    return 0;
}

static int make_host(struct node *self, const char *options, char *why, size_t why_cap)
{
    p2p_error *err = NULL;
    p2p_config *config = p2p_config_new();
    p2p_io *io = p2p_io_poll();
    int rc = config && io ? set_options(config, options, why, why_cap) : P2P_ENOMEM;
    if (rc == 0)
        rc = p2p_host_new(config, io, &self->host, &err);
    p2p_config_free(config);
    if (err)
        p2p__sync_sentence(err, why, why_cap);
    p2p_error_free(err);
    if (rc < 0) {
        p2p_io_free(io);
        return rc;
    }
    self->pointer = self->host;
    p2p_host_set_events(self->host, &p2p__sync_host_events, self);
    (void)p2p_peer_id_format(p2p_host_peer(self->host), self->peer, sizeof(self->peer));
    rc = p2p__loop_start(&self->loop, io);
    if (rc < 0) {
        snprintf(why, why_cap, "cannot start a thread");
        p2p_host_close(self->host, on_host_closed, self);
        while (self->host)
            p2p_io_process(io);
        p2p_io_free(io);
    }
    return rc;
}

static struct node *node_new(int *rc)
{
    struct node *self = p2p__alloc(sizeof(*self));
    *rc = P2P_ENOMEM;
    if (!self)
        return NULL;
    p2p__object_init(&self->object, &node_ops, self);
    list_init(&self->streams);
    list_init(&self->bridges);
    job_init(&self->close_job, run_close);
    *rc = p2p__loop_init(&self->loop);
    if (*rc == 0) {
        *rc = P2P_ENOMEM;
        if (p2p__gate_init(&self->calls)) {
            if (p2p__events_init(&self->events)) {
                *rc = 0;
                return self;
            }
            p2p__gate_fini(&self->calls);
        }
        p2p__loop_fini(&self->loop);
    }
    p2p__free(self);
    return NULL;
}

p2p_h p2p_open(const char *options)
{
    char why[700] = "";
    int rc;
    p2p_h handle = 0;
    struct node *self = node_new(&rc);
    if (self)
        rc = make_host(self, options, why, sizeof(why));
    if (self && rc == 0) {
        rc = p2p__handle_add(&self->object, &handle);
        if (rc < 0)
            node_close(&self->object);
    }
    if (self)
        p2p__object_unref(&self->object);
    p2p__sync_result(rc, why[0] ? why : NULL);
    return handle;
}

int p2p_close(p2p_h handle)
{
    struct object *object = p2p__handle_get(handle, KIND_ANY);
    int rc = object ? 0 : P2P_EBADH;
    if (object && object->ops->kind == KIND_NODE && p2p__loop_here(&((struct node *)object)->loop))
        rc = P2P_EDEADLK;
    struct object *removed = rc == 0 ? p2p__handle_remove(handle, KIND_ANY) : NULL;
    if (removed) {
        removed->ops->close(removed);
        p2p__object_unref(removed);
    } else if (rc == 0) {
        rc = P2P_EBADH; /* another thread was faster */
    }
    if (object)
        p2p__object_unref(object);
    return p2p__sync_result(rc, NULL);
}

/* ---- facts ---- */

struct addr_call {
    struct call call;
    size_t index;
    p2p_multiaddr addr;
    int rc;
};

static void ask_addr(struct call *call)
{
    struct addr_call *self = P2P__CONTAINER(call, struct addr_call, call);
    p2p_host *host = call->node->host;
    self->rc = host ? p2p_host_addr(host, self->index, &self->addr) : P2P_ECLOSED;
}

static int format_addr(const p2p_multiaddr *addr, char *text, size_t cap)
{
    int64_t len = p2p_multiaddr_format(addr, text, cap);
    return len >= 0 && (size_t)len >= cap ? P2P_ETOOBIG : (int)len;
}

int p2p_addr(p2p_h host, size_t index, char *text, size_t cap)
{
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    if (!node)
        return p2p__sync_result(P2P_EBADH, NULL);
    struct addr_call ask = {.index = index};
    int rc = p2p__node_call(node, &ask.call, ask_addr);
    if (rc == 0)
        rc = ask.rc;
    if (rc == 0)
        rc = format_addr(&ask.addr, text, cap);
    p2p__object_unref(&node->object);
    return p2p__sync_result(rc, rc == P2P_ENOENT ? "the host listens on no more addresses" : NULL);
}

p2p_host *p2p_host_of(p2p_h host)
{
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    p2p_host *pointer = node ? node->pointer : NULL;
    if (node)
        p2p__object_unref(&node->object);
    p2p__sync_result(pointer ? 0 : P2P_EBADH, NULL);
    return pointer;
}
