/* Standard output. A thread writes it, so that a reader that does not read stops neither the
 * network nor the handling of signals: what is not taken waits in a bounded queue. */
#ifndef P2P_CLI_OUT_H
#define P2P_CLI_OUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum {
    OUT_LINES_MAX = 4 << 20,    /* bytes of lines that nobody reads */
    OUT_STREAM_MAX = 512 << 10, /* bytes of a stream: enough to keep a pipe busy */
};

struct out_queue {
    char *data;
    size_t len, cap;
};

struct out {
    pthread_t thread;
    pthread_mutex_t lock;    /* over what follows */
    pthread_cond_t more;     /* for the thread: something to write */
    pthread_cond_t written;  /* from it */
    struct out_queue queued; /* to be written next */
    struct out_queue taken;  /* the thread's; len is 0 when it rests */
    int error;               /* errno of the write that failed, 0: none */
    bool started, stop, watched;
    uv_async_t async;
    void (*on_change)(void *user);
    void *user;
};

void out_init(struct out *self);
/* False when it does not fit, or when nothing can be written any more. */
bool out_append(struct out *self, const void *bytes, size_t len);
/* How many bytes of a stream it takes now. */
size_t out_room(struct out *self);
/* Waits until everything is written, or cannot be; false when the time was too short. -1: any. */
bool out_flush(struct out *self, int timeout_ms);
/* errno of what ended it, 0: nothing. */
int out_error(struct out *self);
/* Nobody reads it any more: the quiet end. */
bool out_closed(struct out *self);
/* on_change comes on the loop when something was written or failed. It does not keep the loop
 * alive. 0, or -1: no memory. */
int out_watch(struct out *self, uv_loop_t *loop, void (*on_change)(void *user), void *user);
void out_unwatch(struct out *self);
/* Ends the thread. False: it is stuck in a write, and only the end of the process ends it. */
bool out_fini(struct out *self);

#endif
