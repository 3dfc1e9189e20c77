/* A host's life: made, turned, closed. */
#include "host/host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/resolve.h"
#include "io/thread.h"

void p2p__host_error(p2p_error **err, int code, int sys_errno, const char *message)
{
    const p2p_error error = {
        .size = sizeof(error), .code = code, .sys_errno = sys_errno, .message = message};
    if (err)
        *err = p2p_error_copy(&error);
}

/* ---- events ---- */

void p2p__host_changed(p2p_host *self)
{
    self->changed = true;
    p2p__work_mark(&self->shard, &self->work);
}

void p2p__host_warn(p2p_host *self, int code, const char *sentence)
{
    p2p__free(self->warning);
    self->warning = p2p__strndup(sentence, strlen(sentence));
    self->warning_code = code;
    p2p__work_mark(&self->shard, &self->work);
}

static void tell_warning(p2p_host *self)
{
    const p2p_error why = {
        .size = sizeof(why), .code = self->warning_code, .message = self->warning};
    char *text = self->warning;
    self->warning = NULL;
    if (text && self->events && self->events->on_warning)
        self->events->on_warning(self, &why, self->events_user);
    p2p__free(text);
}

static void events_run(struct work *work)
{
    p2p_host *self = P2P__CONTAINER(work, p2p_host, work);
    p2p__refusals_tell(self);
    tell_warning(self);
    if (self->interfaces_changed && !self->closing) {
        p2p__listen_refresh(self);
        p2p__transports_interfaces_changed(self);
        self->udp_hole = self->ip6_hole = (struct black_hole){0}; /* another network, perhaps */
    }
    self->interfaces_changed = false;
    if (!self->changed || self->closing)
        return;
    self->changed = false;
    for (struct list *node = self->observers.next; node != &self->observers; node = node->next) {
        struct host_observer *observer = P2P__CONTAINER(node, struct host_observer, node);
        if (observer->changed)
            observer->changed(observer);
    }
}

static void on_interfaces(void *user)
{
    p2p_host *self = user;
    self->interfaces_changed = true;
    p2p__work_mark(&self->shard, &self->work);
}

void p2p_host_set_events(p2p_host *self, const p2p_host_events *events, void *user)
{
    self->events = events;
    self->events_user = user;
}

void p2p__host_observe(p2p_host *self, struct host_observer *observer)
{
    list_append(&self->observers, &observer->node);
}

/* ---- services' state ---- */

void *p2p__host_attached(const p2p_host *self, const char *name)
{
    for (struct attached *a = self->attached; a; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a->state;
    return NULL;
}

int p2p__host_attach(p2p_host *self, const char *name, void *state, void (*free_fn)(void *state))
{
    if (p2p__host_attached(self, name))
        return P2P_EEXIST;
    struct attached *a = p2p__alloc(sizeof(*a));
    if (!a)
        return P2P_ENOMEM;
    *a = (struct attached){self->attached, name, state, free_fn};
    self->attached = a;
    return 0;
}

const char *p2p__host_option(const p2p_host *self, const char *name)
{
    const p2p_option *option;
    for (size_t i = 0; (option = p2p_option_at(i)); i++)
        if (strcmp(option->name, name) == 0)
            return p2p__config_text(self->config, (enum option_id)i);
    return NULL;
}

/* ---- the end ---- */

static void host_free(p2p_host *self)
{
    while (self->attached) {
        struct attached *a = self->attached;
        self->attached = a->next;
        a->free_fn(a->state);
        p2p__free(a);
    }
    p2p__remember_close(self);
    p2p__transports_fini(self);
    p2p__backoff_fini(&self->backoff);
    p2p__peers_fini(self);
    p2p__gater_fini(self);
    p2p__announce_fini(self);
    p2p__web_files_free(self);
    p2p__free(self->warning);
    p2p__limits_fini(self);
    p2p__protocols_fini(&self->protocols);
    p2p__shard_fini(&self->shard);
    p2p__wipe(self->psk, sizeof(self->psk));
    p2p_key_free(self->key);
    p2p_config_free(self->config);
    p2p__free(self->spare_closer);
    p2p__free(self);
}

static bool quiet(const p2p_host *self)
{
    return list_empty(&self->conns) && list_empty(&self->dials) && list_empty(&self->ops) &&
           list_empty(&self->shard.dirty) && list_empty(&self->shard.dead);
}

/* Outside the turn: nothing of the host is on the stack but this. */
static void finish(p2p_host *self)
{
    struct close_cb *closers = self->closers;
    struct p2p_io *io = self->shard.io;
    p2p__remember_close(self);
    p2p__transports_fini(self); /* their sockets go before the io */
    io->ops->detach(io);
    host_free(self);
    while (closers) {
        struct close_cb *closer = closers;
        closers = closer->next;
        if (closer->done)
            closer->done(closer->user, NULL);
        p2p__free(closer);
    }
}

static void host_turn(void *user)
{
    p2p_host *self = user;
    p2p__shard_turn(&self->shard);
    if (self->closing && quiet(self) && p2p__remember_finish(self))
        finish(self);
}

static void close_now(p2p_host *self)
{
    if (self->closing)
        return;
    self->closing = true;
    timer_set(&self->shard, &self->refusals.timer, HEAP_NEVER);
    timer_set(&self->shard, &self->remember.timer, HEAP_NEVER);
    p2p__manager_close(self);
    p2p__listen_close_all(self);
    p2p__web_files_close(self);
    p2p__dial_cancel_all(self);
    p2p__op_cancel_all(self);
    for (struct list *node = self->conns.next; node != &self->conns;) {
        p2p_conn *conn = P2P__CONTAINER(node, struct p2p_conn, all);
        node = node->next;
        p2p__conn_end(conn,
                      (struct ending){.code = P2P_ECANCELED, .message = "the host is closing"});
    }
    self->shard.io->ops->mark(self->shard.io);
}

void p2p__host_discard(p2p_host *self)
{
    struct p2p_io *own = self->own_io ? self->shard.io : NULL;
    close_now(self);
    while (!quiet(self))
        p2p__shard_turn(&self->shard);
    finish(self);
    if (own)
        p2p_io_free(own);
}

static void add_closer(p2p_host *self, struct close_cb *closer)
{
    struct close_cb **tail = &self->closers;
    while (*tail)
        tail = &(*tail)->next;
    *tail = closer;
}

struct remote_close {
    p2p_host *host;
    struct close_cb *closer;
};

static void close_posted(void *user)
{
    struct remote_close *request = user;
    p2p_host *self = request->host;
    add_closer(self, request->closer);
    p2p__free(request);
    close_now(self);
}

void p2p_host_close(p2p_host *self, p2p_done_cb done, void *user)
{
    struct p2p_io *io = self->shard.io;
    struct close_cb *closer = p2p__alloc(sizeof(*closer));
    bool here = !self->own_io || !self->started || io->ops->on_thread(io);
    if (!closer && here) {
        closer = self->spare_closer;
        self->spare_closer = NULL;
    }
    /* Closing must not fail for want of 24 bytes: then only its callback is lost. */
    if (closer)
        *closer = (struct close_cb){.done = done, .user = user};
    if (here) {
        if (closer)
            add_closer(self, closer);
        close_now(self);
        return;
    }
    struct remote_close *request = p2p__alloc(sizeof(*request));
    if (!request) {
        p2p__free(closer);
        return;
    }
    *request = (struct remote_close){self, closer};
    if (io->ops->post(io, close_posted, request) < 0) {
        p2p__free(closer);
        p2p__free(request);
    }
}

/* ---- the beginning ---- */

static int set_list(const char *text, const char *prefix_known[][2], const char **out, size_t cap)
{
    size_t count = 0;
    while (*text && count + 1 < cap) {
        size_t len = strcspn(text, ",");
        for (size_t i = 0; prefix_known[i][0]; i++)
            if (strlen(prefix_known[i][0]) == len && memcmp(text, prefix_known[i][0], len) == 0)
                out[count++] = prefix_known[i][1];
        text += len + (text[len] == ',');
    }
    out[count] = NULL;
    return count ? 0 : P2P_EINVAL;
}

static void set_limits(p2p_host *self)
{
    const p2p_config *config = self->config;
    self->shard.limits = (struct shard_limits){
        .handshake_timeout_ms = (uint32_t)p2p__config_number(config, OPTION_HANDSHAKE_TIMEOUT),
        .negotiate_timeout_ms = (uint32_t)p2p__config_number(config, OPTION_NEGOTIATE_TIMEOUT),
        .close_timeout_ms = 1000,
        .linger_timeout_ms = 10000,
        .streams_in_max = (uint32_t)p2p__config_number(config, OPTION_STREAMS_IN),
        .streams_out_max = (uint32_t)p2p__config_number(config, OPTION_STREAMS_OUT),
        .streams_total_max = (uint32_t)p2p__config_number(config, OPTION_STREAMS_TOTAL),
        .streams_per_protocol = (uint32_t)p2p__config_number(config, OPTION_STREAMS_PER_PROTOCOL),
        .protocol_streams_max = (uint32_t)p2p__config_number(config, OPTION_PROTOCOL_STREAMS),
        .stream_resets = (uint32_t)p2p__config_number(config, OPTION_STREAM_RESETS),
        .stream_send_max = (uint32_t)p2p__config_number(config, OPTION_STREAM_SEND_MAX),
        .stream_bytes_max = (uint32_t)p2p__config_number(config, OPTION_MEMORY_PER_STREAM),
        .conn_bytes_max = (uint32_t)p2p__config_number(config, OPTION_MEMORY_PER_CONN),
        .mplex_unread_max = (uint32_t)p2p__config_number(config, OPTION_MPLEX_UNREAD),
        .peer_bytes_max = (uint32_t)p2p__config_number(config, OPTION_MEMORY_PER_PEER),
        .stream_window = 256 * 1024, /* the yamux spec's, for both sides, always */
        .stream_window_max = (uint32_t)p2p__config_number(config, OPTION_STREAM_WINDOW_MAX),
        .conn_window_max = (uint32_t)p2p__config_number(config, OPTION_CONN_WINDOW_MAX),
        .keepalive_ms = (uint32_t)p2p__config_number(config, OPTION_KEEPALIVE),
        .keepalive_timeout_ms = (uint32_t)p2p__config_number(config, OPTION_KEEPALIVE_TIMEOUT),
    };
}

static int load_key(p2p_host *self, char *why, size_t why_cap)
{
    const char *file = p2p__config_text(self->config, OPTION_IDENTITY);
    int rc = 0;
    if (self->config && self->config->key) {
        self->key = p2p_key_clone(self->config->key);
        rc = self->key ? 0 : P2P_ENOMEM;
    } else if (*file) {
        return p2p_key_load(file, &self->key, why, why_cap);
    } else {
        rc = p2p_key_generate(P2P_KEY_ED25519, &self->key);
    }
    if (rc < 0)
        snprintf(why, why_cap, "cannot make the identity: %s", p2p_code_text(rc));
    return rc;
}

/* LIBP2P_FORCE_PNET=1 must keep a node without a key from speaking to anybody (specs, pnet). */
static int load_psk(p2p_host *self, char *why, size_t why_cap)
{
    const char *file = p2p__config_text(self->config, OPTION_PSK);
    const char *force = getenv("LIBP2P_FORCE_PNET");
    if (*file) {
        self->shard.psk = self->psk;
        return p2p__psk_load(file, self->psk, why, why_cap);
    }
    if (!force || strcmp(force, "1") != 0)
        return 0;
    snprintf(why, why_cap, "LIBP2P_FORCE_PNET is set, but the option psk names no key");
    return P2P_EDENIED;
}

static int set_name_servers(p2p_host *self, p2p_io *io, char *why, size_t why_cap)
{
    struct io_addr servers[IO_NAME_SERVERS];
    int count =
        p2p__name_servers_parse(p2p__config_text(self->config, OPTION_DNS_SERVERS), servers);
    if (count < 0) {
        snprintf(why, why_cap, "option dns_servers takes at most %d addresses", IO_NAME_SERVERS);
        return count;
    }
    if (count)
        io->ops->name_servers(io, servers, (size_t)count);
    return 0;
}

/* Half of what the process may have, at most: the rest is for objects and the kernel's buffers. */
static size_t memory_cap(const p2p_host *self, const p2p_io *io)
{
    uint64_t cap = (uint64_t)p2p__config_number(self->config, OPTION_MEMORY);
    uint64_t most = io->ops->memory_max ? io->ops->memory_max() / 2 : UINT64_MAX;
    return (size_t)(most < cap || (!cap && most < SIZE_MAX / 2) ? most : cap);
}

static int init(p2p_host *self, p2p_io *io, char *why, size_t why_cap)
{
    static const char *securities[][2] = {{"noise", "/noise"},
                                          {"tls", "/tls/1.0.0"},
                                          {"signed", "/libp2p-c/signed/1.0.0"},
                                          {"plaintext", "/plaintext/2.0.0"},
                                          {NULL, NULL}};
    static const char *muxers[][2] = {
        {"yamux", "/yamux/1.0.0"}, {"mplex", "/mplex/6.7.0"}, {NULL, NULL}};
    int rc = load_key(self, why, why_cap);
    if (rc == 0)
        rc = load_psk(self, why, why_cap);
    if (rc == 0)
        rc = set_name_servers(self, io, why, why_cap);
    if (rc < 0)
        return rc;
    if (set_list(p2p__config_text(self->config, OPTION_SECURITY), securities, self->securities, 8) <
            0 ||
        set_list(p2p__config_text(self->config, OPTION_MUXER), muxers, self->muxers, 4) < 0) {
        snprintf(why, why_cap, "at least one security and one muxer must be enabled");
        return P2P_EINVAL;
    }
    (void)p2p__log_parse(p2p__config_text(self->config, OPTION_LOG),
                         self->log.up_to); /* was checked */
    set_limits(self);
    self->shard.io = io;
    self->shard.host = self;
    self->shard.owner = &p2p__host_owner;
    self->shard.protocols = &self->protocols;
    self->shard.key = self->key;
    self->shard.muxers = self->muxers;
    p2p__conn_proposals(self->securities, self->proposals);
    self->shard.securities = self->securities;
    self->shard.proposals = self->proposals;
    rc = p2p__shard_init(&self->shard, memory_cap(self, io));
    p2p__limits_init(self);
    int managed = p2p__manager_init(self, why, why_cap);
    if (managed == 0)
        managed = p2p__gater_init(self, why, why_cap);
    if (managed == 0)
        managed = p2p__announce_init(self, why, why_cap);
    if (rc == 0 && managed < 0)
        return managed;
    if (rc == 0)
        rc = p2p__transports_init(self);
    p2p__backoff_init(&self->backoff, &self->shard.hash_key);
    if (rc == 0)
        rc = p2p__web_files_open(self, why, why_cap);
    if (rc == P2P_ENOMEM)
        snprintf(why, why_cap, "%s", p2p_code_text(rc));
    return rc;
}

static p2p_host *host_alloc(const p2p_config *config)
{
    p2p_host *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->config = p2p__config_clone(config);
    self->spare_closer = p2p__alloc(sizeof(*self->spare_closer));
    if (!self->config || !self->spare_closer) {
        p2p_config_free(self->config);
        p2p__free(self->spare_closer);
        p2p__free(self);
        return NULL;
    }
    work_init(&self->work, events_run);
    list_init(&self->conns);
    list_init(&self->listeners);
    list_init(&self->transports);
    list_init(&self->peers);
    list_init(&self->dials);
    list_init(&self->starving);
    list_init(&self->ops);
    list_init(&self->observers);
    list_init(&self->shard.dirty);
    list_init(&self->shard.dead);
    return self;
}

int p2p__host_new(const p2p_config *config, p2p_io *io, p2p_host **out, p2p_error **err)
{
    char why[512] = "";
    *out = NULL;
    if (err)
        *err = NULL;
    assert(!io || !io->turn); /* one io serves one host */
    p2p_host *self = host_alloc(config);
    p2p_io *own = io ? NULL : p2p_io_poll();
    if (!self || (!io && !own)) {
        if (self)
            host_free(self);
        if (own)
            p2p_io_free(own);
        p2p__host_error(err, P2P_ENOMEM, 0, p2p_code_text(P2P_ENOMEM));
        return P2P_ENOMEM;
    }
    self->own_io = own != NULL;
    int rc = init(self, io ? io : own, why, sizeof(why));
    if (rc < 0) {
        p2p__host_error(err, rc, 0, why);
        host_free(self);
        if (own)
            p2p_io_free(own);
        return rc;
    }
    self->shard.io->turn = host_turn;
    self->shard.io->interfaces_changed = on_interfaces;
    self->shard.io->user = self;
    *out = self;
    return 0;
}

static int listen_all(p2p_host *self, p2p_error **err)
{
    char text[P2P_MULTIADDR_TEXT_MAX], why[512], message[700];
    const char *list = p2p__config_text(self->config, OPTION_LISTEN);
    while (*list) {
        size_t len = strcspn(list, ",");
        p2p_multiaddr addr;
        if (len >= sizeof(text)) {
            p2p__host_error(err, P2P_EADDR, 0, "a listening address is too long");
            return P2P_EADDR;
        }
        memcpy(text, list, len);
        text[len] = '\0';
        int rc = p2p_multiaddr_parse_why(text, &addr, why, sizeof(why));
        if (rc < 0) {
            snprintf(message, sizeof(message), "cannot listen: %s", why);
            p2p__host_error(err, rc, 0, message);
        } else {
            rc = p2p_host_listen(self, &addr, err);
        }
        if (rc < 0)
            return rc;
        list += len + (list[len] == ',');
    }
    return 0;
}

static int keep_all(p2p_host *self, p2p_error **err)
{
    char why[512];
    int rc = p2p__keep_init(self, why, sizeof(why));
    if (rc == 0)
        rc = p2p__bootstrap_init(self, why, sizeof(why));
    if (rc < 0)
        p2p__host_error(err, rc, 0, why);
    return rc;
}

int p2p__host_start(p2p_host *self, p2p_error **err)
{
    p2p__remember_open(self);
    int rc = listen_all(self, err);
    if (rc == 0)
        rc = keep_all(self, err);
    if (rc == 0 && self->own_io) {
        self->started = true;
        rc = p2p__io_thread_start(self->shard.io);
        if (rc < 0) {
            self->started = false;
            p2p__host_error(err, rc, 0, "cannot start the I/O thread");
        }
    }
    return rc;
}

/* ---- posting ---- */

struct posted {
    p2p_host *host;
    void (*fn)(p2p_host *, int code, void *user);
    void *user;
};

static void run_posted(void *user)
{
    struct posted posted = *(struct posted *)user;
    p2p__free(user);
    posted.fn(posted.host, posted.host->closing ? P2P_ECLOSED : 0, posted.user);
}

int p2p_host_post(p2p_host *self, void (*fn)(p2p_host *, int code, void *user), void *user)
{
    struct posted *posted = p2p__alloc(sizeof(*posted));
    if (!posted)
        return P2P_ENOMEM;
    *posted = (struct posted){self, fn, user};
    int rc = self->shard.io->ops->post(self->shard.io, run_posted, posted);
    if (rc < 0)
        p2p__free(posted);
    return rc;
}

/* ---- facts ---- */

const p2p_peer_id *p2p_host_peer(const p2p_host *self)
{
    return p2p_key_peer_id(self->key);
}

const p2p_key *p2p_host_key(const p2p_host *self)
{
    return self->key;
}

uint64_t p2p_host_now_us(const p2p_host *self)
{
    return io_now_us(self->shard.io);
}

void p2p_host_random(p2p_host *self, void *out, size_t len)
{
    self->shard.io->ops->random(self->shard.io, out, len);
}

const char *p2p_version(void)
{
    return P2P_VERSION_TEXT;
}

/* ---- protocols ---- */

int p2p_host_handle(p2p_host *self, const char *protocol, const p2p_stream_events *events,
                    void *user)
{
    int rc = p2p__protocols_add(&self->protocols, protocol, events, user,
                                self->shard.limits.streams_per_protocol);
    if (rc == 0)
        p2p__host_changed(self);
    return rc;
}

int p2p_host_handle_limit(p2p_host *self, const char *protocol, int max)
{
    struct handler *handler = p2p__protocols_find(&self->protocols, protocol);
    if (!handler)
        return P2P_ENOENT;
    handler->max_per_peer = max > 0 ? (uint32_t)max : 0;
    return 0;
}

int p2p_host_unhandle(p2p_host *self, const char *protocol)
{
    int rc = p2p__protocols_remove(&self->protocols, protocol);
    if (rc == 0)
        p2p__host_changed(self);
    return rc;
}

const char *p2p_host_protocol(const p2p_host *self, size_t index)
{
    for (size_t i = 0; i < self->protocols.count; i++) {
        const struct handler *handler = self->protocols.handlers[i];
        if (!handler->gone && !handler->prefix && index-- == 0)
            return handler->name;
    }
    return NULL;
}
