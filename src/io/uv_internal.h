/* What the files of the libuv backend share. Every one of them defines _GNU_SOURCE first: <uv.h>
 * does not compile under strict C11. */
#ifndef P2P_IO_UV_INTERNAL_H
#define P2P_IO_UV_INTERNAL_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <p2p/uv.h>

#include "io/io.h"

struct uv_post;
struct uv_dns;
struct uv_watch;

enum {
    /* Dead bytes for leftovers to move into, one fill, and the rest of a record that it cut. */
    UV_SCRATCH_LEN = IO_HEADROOM + IO_FILL_MAX + IO_RECORD_MAX,
};

struct uv_io {
    struct p2p_io base;
    uv_loop_t *loop;
    bool private_loop; /* loop is ours: p2p_io_poll */
    int busy;          /* calls on the stack that use the io after callbacks: no release yet */
    bool processing;
    bool detached;    /* the handles below are closing or closed */
    bool free_wanted; /* release the memory with the last handle */
    size_t handles;   /* not yet closed, links and listeners included */
    size_t sockets;   /* links, listeners, queries and jobs that their owner has not closed */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while a turn is due: the loop then polls without sleeping */
    bool turn_due, in_turn;
    uint64_t turn_now_us;
    uint64_t deadline_us; /* what wake_at asked for and has not fired; UINT64_MAX: none */
    uv_timer_t timer;
    uv_poll_t fine; /* on fine_fd, a timerfd made when first needed */
    int fine_fd;    /* -1: none */
    uv_async_t async;
    uv_mutex_t post_lock; /* over the four below */
    struct uv_post *post_first, *post_last;
    size_t post_count;
    bool post_closed;
    atomic_uintptr_t thread; /* the loop's */
    uint8_t *scratch;        /* UV_SCRATCH_LEN bytes, made by the first fill */
    struct link *borrower;   /* whose `in` may point into scratch */
    uint8_t *trains;         /* what UDP sockets received last, made by the first */
    struct uv_dns *dns;      /* made by the first question */
    struct uv_watch *watch;  /* of the interfaces, once asked for */
    struct io_addr name_servers[IO_NAME_SERVERS];
    size_t name_server_count; /* 0: the system's */
};

/* uv.c */
void p2p__uv_unref(struct uv_io *self); /* one of its handles is gone; the last frees a freed io */
void p2p__uv_leave(struct uv_io *self); /* the end of what began with busy++; may free */
void p2p__uv_close(struct uv_io *self, uv_handle_t *handle);

/* uv_turn.c */
void p2p__uv_turn_open(struct uv_io *self);
void p2p__uv_turn_close(struct uv_io *self);
uint64_t p2p__uv_now_us(struct p2p_io *base);
void p2p__uv_mark(struct p2p_io *base);
void p2p__uv_wake_at(struct p2p_io *base, uint64_t at_us);

/* uv_post.c */
void p2p__uv_on_async(uv_async_t *handle);
/* Refuses new posts, and runs those that wait. */
void p2p__uv_post_close(struct uv_io *self);
int p2p__uv_post(struct p2p_io *base, void (*fn)(void *user), void *user);
/* One that is sent later, which cannot fail then. NULL: no memory. */
struct uv_post *p2p__uv_post_new(void (*fn)(void *user), void *user);
/* From any thread, before the io is detached; the post is gone then. */
void p2p__uv_post_send(struct uv_io *self, struct uv_post *post);

/* uv_job.c */
int p2p__uv_job(struct p2p_io *base, void (*run)(void *user), void *user, struct io_job **out);
void p2p__uv_job_end(struct io_job *job);

/* uv_sock.c: a descriptor watched by the loop, a part of a link or a listener. */
struct uv_sock {
    struct uv_io *io;
    uv_poll_t poll;
    uv_poll_cb on_poll;
    void *memory; /* freed once the handle has closed */
    int fd;
    int armed;    /* enum uv_poll_event that the loop watches for */
    int repeated; /* reports of what the owner knew already */
};

/* Takes fd and memory, of which self is a part, also when it fails (negative errno). memory may be
 * NULL: the allocation failed. */
int p2p__uv_sock_open(struct uv_sock *self, struct uv_io *io, int fd, void *memory, uv_poll_cb cb);
void p2p__uv_sock_arm(struct uv_sock *self, int events);
void p2p__uv_sock_close(struct uv_sock *self);

/* uv_link.c: takes fd, also when it fails (P2P_ELIMIT). */
int p2p__uv_link_new(struct uv_io *io, int fd, bool connected, const struct io_addr *remote,
                     struct pool *pool, struct link **out, int *sys_errno);

/* uv_tcp.c */
int p2p__uv_dial(struct p2p_io *base, const struct io_addr *remote, const struct io_addr *local,
                 unsigned flags, struct pool *pool, struct link **out, int *sys_errno);
int p2p__uv_listen(struct p2p_io *base, const struct io_addr *at, struct io_listener **out,
                   int *sys_errno);
int p2p__uv_accept(struct io_listener *listener, struct pool *pool, struct link **out,
                   int *sys_errno);
void p2p__uv_resume(struct io_listener *listener);
void p2p__uv_unlisten(struct io_listener *listener);
/* Takes fd, which listens, and name (or NULL), also when it fails (P2P_ELIMIT). */
int p2p__uv_listener_new(struct uv_io *io, int fd, const struct io_addr *local,
                         struct io_local *name, struct io_listener **out, int *sys_errno);

/* uv_fds.c */
int p2p__uv_adopt(struct p2p_io *base, int read_fd, int write_fd, struct pool *pool,
                  struct link **out, int *sys_errno);

/* uv_local.c */
int p2p__uv_dial_local(struct p2p_io *base, const struct io_local *remote, struct pool *pool,
                       struct link **out, int *sys_errno);
int p2p__uv_listen_local(struct p2p_io *base, const struct io_local *at, struct io_listener **out,
                         int *sys_errno);
/* Whether a Unix socket's other end was made by this process. */
bool p2p__uv_same_process(int fd);
/* Nobody listens there any more; frees it. */
void p2p__uv_local_forget(struct io_local *name);

/* uv_udp.c */
int p2p__uv_udp(struct p2p_io *base, const struct io_addr *at, unsigned flags, struct io_udp **out,
                int *sys_errno);

/* uv_net.c */
union uv_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};
socklen_t p2p__uv_sockaddr_encode(const struct io_addr *addr, union uv_sockaddr *out);
/* False when it is neither IPv4 nor IPv6. */
bool p2p__uv_sockaddr_decode(const union uv_sockaddr *in, struct io_addr *out);
bool p2p__uv_local_addr(int fd, struct io_addr *out);
int p2p__uv_interfaces(struct p2p_io *base, struct io_interface *out, size_t cap);
size_t p2p__uv_fds_max(struct p2p_io *base);

/* uv_watch.c */
int p2p__uv_watch_interfaces(struct p2p_io *base);
void p2p__uv_watch_close(struct uv_io *self);

/* uv_dns.c */
int p2p__uv_resolve(struct p2p_io *base, const char *name, enum io_record record,
                    uint64_t deadline_us, struct io_query **out);
void p2p__uv_resolve_end(struct io_query *query);
void p2p__uv_name_servers(struct p2p_io *base, const struct io_addr *servers, size_t count);
void p2p__uv_dns_close(struct uv_io *self);

/* uv_poll.c */
int p2p__uv_poll_fd(const struct p2p_io *base);
int p2p__uv_poll_timeout_ms(const struct p2p_io *base);
void p2p__uv_poll_process(struct p2p_io *base);

#endif
