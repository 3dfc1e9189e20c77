#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option_info option_infos[OPT_END] = {
    [OPT_COUNT] = {"count", "COUNT", "how many pings (default 3); 0: until interrupted", 'c', NULL},
    [OPT_INTERVAL] = {"interval", "SECONDS", "from ping to ping (default 1); 0: at once", 'i',
                      NULL},
    [OPT_UPLOAD] = {"upload", "BYTES", "how much to send; K, M or G may follow", 0, NULL},
    [OPT_DOWNLOAD] = {"download", "BYTES", "how much to receive; K, M or G may follow", 0, NULL},
    [OPT_PROTOCOL] = {"protocol", "PROTO", "the protocol to speak, e.g. /p2p/echo/1.0.0", 0, NULL},
    [OPT_TYPE] = {"type", "TYPE", "ed25519 (default), secp256k1, ecdsa or rsa", 't',
                  "ed25519 secp256k1 ecdsa rsa"},
    [OPT_OUT] = {"out", "FILE", "where to; without it, $XDG_CONFIG_HOME/p2p/identity.key", 0, NULL},
    [OPT_LISTEN] = {"listen", "MULTIADDR", "where to listen; may be repeated, port 0 is any", 0,
                    NULL},
    [OPT_KEY] = {"key", "FILE", "the identity; without it, a fresh one", 0, NULL},
    [OPT_SECURITY] = {"security", "NAME",
                      "noise (default), tls; in the clear: signed, plaintext; may be repeated", 0,
                      "noise tls signed plaintext"},
    [OPT_MUXER] = {"muxer", "NAME", "yamux (default) or mplex; may be repeated", 0, "yamux mplex"},
    [OPT_PSK] = {"psk", "FILE", "the key of a private network (swarm.key)", 0, NULL},
    [OPT_TIMEOUT] = {"timeout", "SECONDS", "until connected (default 10)", 0, NULL},
    [OPT_CONFIG] = {"config", "FILE",
                    "instead of $XDG_CONFIG_HOME/p2p/config; empty: no configuration file", 0,
                    NULL},
    [OPT_CONTROL] = {"control", "PATH", "the node's control socket; for a node, empty: none", 0,
                     NULL},
    [OPT_VIA] =
        {"via", "COMMAND",
         "the way to the peer: a command's input and output, as \"ssh host p2p node --stdio\"", 0,
         NULL},
    [OPT_STDIO] =
        {"stdio", NULL,
         "serve one peer over standard input and output; what else there is to say goes to "
         "standard error",
         0, NULL},
    [OPT_KNOWN] = {"known", NULL, "also those that the node remembers, with what it knows of them",
                   0, NULL},
    [OPT_SET] = {NULL, "KEY=VALUE", "set an option of the library (\"p2p help options\")", 'o',
                 NULL},
    [OPT_JSON] = {"json", NULL, "one JSON object a line, for programs", 0, NULL},
    [OPT_HELP] = {"help", NULL, "show this help", 'h', NULL},
};

bool option_takes(enum option_id id, const char *value)
{
    const char *at = option_infos[id].choices;
    size_t len = strlen(value);
    for (; at && *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, value, len) == 0)
            return true;
        at += word;
    }
    return !at;
}

/* ---- the command's name ---- */

/* Options that may stand before it; the one with a value hides its value from the search. */
static int skip_option(int argc, char **argv, int i)
{
    return strcmp(argv[i], "-o") == 0 && i + 1 < argc ? i + 2 : i + 1;
}

/* Takes the command's words out of argv (by making them NULL). */
static int find_command(struct cli *cli, int argc, char **argv)
{
    int i = 1, used = 0;
    const char *words[2] = {NULL, NULL};
    while (i < argc && argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--") != 0)
        i = skip_option(argc, argv, i);
    if (i == argc || argv[i][0] == '-')
        return 0;
    words[0] = argv[i];
    words[1] = i + 1 < argc ? argv[i + 1] : NULL;
    cli->args.command = command_find(words, words[1] ? 2 : 1, &used);
    if (cli->args.command) {
        for (int n = 0; n < used; n++)
            argv[i + n] = NULL;
        return 0;
    }
    if (strcmp(words[0], "key") != 0)
        return report_usage(cli, "there is no command \"%s\"", words[0]);
    if (!words[1])
        return report_usage(cli, "key: say what to do, gen or show");
    if (strcmp(words[1], "--help") != 0 && strcmp(words[1], "-h") != 0)
        return report_usage(cli, "key: there is gen and show, not \"%s\"", words[1]);
    return 0;
}

/* ---- options ---- */

static bool allowed(const struct cli *cli, enum option_id id)
{
    const uint32_t always = OPT_BIT(OPT_HELP) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_SET);
    uint32_t bits = cli->args.command ? cli->args.command->options : 0;
    return ((bits | always) & OPT_BIT(id)) != 0;
}

/* The option of that name, whose value may follow after '='; *value is then where. */
static enum option_id find_option(const struct cli *cli, const char *arg, const char **value)
{
    bool is_long = arg[1] == '-';
    size_t len = is_long ? strcspn(arg + 2, "=") : 1;
    *value = NULL;
    for (int id = 0; id < OPT_END; id++) {
        const struct option_info *info = &option_infos[id];
        bool same = is_long ? info->name && strlen(info->name) == len &&
                                  memcmp(info->name, arg + 2, len) == 0
                            : info->letter == arg[1];
        if (!same || !allowed(cli, (enum option_id)id))
            continue;
        if (is_long && arg[2 + len] == '=')
            *value = arg + 3 + len;
        else if (!is_long && arg[2])
            *value = arg + 2;
        return (enum option_id)id;
    }
    return OPT_END;
}

static int parse_option(struct cli *cli, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *value;
    int name_len = arg[1] == '-' ? (int)strcspn(arg, "=") : 2;
    enum option_id id = find_option(cli, arg, &value);
    if (id == OPT_END)
        return report_usage(cli, "there is no option \"%.*s\" here", name_len, arg);
    if (!option_infos[id].value && value)
        return report_usage(cli, "%.*s takes no value", name_len, arg);
    if (option_infos[id].value && !value) {
        if (*i + 1 >= argc || !argv[*i + 1])
            return report_usage(cli, "%s needs a value: %s %s", arg, arg, option_infos[id].value);
        value = argv[++*i];
    }
    cli->args.given[cli->args.given_count++] = (struct given){id, value ? value : ""};
    return 0;
}

/* Which version is there is asked in many ways. */
static const char *as_command(const char *arg)
{
    return strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0 ? "version" : NULL;
}

static int check_counts(struct cli *cli)
{
    const struct args *self = &cli->args;
    const struct command *command = self->command;
    if (!command || args_value(self, OPT_HELP))
        return 0;
    if (self->rest_count < (size_t)command->arg_min)
        return report_usage(cli, "%s needs a %s", command->name, command->arg_name);
    if (command->arg_max >= 0 && self->rest_count > (size_t)command->arg_max)
        return report_usage(cli, "%s does not know what to do with \"%s\"", command->name,
                            self->rest[command->arg_max]);
    return 0;
}

int args_parse(struct cli *cli, int argc, char **argv)
{
    struct args *self = &cli->args;
    bool ended = false;
    int code = 0;
    self->given = calloc((size_t)argc + 1, sizeof(*self->given));
    self->rest = calloc((size_t)argc + 1, sizeof(*self->rest));
    if (!self->given || !self->rest)
        return report(cli, P2P_ENOMEM, "out of memory");
    /* An error in the options is to be told as they ask for it. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
    if (argc > 1 && as_command(argv[1])) {
        const char *word = as_command(argv[1]);
        self->command = command_find(&word, 1, &(int){0});
        argv[1] = NULL;
    } else {
        code = find_command(cli, argc, argv);
    }
    if (self->command)
        cli->stream_on_stdout = self->command->run == cat_run;
    for (int i = 1; i < argc && code == 0; i++) {
        const char *arg = argv[i];
        if (!arg)
            continue;
        if (!ended && strcmp(arg, "--") == 0)
            ended = true;
        else if (!ended && arg[0] == '-' && arg[1])
            code = parse_option(cli, argc, argv, &i);
        else
            self->rest[self->rest_count++] = arg;
    }
    return code ? code : check_counts(cli);
}

void args_free(struct args *self)
{
    free(self->given);
    free(self->rest);
}

const char *args_each(const struct args *self, enum option_id id, size_t *at)
{
    while (*at < self->given_count) {
        const struct given *given = &self->given[(*at)++];
        if (given->id == id)
            return given->value;
    }
    return NULL;
}

const char *args_value(const struct args *self, enum option_id id)
{
    const char *last = NULL, *value;
    size_t at = 0;
    while ((value = args_each(self, id, &at)))
        last = value;
    return last;
}

/* ---- numbers ---- */

static int wants(struct cli *cli, enum option_id id, const char *what, const char *value)
{
    const struct option_info *info = &option_infos[id];
    if (info->letter)
        return report_usage(cli, "-%c wants %s, not \"%s\"", info->letter, what, value);
    return report_usage(cli, "--%s wants %s, not \"%s\"", info->name, what, value);
}

/* Digits, at most max; NULL if there are none or too many, else what follows them. */
static const char *parse_digits(const char *text, uint64_t max, uint64_t *out)
{
    if (*text < '0' || *text > '9')
        return NULL;
    uint64_t n = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (n > (max - digit) / 10)
            return NULL;
        n = n * 10 + digit;
    }
    *out = n;
    return text;
}

int args_uint(struct cli *cli, enum option_id id, uint64_t max, uint64_t fallback, uint64_t *out)
{
    const char *value = args_value(&cli->args, id);
    *out = fallback;
    if (!value)
        return 0;
    const char *end = parse_digits(value, max, out);
    if (end && !*end)
        return 0;
    char what[64];
    snprintf(what, sizeof(what), "a number from 0 to %llu", (unsigned long long)max);
    return wants(cli, id, what, value);
}

int args_bytes(struct cli *cli, enum option_id id, uint64_t fallback, uint64_t *out)
{
    const uint64_t max = INT64_MAX;
    const char *value = args_value(&cli->args, id);
    *out = fallback;
    if (!value)
        return 0;
    const char *end = parse_digits(value, max, out);
    unsigned shift = 0;
    if (end && *end) {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, *end == 'k' ? 'K' : *end);
        shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
        end = shift && (!end[1] || strcmp(end + 1, "iB") == 0) ? "" : NULL;
    }
    if (!end || *out > max >> shift)
        return wants(cli, id, "a number of bytes such as 65536, 64K, 100M or 2G", value);
    *out <<= shift;
    return 0;
}

int args_ms(struct cli *cli, enum option_id id, int min_ms, int fallback_ms, int *out)
{
    const uint64_t seconds_max = 1000000; /* eleven days, in milliseconds an int */
    const char *value = args_value(&cli->args, id);
    uint64_t seconds = 0, ms = 0;
    *out = fallback_ms;
    if (!value)
        return 0;
    const char *end = parse_digits(value, seconds_max, &seconds);
    if (end && *end == '.' && end[1]) {
        uint64_t place = 100;
        for (end++; *end >= '0' && *end <= '9'; end++, place /= 10)
            ms += place * (uint64_t)(*end - '0');
    }
    ms += seconds * 1000;
    if (!end || *end || ms < (uint64_t)min_ms) {
        return wants(cli, id,
                     min_ms ? "a number of seconds above 0, at most 1000000"
                            : "a number of seconds, at most 1000000",
                     value);
    }
    *out = (int)ms;
    return 0;
}
