/* Names for the hosts of a test, in both worlds: in the simulator its own, on real sockets those of
 * a small DNS server on the loop. Include after tests/world.h. */
#ifndef P2P_TESTS_NAMES_H
#define P2P_TESTS_NAMES_H

#include <arpa/inet.h>

enum {
    NAMES_RECORDS_MAX = 1100,
    NAMES_UDP_MAX = 1232,        /* longer replies say that they are cut: TCP brings them whole */
    NAMES_REPLY_MAX = 16 * 1024, /* what fits no more is left out */
    NAMES_A = 1,
    NAMES_TXT = 16,
    NAMES_AAAA = 28,
};

struct names_record {
    char name[300];
    int type; /* 0: a fault */
    enum p2p_sim_name_fault fault;
    uint8_t data[1200];
    size_t data_len;
};

struct names {
    struct world *world;
    uv_udp_t server;
    uv_tcp_t stream_server;
    char option[64]; /* "dns_servers=..." for the hosts */
    const char *options[2];
    struct names_record *records;
    size_t count;
    int asked, asked_by_tcp;
    /* Writes a reply of its own behind the question's copy; returns the new length. */
    size_t (*hostile)(struct names *self, uint8_t *reply, size_t len);
    int hostile_kind;
    uint8_t in[NAMES_REPLY_MAX];
};

static inline void names_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct names *self = handle->data;
    (void)wanted;
    *out = uv_buf_init((char *)self->in, sizeof(self->in));
}

static inline void names_put16(uint8_t *out, size_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

/* The question's name as text, its type, and where it ends; 0: malformed. */
static inline size_t names_question(const uint8_t *in, size_t in_len, char name[256], int *type)
{
    size_t at = 12, n = 0;
    while (at < in_len && in[at] && at + in[at] < in_len && n + in[at] < 254) {
        memcpy(name + n, in + at + 1, in[at]);
        n += in[at];
        name[n++] = '.';
        at += in[at] + 1u;
    }
    if (at + 5 > in_len || n == 0)
        return 0;
    name[n - 1] = '\0';
    *type = in[at + 1] << 8 | in[at + 2];
    return at + 5;
}

static inline size_t names_answer(struct names *self, const char *name, int type, uint8_t *reply,
                                  size_t len, bool *silent)
{
    size_t answers = 0;
    bool exists = false;
    for (size_t i = 0; i < self->count; i++) {
        const struct names_record *r = &self->records[i];
        if (strcasecmp(r->name, name) != 0)
            continue;
        exists = true;
        if (r->type == 0 && r->fault != P2P_SIM_NAME_WORKS) {
            *silent = r->fault == P2P_SIM_NAME_SILENT;
            reply[3] = (uint8_t)(0x80 | (r->fault == P2P_SIM_NAME_MISSING ? 3 : 2));
            names_put16(reply + 6, 0);
            return len;
        }
        if (r->type != type || len + 12 + r->data_len > NAMES_REPLY_MAX)
            continue;
        uint8_t *at = reply + len;
        memcpy(at, (const uint8_t[]){0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0}, 12);
        names_put16(at + 2, (size_t)type);
        names_put16(at + 10, r->data_len);
        memcpy(at + 12, r->data, r->data_len);
        len += 12 + r->data_len;
        answers++;
    }
    names_put16(reply + 6, answers);
    if (!exists)
        reply[3] = 0x83;
    return len;
}

/* The reply's length, 0: none. */
static inline size_t names_reply(struct names *self, const uint8_t *in, size_t in_len,
                                 uint8_t reply[NAMES_REPLY_MAX])
{
    char name[256];
    int type = 0;
    bool silent = false;
    size_t len = in_len > 12 ? names_question(in, in_len, name, &type) : 0;
    if (!len)
        return 0;
    self->asked++;
    memset(reply, 0, NAMES_REPLY_MAX);
    memcpy(reply, in, len);
    memcpy(reply + 2, (const uint8_t[]){0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, 10);
    if (self->hostile)
        return self->hostile(self, reply, len);
    len = names_answer(self, name, type, reply, len, &silent);
    return silent ? 0 : len;
}

static inline void names_on_question(uv_udp_t *server, ssize_t n, const uv_buf_t *buf,
                                     const struct sockaddr *from, unsigned flags)
{
    uint8_t reply[NAMES_REPLY_MAX];
    size_t len = 0;
    (void)flags;
    if (n > 0 && from)
        len = names_reply(server->data, (uint8_t *)buf->base, (size_t)n, reply);
    if (len > NAMES_UDP_MAX) {
        len = NAMES_UDP_MAX;
        reply[2] |= 2;
    }
    uv_buf_t out = uv_buf_init((char *)reply, (unsigned)len);
    if (len)
        uv_udp_try_send(server, &out, 1, from);
}

static inline void names_on_closed(uv_handle_t *handle)
{
    free(handle);
}

/* A question is small and comes whole. */
static inline void names_on_stream(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct names *self = stream->data;
    uint8_t reply[2 + NAMES_REPLY_MAX];
    if (n < 0) {
        uv_close((uv_handle_t *)stream, names_on_closed);
        return;
    }
    size_t len = n > 2 ? names_reply(self, (uint8_t *)buf->base + 2, (size_t)n - 2, reply + 2) : 0;
    self->asked_by_tcp++;
    names_put16(reply, len);
    uv_buf_t out = uv_buf_init((char *)reply, (unsigned)len + 2);
    assert_int_equal(uv_try_write(stream, &out, 1), len + 2);
}

static inline void names_on_connection(uv_stream_t *server, int status)
{
    uv_tcp_t *stream = malloc(sizeof(*stream));
    assert_int_equal(status, 0);
    uv_tcp_init(server->loop, stream);
    stream->data = server->data;
    assert_int_equal(uv_accept(server, (uv_stream_t *)stream), 0);
    uv_read_start((uv_stream_t *)stream, names_alloc, names_on_stream);
}

/* Both at one port. TCP chooses it: there are always many of its ports in use, and hardly any of
 * UDP's, but some. */
static inline void names_sockets(struct sockaddr_in *at, int *stream, int *datagram)
{
    for (int i = 0; i < 100; i++) {
        socklen_t at_len = sizeof(*at);
        uv_ip4_addr("127.0.0.1", 0, at);
        *stream = socket(AF_INET, SOCK_STREAM, 0);
        *datagram = socket(AF_INET, SOCK_DGRAM, 0);
        assert_true(*stream >= 0 && *datagram >= 0);
        assert_int_equal(bind(*stream, (struct sockaddr *)at, sizeof(*at)), 0);
        assert_int_equal(getsockname(*stream, (struct sockaddr *)at, &at_len), 0);
        if (bind(*datagram, (struct sockaddr *)at, sizeof(*at)) == 0)
            return;
        close(*stream);
        close(*datagram);
    }
    fail_msg("no port is free for both");
}

/* The hosts of the world get self->options. */
static inline void names_init(struct names *self, struct world *world)
{
    *self = (struct names){.world = world};
    if (world->kind == WORLD_SIM)
        return;
    struct sockaddr_in at;
    self->records = calloc(NAMES_RECORDS_MAX, sizeof(*self->records));
    int stream, datagram;
    names_sockets(&at, &stream, &datagram);
    uv_tcp_init(&world->loop, &self->stream_server);
    self->stream_server.data = self;
    assert_int_equal(uv_tcp_open(&self->stream_server, stream), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&self->stream_server, 8, names_on_connection), 0);
    uv_udp_init(&world->loop, &self->server);
    self->server.data = self;
    assert_int_equal(uv_udp_open(&self->server, datagram), 0);
    uv_udp_recv_start(&self->server, names_alloc, names_on_question);
    snprintf(self->option, sizeof(self->option), "dns_servers=127.0.0.1:%d", ntohs(at.sin_port));
    self->options[0] = self->option;
}

/* Before world_fini, which runs the loop until it is gone. */
static inline void names_fini(struct names *self)
{
    if (self->world->kind == WORLD_SIM)
        return;
    uv_close((uv_handle_t *)&self->server, NULL);
    uv_close((uv_handle_t *)&self->stream_server, NULL);
    uv_run(&self->world->loop, UV_RUN_NOWAIT);
    free(self->records);
}

static inline struct names_record *names_new(struct names *self, const char *name, int type)
{
    assert_true(self->count < NAMES_RECORDS_MAX);
    struct names_record *r = &self->records[self->count++];
    snprintf(r->name, sizeof(r->name), "%s", name);
    r->type = type;
    return r;
}

static inline void names_add(struct names *self, const char *name, const char *ip)
{
    if (self->world->kind == WORLD_SIM) {
        assert_int_equal(p2p_sim_name(self->world->sim, name, ip), 0);
        return;
    }
    bool is_v6 = strchr(ip, ':') != NULL;
    struct names_record *r = names_new(self, name, is_v6 ? NAMES_AAAA : NAMES_A);
    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, ip, r->data), 1);
    r->data_len = is_v6 ? 16 : 4;
}

/* In strings of at most 200 bytes. */
static inline void names_txt(struct names *self, const char *name, const char *text)
{
    if (self->world->kind == WORLD_SIM) {
        assert_int_equal(p2p_sim_txt(self->world->sim, name, text), 0);
        return;
    }
    struct names_record *r = names_new(self, name, NAMES_TXT);
    for (size_t left = strlen(text); left; left = strlen(text)) {
        size_t n = left < 200 ? left : 200;
        assert_true(r->data_len + 1 + n <= sizeof(r->data));
        r->data[r->data_len++] = (uint8_t)n;
        memcpy(r->data + r->data_len, text, n);
        r->data_len += n;
        text += n;
    }
}

static inline void names_fault(struct names *self, const char *name, enum p2p_sim_name_fault fault)
{
    if (self->world->kind == WORLD_SIM)
        assert_int_equal(p2p_sim_name_fault(self->world->sim, name, fault), 0);
    else
        names_new(self, name, 0)->fault = fault;
}

#endif
