/* The name service on libuv, by c-ares: its sockets are watched by the loop, its timeouts kept by a
 * timer, and its replies parsed by it. What comes out is copied within bounds.
 *
 * c-ares cannot cancel one query. One whose owner let go, or whose deadline passed, stays until it
 * is answered, given up or destroyed with the channel, and is freed then. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <assert.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

enum {
    TRY_MS = 2000, /* doubled with each round over the servers */
    TRIES = 3,
};

struct uv_dns {
    struct uv_io *io;
    ares_channel channel;
    bool open;
    uv_timer_t timer;
    struct list queries; /* that c-ares has */
    struct list watches;
    size_t asked; /* their number */
};

struct uv_query {
    struct io_query query;
    struct list node;
    struct uv_dns *dns;
    enum io_record record;
    uint64_t deadline_us;
    bool ended;    /* by the owner */
    bool answered; /* c-ares is done with it */
};

/* A socket of c-ares. */
struct uv_watch {
    struct list node;
    struct uv_io *io;
    uv_poll_t poll;
    int fd;
};

/* ---- answers ---- */

static void tell(struct uv_query *self, int code, const char *why)
{
    struct io_query *query = &self->query;
    if (query->done || self->ended)
        return;
    query->done = true;
    query->code = code;
    query->why = why;
    if (query->wake)
        query->wake(query);
}

static const char *status_text(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "there is no such name";
    case ARES_ENODATA:
        return "the name has no such record";
    case ARES_EBADNAME:
        return "that is not a domain name";
    case ARES_ETIMEOUT:
        return "no name server answers";
    case ARES_ECONNREFUSED: /* c-ares tells these apart no more */
        return "every name server failed, refused or cannot be reached";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return "the name server's answer is malformed";
    case ARES_ESERVFAIL:
        return "the name server failed";
    default:
        return "the name service failed";
    }
}

static void answered(struct uv_query *self, int status, size_t records)
{
    self->answered = true;
    self->dns->asked--;
    list_remove(&self->node);
    if (self->ended) {
        p2p__free(self->query.txts);
        p2p__free(self);
    } else if (status == ARES_ENOMEM) {
        tell(self, P2P_ENOMEM, NULL);
    } else if (status != ARES_SUCCESS || records == 0) {
        tell(self, P2P_ERESOLVE, status_text(status == ARES_SUCCESS ? ARES_ENODATA : status));
    } else {
        tell(self, 0, NULL);
    }
}

static void on_addrs(void *user, int status, int timeouts, struct ares_addrinfo *result)
{
    struct uv_query *self = user;
    struct io_query *query = &self->query;
    (void)timeouts;
    /* What was told at the deadline does not change any more. */
    if (status == ARES_SUCCESS && !query->done) {
        int family = self->record == IO_A ? AF_INET : AF_INET6;
        for (const struct ares_addrinfo_node *at = result->nodes; at; at = at->ai_next) {
            union uv_sockaddr addr = {.any = {.sa_family = AF_UNSPEC}};
            if (at->ai_family != family || (size_t)at->ai_addrlen > sizeof(addr) ||
                query->addr_count == IO_QUERY_ADDRS)
                continue;
            memcpy(&addr, at->ai_addr, (size_t)at->ai_addrlen);
            if (p2p__uv_sockaddr_decode(&addr, &query->addrs[query->addr_count]))
                query->addrs[query->addr_count++].port = 0;
        }
    }
    if (result)
        ares_freeaddrinfo(result);
    answered(self, status, query->addr_count);
}

/* A record is a chain of strings, which are joined (RFC 7208, 3.3, as everyone does). */
static void copy_txts(struct io_query *query, const struct ares_txt_ext *at)
{
    while (at && query->txt_count < IO_QUERY_TXTS) {
        struct io_txt *txt = &query->txts[query->txt_count];
        bool fits = true;
        txt->len = 0;
        do {
            fits = fits && at->length <= IO_TXT_MAX - txt->len;
            if (fits && at->length) {
                memcpy(txt->bytes + txt->len, at->txt, at->length);
                txt->len += at->length;
            }
            at = at->next;
        } while (at && !at->record_start);
        query->txt_count += fits;
    }
}

static void on_txts(void *user, int status, int timeouts, unsigned char *reply, int reply_len)
{
    struct uv_query *self = user;
    struct ares_txt_ext *parsed = NULL;
    (void)timeouts;
    if (status == ARES_SUCCESS && !self->query.done) {
        status = ares_parse_txt_reply_ext(reply, reply_len, &parsed);
        if (status == ARES_SUCCESS)
            self->query.txts = p2p__alloc(IO_QUERY_TXTS * sizeof(struct io_txt));
        if (status == ARES_SUCCESS && !self->query.txts)
            status = ARES_ENOMEM;
        if (status == ARES_SUCCESS)
            copy_txts(&self->query, parsed);
        if (parsed)
            ares_free_data(parsed);
    }
    answered(self, status, self->query.txt_count);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

/* Sets the timer to what is next: a timeout of c-ares, or a deadline. */
static void arm(struct uv_dns *self)
{
    uint64_t now_us = uv_hrtime() / 1000, at_us = UINT64_MAX;
    struct timeval next, *wanted = ares_timeout(self->channel, NULL, &next);
    if (wanted)
        at_us = now_us + (uint64_t)wanted->tv_sec * 1000000 + (uint64_t)wanted->tv_usec;
    for (struct list *node = self->queries.next; node != &self->queries; node = node->next) {
        struct uv_query *query = P2P__CONTAINER(node, struct uv_query, node);
        if (!query->query.done && !query->ended && query->deadline_us < at_us)
            at_us = query->deadline_us;
    }
    uv_timer_stop(&self->timer);
    /* Rounded up, and never zero: see p2p__uv_wake_at. */
    if (at_us != UINT64_MAX)
        uv_timer_start(&self->timer, on_timer, at_us > now_us ? (at_us - now_us) / 1000 + 1 : 1, 0);
}

static void expire(struct uv_dns *self)
{
    uint64_t now_us = uv_hrtime() / 1000;
    for (struct list *node = self->queries.next; node != &self->queries; node = node->next) {
        struct uv_query *query = P2P__CONTAINER(node, struct uv_query, node);
        if (query->deadline_us <= now_us)
            tell(query, P2P_ETIMEDOUT, NULL);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct uv_dns *self = timer->data;
    uv_update_time(self->io->loop);
    ares_process_fd(self->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    expire(self);
    arm(self);
}

/* ---- sockets ---- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct uv_watch *watch = poll->data;
    struct uv_dns *self = watch->io->dns;
    ares_socket_t fd = watch->fd;
    /* An error is met by c-ares when it reads or writes. The watch may be gone afterwards. */
    bool reads = status < 0 || (events & UV_READABLE),
         writes = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(self->channel, reads ? fd : ARES_SOCKET_BAD, writes ? fd : ARES_SOCKET_BAD);
    arm(self);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct uv_watch *watch = handle->data;
    struct uv_io *io = watch->io;
    p2p__free(watch);
    p2p__uv_unref(io);
}

static struct uv_watch *watch_find(const struct uv_dns *self, int fd)
{
    for (struct list *node = self->watches.next; node != &self->watches; node = node->next) {
        struct uv_watch *watch = P2P__CONTAINER(node, struct uv_watch, node);
        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static struct uv_watch *watch_new(struct uv_dns *self, int fd)
{
    struct uv_watch *watch = p2p__alloc(sizeof(*watch));
    if (!watch || uv_poll_init_socket(self->io->loop, &watch->poll, fd) != 0) {
        p2p__free(watch);
        return NULL;
    }
    watch->io = self->io;
    watch->fd = fd;
    watch->poll.data = watch;
    self->io->handles++;
    list_append(&self->watches, &watch->node);
    return watch;
}

/* c-ares wants to read or write; neither: it is about to close the socket. A socket that cannot be
 * watched is silent: c-ares will time out. */
static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
    struct uv_dns *self = user;
    struct uv_watch *watch = watch_find(self, fd);
    if (!readable && !writable) {
        if (watch) {
            list_remove(&watch->node);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return;
    }
    if (!watch)
        watch = watch_new(self, fd);
    if (watch)
        uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                      on_ready);
}

/* ---- the channel ---- */

static int set_servers(struct uv_dns *self)
{
    struct ares_addr_port_node nodes[IO_NAME_SERVERS] = {0};
    size_t count = self->io->name_server_count;
    for (size_t i = 0; i < count; i++) {
        const struct io_addr *server = &self->io->name_servers[i];
        nodes[i].family = server->family == 4 ? AF_INET : AF_INET6;
        nodes[i].udp_port = nodes[i].tcp_port = server->port ? server->port : IO_NAME_PORT;
        memcpy(&nodes[i].addr, server->ip, server->family == 4 ? 4 : 16);
        nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
    }
    return count ? ares_set_servers_ports(self->channel, nodes) : ARES_SUCCESS;
}

/* While nothing is asked the channel is made anew, for the system's name servers may have changed.
 * c-ares must be initialized as a library on Windows only. */
static int channel_open(struct uv_dns *self)
{
    char lookups[] = "fb"; /* the hosts file, then the name servers, whatever the system's order */
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = TRY_MS,
        .tries = TRIES,
        .ednspsz = IO_EDNS_BYTES,
        .lookups = lookups,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = self,
    };
    if (self->open && self->asked)
        return 0;
    if (self->open)
        ares_destroy(self->channel);
    self->open =
        ares_init_options(&self->channel, &options,
                          ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                              ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB) == ARES_SUCCESS;
    if (!self->open)
        return P2P_ENOMEM;
    return set_servers(self) == ARES_SUCCESS ? 0 : P2P_ENOMEM;
}

static struct uv_dns *dns_of(struct uv_io *io)
{
    struct uv_dns *self = io->dns;
    if (self || !(self = p2p__alloc(sizeof(*self))))
        return self;
    self->io = io;
    list_init(&self->queries);
    list_init(&self->watches);
    uv_timer_init(io->loop, &self->timer);
    self->timer.data = self;
    io->handles++;
    io->dns = self;
    return self;
}

int p2p__uv_resolve(struct p2p_io *base, const char *name, enum io_record record,
                    uint64_t deadline_us, struct io_query **out)
{
    struct uv_io *io = (struct uv_io *)base;
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len > IO_NAME_MAX)
        return P2P_ERESOLVE;
    struct uv_dns *dns = dns_of(io);
    if (dns && dns->asked >= IO_QUERIES_MAX)
        return P2P_ELIMIT;
    struct uv_query *self = dns && channel_open(dns) == 0 ? p2p__alloc(sizeof(*self)) : NULL;
    if (!self)
        return P2P_ENOMEM;
    self->dns = dns;
    self->record = record;
    self->deadline_us = deadline_us;
    list_append(&dns->queries, &self->node);
    dns->asked++;
    io->sockets++;
    /* No sorting: it would probe each address with a socket. */
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT,
        .ai_family = record == IO_A ? AF_INET : AF_INET6,
        .ai_socktype = SOCK_STREAM,
    };
    if (record == IO_TXT)
        ares_query(dns->channel, name, ns_c_in, ns_t_txt, on_txts, self);
    else
        ares_getaddrinfo(dns->channel, name, NULL, &hints, on_addrs, self);
    uv_update_time(io->loop);
    arm(dns);
    *out = &self->query;
    return 0;
}

void p2p__uv_resolve_end(struct io_query *query)
{
    struct uv_query *self = (struct uv_query *)query;
    self->dns->io->sockets--;
    self->ended = true;
    if (self->answered) {
        p2p__free(query->txts);
        p2p__free(self);
    }
}

void p2p__uv_name_servers(struct p2p_io *base, const struct io_addr *servers, size_t count)
{
    struct uv_io *self = (struct uv_io *)base;
    assert(count <= IO_NAME_SERVERS);
    if (count)
        memcpy(self->name_servers, servers, count * sizeof(*servers));
    self->name_server_count = count;
}

static void on_dns_closed(uv_handle_t *handle)
{
    struct uv_dns *self = handle->data;
    struct uv_io *io = self->io;
    p2p__free(self);
    p2p__uv_unref(io);
}

void p2p__uv_dns_close(struct uv_io *io)
{
    struct uv_dns *self = io->dns;
    if (!self)
        return;
    if (self->open)
        ares_destroy(self->channel);
    assert(self->asked == 0 && list_empty(&self->watches));
    io->dns = NULL;
    uv_close((uv_handle_t *)&self->timer, on_dns_closed);
}
