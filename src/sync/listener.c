/* Inbound streams of one protocol, until somebody accepts them. They own no buffers before. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sync/stream.h"

enum {
    BACKLOG_DEFAULT = 64,
    BACKLOG_MAX = 1024, /* each waiting stream costs a kilobyte, and its peer's window */
    PROTOCOL_MAX = 256, /* p2p_host_handle's, with the NUL */
};

/* What the host knows of a protocol: it may still name it when its listener is gone, so it stays
 * with the node, one for each protocol that ever was served. */
struct service {
    struct service *next;
    struct node *node;
    struct listener *listener; /* a reference, or NULL */
    char protocol[PROTOCOL_MAX];
};

struct listener {
    struct object object;
    p2p_h handle;
    struct job job;
    struct service *service;
    struct gate gate; /* over the rest */
    struct stream **queue;
    size_t cap, head, len;
    bool closed;
};

/* ---- the queue, below the lock ---- */

static struct stream *pop(struct listener *self)
{
    if (self->len == 0)
        return NULL;
    struct stream *stream = self->queue[self->head];
    self->head = (self->head + 1) % self->cap;
    self->len--;
    return stream;
}

static bool push(struct listener *self, struct stream *stream)
{
    if (self->closed || self->len == self->cap)
        return false;
    self->queue[(self->head + self->len++) % self->cap] = stream;
    return true;
}

/* Whether it was in. */
static bool pull_out(struct listener *self, const struct stream *stream)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->len; i++) {
        struct stream *at = self->queue[(self->head + i) % self->cap];
        if (at != stream)
            self->queue[(self->head + kept++) % self->cap] = at;
    }
    bool was_in = kept < self->len;
    self->len = kept;
    return was_in;
}

/* ---- inbound streams: on the loop ---- */

static void lose_handle(struct stream *stream)
{
    struct object *removed = p2p__handle_remove(stream->handle, KIND_STREAM);
    if (removed)
        p2p__object_unref(removed);
}

static const p2p_stream_events refused = {.size = sizeof(refused)};

static void refuse(p2p_stream *stream)
{
    p2p_stream_set_events(stream, &refused);
    p2p_stream_reset(stream, 0);
}

static bool enqueue(struct listener *self, struct stream *stream)
{
    gate_lock(&self->gate);
    bool in = push(self, stream);
    if (in) {
        p2p__object_ref(&stream->object);
        gate_wake(&self->gate);
    }
    gate_unlock(&self->gate);
    return in;
}

static bool take(struct service *self, struct stream *stream, p2p_stream *inner)
{
    stream->service = self;
    stream->opened = true;
    return p2p__sync_stream_learn(stream, inner) &&
           p2p__handle_add(&stream->object, &stream->handle) == 0 &&
           enqueue(self->listener, stream);
}

static void on_open(p2p_stream *inner, void *user)
{
    struct service *self = user;
    struct stream *stream = self->listener ? p2p__sync_stream_new(self->node) : NULL;
    if (!stream || !take(self, stream, inner)) {
        refuse(inner);
    } else {
        p2p_stream_set_user(inner, stream);
        p2p_stream_set_events(inner, &p2p__sync_stream_events);
        p2p__sync_stream_bind(stream, inner);
        p2p__sync_stream_kick(stream); /* a thread may have accepted it in the meantime */
    }
    if (stream && !stream->stream)
        lose_handle(stream);
    if (stream)
        p2p__object_unref(&stream->object);
}

static const p2p_stream_events inbound = {.size = sizeof(inbound), .on_open = on_open};

void p2p__service_forget(struct service *self, struct stream *stream)
{
    struct listener *listener = self->listener;
    if (!listener)
        return;
    gate_lock(&listener->gate);
    bool was_in = pull_out(listener, stream);
    gate_unlock(&listener->gate);
    if (!was_in)
        return;
    lose_handle(stream);
    p2p__object_unref(&stream->object);
}

/* ---- life ---- */

static struct service *service_get(struct node *node, const char *protocol)
{
    for (struct service *at = node->services; at; at = at->next)
        if (strcmp(at->protocol, protocol) == 0)
            return at;
    struct service *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->next = node->services;
    self->node = node;
    snprintf(self->protocol, sizeof(self->protocol), "%s", protocol);
    node->services = self;
    return self;
}

void p2p__services_free(struct node *node)
{
    while (node->services) {
        struct service *self = node->services;
        node->services = self->next;
        p2p__free(self);
    }
}

/* On the loop, or after it has ended. */
static void stop(struct listener *self)
{
    struct node *node = self->object.node;
    struct stream *stream;
    if (self->service->listener == self) {
        self->service->listener = NULL;
        if (node->host)
            (void)p2p_host_unhandle(node->host, self->service->protocol);
        p2p__object_unref(&self->object);
    }
    gate_lock(&self->gate);
    while ((stream = pop(self))) {
        stream->service = NULL;
        if (stream->stream)
            p2p_stream_reset(stream->stream, 0);
        lose_handle(stream);
        p2p__object_unref(&stream->object);
    }
    gate_unlock(&self->gate);
}

static void run(struct job *job)
{
    struct listener *self = P2P__CONTAINER(job, struct listener, job);
    stop(self);
    p2p__object_unref(&self->object);
}

static void listener_close(struct object *object)
{
    struct listener *self = (struct listener *)object;
    gate_lock(&self->gate);
    self->closed = true;
    gate_wake(&self->gate);
    gate_unlock(&self->gate);
    p2p__object_ref(object);
    if (p2p__loop_put(&object->node->loop, &self->job) < 0)
        run(&self->job);
}

static void listener_free(struct object *object)
{
    struct listener *self = (struct listener *)object;
    p2p__gate_fini(&self->gate);
    p2p__free(self->queue);
    p2p__free(self);
}

static const struct object_ops ops = {KIND_LISTENER, listener_close, listener_free};

static struct listener *listener_new(struct node *node, size_t backlog)
{
    struct listener *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->queue = p2p__alloc(backlog * sizeof(struct stream *));
    if (!self->queue || !p2p__gate_init(&self->gate)) {
        p2p__free(self->queue);
        p2p__free(self);
        return NULL;
    }
    self->cap = backlog;
    p2p__object_init(&self->object, &ops, node);
    job_init(&self->job, run);
    return self;
}

/* ---- calls ---- */

struct listen_call {
    struct call call;
    struct listener *listener;
    const char *protocol;
    int rc;
};

static int listen_now(struct node *node, struct listener *listener, const char *protocol)
{
    if (!node->host || node->closing)
        return P2P_ECLOSED;
    if (strlen(protocol) >= PROTOCOL_MAX)
        return P2P_EINVAL;
    struct service *service = service_get(node, protocol);
    if (!service)
        return P2P_ENOMEM;
    int rc = p2p_host_handle(node->host, protocol, &inbound, service);
    if (rc < 0)
        return rc;
    service->listener = listener;
    listener->service = service;
    p2p__object_ref(&listener->object);
    rc = p2p__handle_add(&listener->object, &listener->handle);
    if (rc < 0)
        stop(listener);
    return rc;
}

static void run_listen(struct call *call)
{
    struct listen_call *self = P2P__CONTAINER(call, struct listen_call, call);
    self->rc = listen_now(call->node, self->listener, self->protocol);
}

p2p_h p2p_listen(p2p_h host, const char *protocol, int backlog)
{
    size_t cap = backlog <= 0            ? BACKLOG_DEFAULT
                 : backlog < BACKLOG_MAX ? (size_t)backlog
                                         : BACKLOG_MAX;
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    struct listener *self = node ? listener_new(node, cap) : NULL;
    struct listen_call ask = {.listener = self, .protocol = protocol};
    int rc = !node ? P2P_EBADH : !self ? P2P_ENOMEM : p2p__node_call(node, &ask.call, run_listen);
    if (rc == 0)
        rc = ask.rc;
    p2p_h handle = rc == 0 ? self->handle : 0;
    if (self)
        p2p__object_unref(&self->object);
    if (node)
        p2p__object_unref(&node->object);
    p2p__sync_result(rc, rc == P2P_EEXIST ? "the host serves that protocol already" : NULL);
    return handle;
}

p2p_h p2p_accept(p2p_h handle, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct listener *self = (struct listener *)p2p__handle_get(handle, KIND_LISTENER);
    if (!self) {
        p2p__sync_result(P2P_EBADH, NULL);
        return 0;
    }
    struct stream *stream = NULL;
    bool here = timeout_ms != P2P_NO_WAIT && p2p__loop_here(&self->object.node->loop);
    int rc = here ? P2P_EDEADLK : 0;
    gate_lock(&self->gate);
    while (rc == 0 && !stream) {
        stream = self->closed ? NULL : pop(self);
        if (self->closed)
            rc = P2P_ECLOSED;
        else if (!stream && !p2p__gate_wait(&self->gate, deadline))
            rc = sync_late(timeout_ms);
    }
    gate_unlock(&self->gate);
    p2p_h accepted = stream ? stream->handle : 0;
    if (stream) {
        stream->accepted = true;
        p2p__sync_stream_kick(stream);
        p2p__object_unref(&stream->object);
    }
    p2p__object_unref(&self->object);
    p2p__sync_result(rc, NULL);
    return accepted;
}

/* ---- facts ---- */

static int copy_text(const char *from, char *text, size_t cap)
{
    size_t len = strlen(from);
    if (len >= cap)
        return P2P_ETOOBIG;
    memcpy(text, from, len + 1);
    return (int)len;
}

static const char *protocol_of(const struct object *object)
{
    switch (object->ops->kind) {
    case KIND_STREAM:
        return ((const struct stream *)object)->protocol;
    case KIND_LISTENER:
        return ((const struct listener *)object)->service->protocol;
    default:
        return NULL;
    }
}

int p2p_protocol_of(p2p_h handle, char *text, size_t cap)
{
    struct object *object = p2p__handle_get(handle, KIND_ANY);
    const char *protocol = object ? protocol_of(object) : NULL;
    int rc = protocol ? copy_text(protocol, text, cap) : P2P_EBADH;
    if (object)
        p2p__object_unref(object);
    return p2p__sync_result(rc, NULL);
}

int p2p_peer_of(p2p_h handle, char *text, size_t cap)
{
    struct object *object = p2p__handle_get(handle, KIND_ANY);
    int rc = P2P_EBADH;
    if (object)
        rc = copy_text(object->ops->kind == KIND_STREAM ? ((struct stream *)object)->peer
                                                        : object->node->peer,
                       text, cap);
    if (object)
        p2p__object_unref(object);
    return p2p__sync_result(rc, NULL);
}
