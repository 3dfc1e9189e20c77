/* The library's configuration: flags and -o first, then the environment. */
#include "cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WHY_MAX = 512,
    NAME_MAX_LEN = 64, /* no option's name comes near */
};

/* Does "name=..." set this option? */
static bool sets(const char *assignment, const char *name)
{
    size_t len = strlen(name);
    return strncmp(assignment, name, len) == 0 && assignment[len] == '=';
}

/* "P2P_DIAL_TIMEOUT" from "dial_timeout"; its value, or NULL when unset or empty. */
static const char *environment(const char *name, char *variable, size_t cap)
{
    snprintf(variable, cap, "P2P_%s", name);
    for (char *c = variable; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

static bool set_by_flag(const struct cli *cli, const char *name)
{
    static const struct {
        const char *name;
        enum option_id id;
    } flags[] = {{"security", OPT_SECURITY},
                 {"muxer", OPT_MUXER},
                 {"listen", OPT_LISTEN},
                 {"identity", OPT_KEY}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (strcmp(flags[i].name, name) == 0 && args_value(&cli->args, flags[i].id))
            return true;
    return false;
}

static bool set_by_o(const struct cli *cli, const char *name)
{
    const char *assignment;
    for (size_t at = 0; (assignment = args_each(&cli->args, OPT_SET, &at));)
        if (sets(assignment, name))
            return true;
    return false;
}

/* What a node is told to do is not meant for the command that dials it from the same shell. */
static bool for_nodes_only(const char *name)
{
    return strcmp(name, "listen") == 0 || strcmp(name, "services") == 0;
}

bool config_given(const struct cli *cli, const char *name, bool serve)
{
    char variable[NAME_MAX_LEN];
    if (set_by_o(cli, name) || set_by_flag(cli, name))
        return true;
    return serve && environment(name, variable, sizeof(variable));
}

static int set(struct cli *cli, p2p_config *config, const char *name, const char *value,
               const char *from)
{
    char why[WHY_MAX];
    int rc = p2p_config_set(config, name, value, why, sizeof(why));
    if (rc == 0)
        return 0;
    if (rc == P2P_EINVAL || rc == P2P_ENOENT)
        return report_usage(cli, "%s: %s", from, why);
    return report(cli, rc, "%s: %s", from, why);
}

static int set_o(struct cli *cli, p2p_config *config)
{
    const char *assignment;
    for (size_t at = 0; (assignment = args_each(&cli->args, OPT_SET, &at));) {
        char name[NAME_MAX_LEN];
        size_t len = strcspn(assignment, "=");
        if (!assignment[len] || len == 0)
            return report_usage(cli, "-o wants KEY=VALUE, not \"%s\"", assignment);
        snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 1, assignment);
        if (len >= sizeof(name))
            return report_usage(cli, "-o: there is no option \"%.60s...\"", assignment);
        int code = set(cli, config, name, assignment + len + 1, "-o");
        if (code)
            return code;
    }
    return 0;
}

/* Of --security and --muxer: is it one that exists, and was it not given before? */
static bool is_known(const char *value, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(value, *names) == 0)
            return true;
    return false;
}

static bool is_first(const struct args *args, enum option_id id, size_t at)
{
    for (size_t i = 0; i + 1 < at; i++)
        if (args->given[i].id == id && strcmp(args->given[i].value, args->given[at - 1].value) == 0)
            return false;
    return true;
}

static int set_list(struct cli *cli, p2p_config *config, enum option_id id,
                    const char *const *names, const char *names_text)
{
    const char *value, *name = option_infos[id].name;
    char from[NAME_MAX_LEN];
    snprintf(from, sizeof(from), "--%s", name);
    for (size_t at = 0; (value = args_each(&cli->args, id, &at));) {
        if (!is_known(value, names))
            return report_usage(cli, "%s wants %s, not \"%s\"", from, names_text, value);
        int code = is_first(&cli->args, id, at) ? set(cli, config, name, value, from) : 0;
        if (code)
            return code;
    }
    return 0;
}

static int set_flags(struct cli *cli, p2p_config *config)
{
    static const char *const securities[] = {"noise", "tls", "signed", "plaintext", NULL};
    static const char *const muxers[] = {"yamux", "mplex", NULL};
    const char *psk = args_value(&cli->args, OPT_PSK);
    int code = psk ? set(cli, config, "psk", psk, "--psk") : 0;
    if (!code)
        code = set_list(cli, config, OPT_SECURITY, securities, "noise, tls, signed or plaintext");
    if (!code)
        code = set_list(cli, config, OPT_MUXER, muxers, "yamux or mplex");
    const char *file = args_value(&cli->args, OPT_KEY);
    if (code || !file)
        return code;
    char why[WHY_MAX];
    p2p_key *key = NULL;
    int rc = p2p_key_load(file, &key, why, sizeof(why));
    if (rc < 0)
        return report(cli, rc, "cannot read the key: %s", why);
    rc = p2p_config_set_key(config, key);
    p2p_key_free(key);
    return rc < 0 ? report(cli, rc, "%s", p2p_code_text(rc)) : 0;
}

/* A handshake may take as long as --timeout says; the library's own limit could be shorter. */
static int set_timeout(struct cli *cli, p2p_config *config)
{
    char text[32];
    int ms, code = args_ms(cli, OPT_TIMEOUT, 1, 0, &ms);
    if (code || !ms || set_by_o(cli, "handshake_timeout"))
        return code;
    snprintf(text, sizeof(text), "%dms", ms);
    return set(cli, config, "handshake_timeout", text, "--timeout");
}

static int set_environment(struct cli *cli, p2p_config *config, bool serve)
{
    const p2p_option *option;
    for (size_t i = 0; (option = p2p_option_at(i)); i++) {
        char variable[NAME_MAX_LEN];
        const char *value = environment(option->name, variable, sizeof(variable));
        if (!value || set_by_o(cli, option->name) || set_by_flag(cli, option->name) ||
            (!serve && for_nodes_only(option->name)))
            continue;
        int code = set(cli, config, option->name, value, variable);
        if (code)
            return code;
    }
    return 0;
}

p2p_config *config_make(struct cli *cli, bool serve, int *code)
{
    p2p_config *config = p2p_config_new();
    if (!config) {
        *code = report(cli, P2P_ENOMEM, "out of memory");
        return NULL;
    }
    *code = set_o(cli, config);
    if (!*code)
        *code = set_environment(cli, config, serve);
    if (!*code)
        *code = set_timeout(cli, config);
    if (!*code)
        *code = set_flags(cli, config);
    if (!*code)
        return config;
    p2p_config_free(config);
    return NULL;
}

int config_check(struct cli *cli)
{
    p2p_config *config = p2p_config_new();
    int code = config ? set_o(cli, config) : report(cli, P2P_ENOMEM, "out of memory");
    p2p_config_free(config);
    return code;
}
