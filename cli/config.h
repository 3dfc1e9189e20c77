/* What every option is set to, and by whom: the command line goes before -o, that before the
 * environment, that before the configuration file. */
#ifndef P2P_CLI_CONFIG_H
#define P2P_CLI_CONFIG_H

#include "cli.h"

enum origin {
    FROM_DEFAULT,
    FROM_FILE,
    FROM_ENVIRONMENT, /* P2P_KEY */
    FROM_SET,         /* -o */
    FROM_FLAG,        /* an option of the command: --key */
};

struct setting {
    enum origin from;
    size_t line; /* of the file */
    char *value; /* of the command's own options; the library's are in the p2p_config */
};

struct settings {
    struct cli *cli;
    p2p_config *config;
    struct setting *settings; /* in the order of settings_option */
    struct text file;         /* the configuration file's name; empty: there is none */
    bool serve;
};

/* serve: for a node, which also takes where to listen and what to serve from the file and the
 * environment. 0, or the exit code: then there is nothing to close. */
int settings_open(struct settings *self, struct cli *cli, bool serve);
void settings_close(struct settings *self);

/* The library's options, then the commands' own; NULL at the end. */
const p2p_option *settings_option(size_t index);
/* Was it set by anybody? */
bool settings_given(const struct settings *self, const char *name);
/* NULL: an option of the commands that was not set. What --listen says is not in it. */
const char *settings_get(const struct settings *self, const char *name);
/* "P2P_MEMORY", "/etc/p2p:3", "--key", "-o"; nothing for a default. */
void settings_add_where(const struct settings *self, size_t index, struct text *out);

/* Only checks what -o says; 0 or the exit code. */
int settings_check(struct cli *cli);

#endif
