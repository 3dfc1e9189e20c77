/* Command lines: "--name VALUE", "--name=VALUE", "-n VALUE", "-nVALUE"; options may stand anywhere;
 * "--" ends them. */
#ifndef P2P_CLI_ARGS_H
#define P2P_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli;
struct command;

enum option_id {
    OPT_COUNT,
    OPT_INTERVAL,
    OPT_UPLOAD,
    OPT_DOWNLOAD,
    OPT_PROTOCOL,
    OPT_TYPE,
    OPT_OUT,
    OPT_LISTEN,
    OPT_KEY,
    OPT_SECURITY,
    OPT_MUXER,
    OPT_PSK,
    OPT_TIMEOUT,
    OPT_CONFIG,
    OPT_CONTROL,
    OPT_VIA,
    OPT_STDIO,
    OPT_KNOWN,
    OPT_SET,
    OPT_JSON,
    OPT_HELP,
    OPT_END
};

#define OPT_BIT(id) ((uint32_t)1 << (id))

struct option_info {
    const char *name;  /* without the dashes; NULL: it has a letter only */
    const char *value; /* what it takes, or NULL */
    const char *help;
    char letter;         /* or 0 */
    const char *choices; /* all values that there are, with spaces between, or NULL */
};

extern const struct option_info option_infos[OPT_END];

/* Is it one of its choices, if it has any? */
bool option_takes(enum option_id id, const char *value);

struct given {
    enum option_id id;
    const char *value;
};

struct args {
    const struct command *command; /* NULL: none was named */
    struct given *given;
    size_t given_count;
    const char **rest; /* the other arguments, without the command's name */
    size_t rest_count;
};

/* Fills cli->args. 0, or the exit code: what was wrong has been said. */
int args_parse(struct cli *cli, int argc, char **argv);
void args_free(struct args *self);

/* The last one given, or NULL. */
const char *args_value(const struct args *self, enum option_id id);
/* All of them: *at is 0 at first; NULL at the end. */
const char *args_each(const struct args *self, enum option_id id, size_t *at);

/* The value of an option, or `fallback` when it was not given. 0, or the exit code. */
int args_uint(struct cli *cli, enum option_id id, uint64_t max, uint64_t fallback, uint64_t *out);
/* K, M, G or T may follow (KiB, MiB...). */
int args_bytes(struct cli *cli, enum option_id id, uint64_t fallback, uint64_t *out);
/* Seconds, with a fraction perhaps, as milliseconds; at least min_ms. */
int args_ms(struct cli *cli, enum option_id id, int min_ms, int fallback_ms, int *out);

#endif
