/* A host on a loop of the command's own, from the options to the graceful end. */
#ifndef P2P_CLI_SESSION_H
#define P2P_CLI_SESSION_H

#include "config.h"

#include <p2p/uv.h>

struct via;

struct session {
    struct cli *cli;
    struct settings settings;
    uv_loop_t loop;
    uv_signal_t signals[3]; /* to end, and SIGHUP */
    uv_timer_t watchdog, ticker;
    p2p_io *io;
    p2p_host *host;
    const char *target;   /* of a command that dials, or NULL */
    const char *protocol; /* that is spoken with it, or NULL */
    struct via *via;      /* --via's command, or NULL */
    int timeout_ms;       /* --timeout, 0: not given */
    int signal;           /* that came, or 0 */
    uint64_t signal_ms, begun_ms;
    int exit_code;
    bool ending;    /* nothing that happens from now on matters */
    bool connected; /* to the target */
    bool progress_shown;

    /* Hooks of the command, all optional, and what they get. */
    void (*on_start)(struct session *self); /* session_start: dial the target now */
    void (*on_connected)(struct session *self, p2p_conn *conn);
    void (*on_interrupt)(struct session *self);                     /* before the end begins */
    void (*on_end)(struct session *self);                           /* whoever ends it */
    void (*on_hangup)(struct session *self);                        /* session_catch_hangup */
    void (*on_written)(struct session *self);                       /* stdout took something */
    void (*on_progress)(struct session *self, struct text *status); /* "3 of 5 MiB" */
};

/* Reads the options and makes the host. serve: a node. 0, or the exit code: then there is nothing
 * to close. */
int session_open(struct session *self, struct cli *cli, bool serve);
/* Calls on_start as soon as the target can be dialed. */
void session_start(struct session *self, void (*on_start)(struct session *self));
/* The options of a dial. */
p2p_dial_opts session_dial_opts(const struct session *self);
/* From now on SIGHUP calls on_hangup, instead of ending the process. */
void session_catch_hangup(struct session *self, void (*on_hangup)(struct session *self));
/* Ends it; the first call decides about the exit code. Callbacks of the host still come. */
void session_end(struct session *self, int exit_code);
/* The same with an error: says what it was, unless we are ending already. */
void session_fail(struct session *self, const p2p_error *why);
/* Runs the loop until the end. Returns the exit code. */
int session_run(struct session *self);
/* Call it before something is shown; shows nothing more until progress is due again. */
void session_clear_progress(struct session *self);
/* user: the session. */
void session_on_warning(p2p_host *host, const p2p_error *why, void *user);

/* The facts of a connection, as members of an object. */
void json_conn(struct text *line, p2p_conn *conn);
/* {"event":"connected",...} */
void event_connected(struct text *line, p2p_conn *conn);

#endif
