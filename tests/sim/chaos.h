/* What the chaos test watches: every handle that it was ever given, and the promises made of it.
 * A broken promise is remembered with its time, and the scenario goes on to its end, so that the
 * memory it leaves can be judged as well. */
#ifndef P2P_TESTS_SIM_CHAOS_H
#define P2P_TESTS_SIM_CHAOS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/mem.h>
#include <p2p/p2p.h>
#include <p2p/sim.h>

enum {
    CHAOS_HOSTS_MAX = 8,
    CHAOS_STREAMS_MAX = 1024,
    CHAOS_OPS_MAX = 1024,
    CHAOS_CONNS_MAX = 4096,
    CHAOS_CREATIONS_MAX = 250, /* what the dice may open in all, so that every scenario ends */
    CHAOS_CLOSE_US = 5 * 1000 * 1000,
    CHAOS_SLACK_US = 10 * 1000,
    CHAOS_TAG_LEN = 4, /* a stream's first bytes say whose they are */
};

#define CHAOS_NEVER UINT64_MAX

struct chaos;

struct chaos_host {
    struct chaos *c;
    p2p_io *io;
    p2p_host *host; /* NULL: closed, or not restarted yet */
    p2p_peer_id peer;
    int index;
    unsigned region;
    bool closing;
    char ip[64], addr[256], peer_text[128];
    uint64_t close_at_us; /* the simulation's clock */
    uint64_t jumped_us;   /* by which its clock was set forward, in all */
    unsigned streams, ops, conns;
};

struct chaos_stream {
    struct chaos_host *at;
    p2p_stream *stream;
    struct chaos_stream *from; /* whose bytes come, once its tag has */
    uint32_t id;
    uint8_t tag[CHAOS_TAG_LEN];
    uint64_t to_send, sent, got;
    uint64_t open_due_us, due_us; /* the host's clock */
    bool outbound, opened, eof, last;
    bool ended, closed, reset; /* asked of it */
};

enum chaos_op_kind {
    CHAOS_AFTER,
    CHAOS_CONNECT,
    CHAOS_REQUEST,
};

struct chaos_op {
    struct chaos_host *at;
    p2p_op *op;
    enum chaos_op_kind kind;
    uint64_t due_us; /* the host's clock */
    bool canceled, last;
};

struct chaos_conn {
    struct chaos_host *at;
    p2p_conn *conn;
    bool last;
};

struct chaos {
    p2p_sim *sim;
    uint64_t seed, dice;
    bool cheap, gentle, loud, failed, in_call;
    bool quiet; /* nothing new any more */
    unsigned wild, faults;
    int host_count, segments;
    int partition[4];
    uint64_t end_us;
    uint64_t bytes_left; /* to be written by all streams together */
    unsigned creations;
    char failure[400];
    struct chaos_host hosts[CHAOS_HOSTS_MAX];
    struct chaos_stream streams[CHAOS_STREAMS_MAX];
    struct chaos_op ops[CHAOS_OPS_MAX];
    struct chaos_conn conns[CHAOS_CONNS_MAX];
    unsigned stream_count, op_count, conn_count;
};

/* ---- dice: of its own, so that they change nothing in the simulation's ---- */

static inline uint64_t roll(struct chaos *c, uint64_t below)
{
    uint64_t z = (c->dice += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static inline bool chance(struct chaos *c, unsigned percent)
{
    return roll(c, 100) < percent;
}

/* Small ones as often as large ones. */
static inline uint64_t roll_size(struct chaos *c, unsigned bits)
{
    return roll(c, (uint64_t)1 << (1 + roll(c, bits)));
}

/* ---- reporting ---- */

#define CHAOS_SAY(c, ...)                                                                          \
    do {                                                                                           \
        if ((c)->loud) {                                                                           \
            fprintf(stderr, "%10llu ", (unsigned long long)p2p_sim_now_us((c)->sim));              \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

#define CHAOS_EXPECT(c, condition, ...)                                                            \
    do {                                                                                           \
        if (!(condition) && !(c)->failed) {                                                        \
            int said = snprintf((c)->failure, sizeof((c)->failure),                                \
                                "at %llu us: ", (unsigned long long)p2p_sim_now_us((c)->sim));     \
            snprintf((c)->failure + said, sizeof((c)->failure) - (size_t)said, __VA_ARGS__);       \
            (c)->failed = true;                                                                    \
            CHAOS_SAY(c, "FAILED %s", (c)->failure);                                               \
        }                                                                                          \
    } while (0)

/* Every callback starts here: none may come from inside a call. */
static inline void chaos_enter(struct chaos *c, const char *what)
{
    CHAOS_EXPECT(c, !c->in_call, "%s came from inside a call", what);
}

/* ---- streams ---- */

static inline uint8_t chaos_byte(uint32_t id, uint64_t at)
{
    if (at < CHAOS_TAG_LEN)
        return (uint8_t)(id >> (8 * at));
    return (uint8_t)((at * 0x9e37u + id * 0x85ebu) >> 7);
}

static inline struct chaos_stream *chaos_stream_new(struct chaos_host *at, bool outbound)
{
    struct chaos *c = at->c;
    if (c->stream_count == CHAOS_STREAMS_MAX)
        abort();
    struct chaos_stream *s = &c->streams[c->stream_count];
    *s = (struct chaos_stream){.at = at,
                               .id = c->stream_count++,
                               .outbound = outbound,
                               .open_due_us = CHAOS_NEVER,
                               .due_us = CHAOS_NEVER};
    return s;
}

static inline uint64_t chaos_deadline(const struct chaos_host *at, int timeout_ms, int fallback_ms)
{
    if (timeout_ms < 0)
        return CHAOS_NEVER;
    return p2p_host_now_us(at->host) +
           (uint64_t)(timeout_ms ? timeout_ms : fallback_ms) * UINT64_C(1000);
}

static inline bool chaos_in_time(const struct chaos_host *at, uint64_t due_us)
{
    return due_us == CHAOS_NEVER ||
           p2p_host_now_us(at->host) <= due_us + at->jumped_us + CHAOS_SLACK_US;
}

/* In order and unchanged: what lies unread is what its sender wrote there. */
static inline void chaos_check_bytes(struct chaos_stream *s, const uint8_t *bytes, size_t len)
{
    struct chaos *c = s->at->c;
    for (size_t i = 0; i < len; i++) {
        uint64_t at = s->got + i;
        if (at < CHAOS_TAG_LEN)
            s->tag[at] = bytes[i];
        if (at == CHAOS_TAG_LEN - 1) {
            uint32_t id = 0;
            for (unsigned t = 0; t < CHAOS_TAG_LEN; t++)
                id |= (uint32_t)s->tag[t] << (8 * t);
            bool known = id < c->stream_count && c->streams[id].outbound != s->outbound;
            CHAOS_EXPECT(c, known, "stream %u got the bytes of nobody", s->id);
            s->from = known ? &c->streams[id] : NULL;
            CHAOS_EXPECT(c, !s->from || !s->from->from || s->from->from == s,
                         "stream %u got the bytes of another one's remote", s->id);
        }
        if (at < CHAOS_TAG_LEN || !s->from)
            continue;
        CHAOS_EXPECT(c, at < s->from->sent, "stream %u got byte %llu of %llu that stream %u wrote",
                     s->id, (unsigned long long)at, (unsigned long long)s->from->sent, s->from->id);
        CHAOS_EXPECT(c, bytes[i] == chaos_byte(s->from->id, at), "stream %u: wrong byte at %llu",
                     s->id, (unsigned long long)at);
    }
}

static inline void chaos_stream_opened(struct chaos_stream *s)
{
    struct chaos *c = s->at->c;
    CHAOS_SAY(c, "host %d stream %u open", s->at->index, s->id);
    CHAOS_EXPECT(c, !s->opened && !s->last, "stream %u opened twice, or late", s->id);
    CHAOS_EXPECT(c, !s->closed && !s->reset, "stream %u opened after its close", s->id);
    CHAOS_EXPECT(c, p2p_stream_protocol(s->stream) && p2p_stream_conn(s->stream),
                 "stream %u opened without a protocol or connection", s->id);
    CHAOS_EXPECT(c, p2p_stream_host(s->stream) == s->at->host, "stream %u: another host", s->id);
    s->opened = true;
    s->open_due_us = CHAOS_NEVER;
}

static inline void chaos_stream_told(struct chaos_stream *s, const char *what)
{
    chaos_enter(s->at->c, what);
    CHAOS_EXPECT(s->at->c, s->opened && !s->last && !s->closed && !s->reset,
                 "stream %u: %s before its open or after its end", s->id, what);
}

static inline void chaos_stream_eof(struct chaos_stream *s)
{
    struct chaos *c = s->at->c;
    size_t unread = 0;
    CHAOS_EXPECT(c, !s->eof, "stream %u ended twice", s->id);
    s->eof = true;
    const uint8_t *bytes = p2p_stream_peek(s->stream, &unread);
    chaos_check_bytes(s, bytes, unread);
    if (s->from)
        CHAOS_EXPECT(c, s->from->ended && s->got + unread == s->from->sent,
                     "stream %u ended after %llu of %llu bytes", s->id,
                     (unsigned long long)(s->got + unread), (unsigned long long)s->from->sent);
}

static inline void chaos_stream_last(struct chaos_stream *s, const p2p_error *why)
{
    struct chaos *c = s->at->c;
    CHAOS_SAY(c, "host %d stream %u close %s, sent %llu got %llu", s->at->index, s->id,
              why ? why->message : "in order", (unsigned long long)s->sent,
              (unsigned long long)s->got);
    CHAOS_EXPECT(c, !s->last, "stream %u closed twice", s->id);
    CHAOS_EXPECT(c, !why || (why->code < 0 && why->message), "stream %u: a hollow error", s->id);
    CHAOS_EXPECT(c, chaos_in_time(s->at, s->due_us) && chaos_in_time(s->at, s->open_due_us),
                 "stream %u outlived its deadline", s->id);
    if (!why && !s->closed) {
        CHAOS_EXPECT(c, s->ended && s->eof && !s->reset, "stream %u: not an orderly end", s->id);
        CHAOS_EXPECT(c, !s->from || s->got == s->from->sent,
                     "stream %u lost bytes in an orderly end", s->id);
    }
    if (why && c->gentle)
        CHAOS_EXPECT(c, c->quiet, "stream %u failed without a cause: %s", s->id, why->message);
    s->last = true;
    s->at->streams--;
}

/* ---- operations ---- */

static inline struct chaos_op *chaos_op_new(struct chaos_host *at, enum chaos_op_kind kind)
{
    struct chaos *c = at->c;
    if (c->op_count == CHAOS_OPS_MAX)
        abort();
    struct chaos_op *op = &c->ops[c->op_count++];
    *op = (struct chaos_op){.at = at, .kind = kind, .due_us = CHAOS_NEVER};
    at->ops++;
    return op;
}

static inline void chaos_op_last(struct chaos_op *op, const p2p_error *why)
{
    struct chaos *c = op->at->c;
    chaos_enter(c, "an operation's end");
    CHAOS_SAY(c, "host %d operation %d ends: %s", op->at->index, (int)(op - c->ops),
              why ? why->message : "done");
    CHAOS_EXPECT(c, !op->last, "an operation ended twice");
    CHAOS_EXPECT(c, !op->canceled || (why && why->code == P2P_ECANCELED),
                 "a canceled operation ended otherwise");
    CHAOS_EXPECT(c, chaos_in_time(op->at, op->due_us), "an operation outlived its deadline");
    if (op->kind == CHAOS_AFTER && !op->canceled) {
        CHAOS_EXPECT(c, !why || (why->code == P2P_ECANCELED && op->at->closing), "a timer failed");
        CHAOS_EXPECT(c, why || p2p_host_now_us(op->at->host) >= op->due_us, "a timer came early");
    }
    op->last = true;
    op->at->ops--;
}

/* ---- connections ---- */

static inline void chaos_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct chaos_host *at = user;
    struct chaos *c = at->c;
    chaos_enter(c, "on_connected");
    CHAOS_SAY(c, "host %d connection %llu", at->index, (unsigned long long)p2p_conn_id(conn));
    for (unsigned i = 0; i < c->conn_count; i++)
        CHAOS_EXPECT(c, c->conns[i].conn != conn || c->conns[i].last, "connected twice");
    CHAOS_EXPECT(c, p2p_conn_host(conn) == host && host == at->host, "connected to another host");
    if (c->conn_count == CHAOS_CONNS_MAX)
        abort();
    c->conns[c->conn_count++] = (struct chaos_conn){.at = at, .conn = conn};
    at->conns++;
}

static inline void chaos_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why,
                                      void *user)
{
    struct chaos_host *at = user;
    struct chaos *c = at->c;
    (void)host;
    chaos_enter(c, "on_disconnected");
    CHAOS_SAY(c, "host %d connection %llu ends: %s", at->index,
              (unsigned long long)p2p_conn_id(conn), why ? why->message : "?");
    CHAOS_EXPECT(c, why && why->code < 0 && why->message, "disconnected without a reason");
    struct chaos_conn *found = NULL;
    for (unsigned i = 0; i < c->conn_count; i++)
        if (c->conns[i].conn == conn && !c->conns[i].last)
            found = &c->conns[i];
    CHAOS_EXPECT(c, found && found->at == at, "disconnected, but never connected");
    for (unsigned i = 0; i < c->stream_count; i++) {
        const struct chaos_stream *s = &c->streams[i];
        CHAOS_EXPECT(c, s->at != at || s->last || p2p_stream_conn(s->stream) != conn,
                     "stream %u outlived its connection", s->id);
    }
    if (found)
        found->last = true;
    at->conns--;
}

static inline void chaos_host_closed(void *user, const p2p_error *why)
{
    struct chaos_host *at = user;
    struct chaos *c = at->c;
    chaos_enter(c, "a host's end");
    CHAOS_SAY(c, "host %d closed", at->index);
    CHAOS_EXPECT(c, !why && at->host, "a host ended twice, or with an error");
    CHAOS_EXPECT(c, at->streams == 0, "%u streams outlived their host", at->streams);
    CHAOS_EXPECT(c, at->ops == 0, "%u operations outlived their host", at->ops);
    CHAOS_EXPECT(c, at->conns == 0, "%u connections outlived their host", at->conns);
    CHAOS_EXPECT(c, p2p_sim_now_us(c->sim) - at->close_at_us <= CHAOS_CLOSE_US,
                 "closing a host took longer than five seconds");
    at->host = NULL;
}

/* ---- memory ---- */

struct chaos_memory {
    long blocks;
    size_t bytes;
};

/* One for the process, as p2p_mem_set is. */
static struct chaos_memory chaos_memory;

enum { CHAOS_MEM_HEAD = 16 };

static inline void *chaos_realloc(void *old, size_t size)
{
    uint8_t *base = old ? (uint8_t *)old - CHAOS_MEM_HEAD : NULL;
    size_t old_size = 0;
    if (base)
        memcpy(&old_size, base, sizeof(old_size));
    uint8_t *memory = realloc(base, size + CHAOS_MEM_HEAD);
    if (!memory)
        return NULL;
    memcpy(memory, &size, sizeof(size));
    chaos_memory.blocks += old == NULL;
    chaos_memory.bytes += size - old_size;
    return memory + CHAOS_MEM_HEAD;
}

static inline void *chaos_malloc(size_t size)
{
    return chaos_realloc(NULL, size);
}

static inline void chaos_free(void *memory)
{
    uint8_t *base = (uint8_t *)memory - CHAOS_MEM_HEAD;
    size_t size;
    memcpy(&size, base, sizeof(size));
    chaos_memory.blocks--;
    chaos_memory.bytes -= size;
    free(base);
}

#endif
