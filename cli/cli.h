/* What every command shares: its arguments, its output, and the exit codes that programs rely on.
 * Include it first: libuv's header needs more than strict C11. */
#ifndef P2P_CLI_H
#define P2P_CLI_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/p2p.h>

#include "args.h"
#include "out.h"
#include "text.h"

/* curl's where one fits. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_ADDRESS = 3,     /* malformed address or peer id */
    EXIT_UNSUPPORTED = 4, /* not built in, or not possible with these options */
    EXIT_RESOLVE = 6,
    EXIT_CONNECT = 7,
    EXIT_READ = 26, /* cannot read a file */
    EXIT_TIMEOUT = 28,
    EXIT_HANDSHAKE = 35,
    EXIT_WRITE = 37, /* a file exists, or cannot be written */
    EXIT_LISTEN = 45,
    EXIT_SEND = 55,
    EXIT_RESET = 56,
    EXIT_PEER = 60,      /* another peer id than the one asked for */
    EXIT_SIGNALED = 128, /* plus the signal's number */
};

struct exit_info {
    int code;
    const char *text;
};

/* All of them; the table ends with a NULL text. */
extern const struct exit_info exit_infos[];

struct cli {
    const char *program; /* as the user called it */
    struct args args;
    struct out out;
    bool json;
    bool stream_on_stdout; /* then JSON goes to stderr */
    bool hurried;          /* a signal came: nobody waits for stdout any more */
};

struct command {
    const char *name; /* "ping", "key gen" */
    const char *usage;
    const char *summary;
    const char *details; /* may be NULL */
    uint32_t options;    /* bits 1 << enum option_id */
    int arg_min, arg_max;
    const char *arg_name;
    int (*run)(struct cli *cli); /* returns the exit code */
};

/* The table ends with a NULL name. */
extern const struct command commands[];

int key_gen_run(struct cli *cli);
int key_show_run(struct cli *cli);
int node_run(struct cli *cli);
int ping_run(struct cli *cli);
int identify_run(struct cli *cli);
int perf_run(struct cli *cli);
int cat_run(struct cli *cli);
int peers_run(struct cli *cli);
int addrs_run(struct cli *cli);
int config_run(struct cli *cli);
int version_run(struct cli *cli);
int help_run(struct cli *cli);

/* Everything that begins with these words ("key" shows both of its commands), or the overview. */
void help_add(struct text *out, const char *program, const char *words);
/* The command of these words; *used gets how many. NULL: there is none. */
const struct command *command_find(const char *const *words, int count, int *used);

/* ---- report.c: what went wrong, for people and for programs. Each returns the exit code. ---- */

/* connected: what failed came after the connection was open. */
int exit_of(int p2p_code, bool connected);

int report_error(struct cli *cli, const p2p_error *why, bool connected);
__attribute__((format(printf, 3, 4))) int report(struct cli *cli, int p2p_code, const char *format,
                                                 ...);
/* Adds where to read on. */
__attribute__((format(printf, 2, 3))) int report_usage(struct cli *cli, const char *format, ...);

/* A line for programs: to stdout, or to stderr where stdout carries a stream. Frees the text. */
void cli_json(struct cli *cli, struct text *line);
/* Text for people, to stdout. Frees the text. */
void cli_print(struct cli *cli, struct text *line);

#endif
