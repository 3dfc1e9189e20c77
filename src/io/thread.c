#define _POSIX_C_SOURCE 200809L
#include "io/thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "io/io.h"

static void *thread_main(void *arg)
{
    struct p2p_io *io = arg;
    while (io->turn) {
        struct pollfd fd = {.fd = p2p_io_fd(io), .events = POLLIN};
        poll(&fd, 1, p2p_io_timeout_ms(io));
        p2p_io_process(io);
    }
    p2p_io_free(io);
    return NULL;
}

int p2p__io_thread_start(struct p2p_io *io)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0)
        return P2P_ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* Signals are the application's: they must not arrive on a thread that it does not know. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, &attr, thread_main, io);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc == 0 ? 0 : P2P_ENOMEM;
}
