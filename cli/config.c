/* Reads the configuration: the file first, so that what goes before it can replace it. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"

enum {
    WHY_MAX = 512,
    FILE_MAX = 1 << 20, /* far more than all options at their longest */
};

/* What the library knows nothing of. */
static const p2p_option own_options[] = {
    {"control", "$XDG_RUNTIME_DIR/p2p/NAME.sock",
     "socket on which a node answers \"p2p peers\" and the like; empty: none", P2P_OPTION_TEXT},
};

/* Options of the library that have a flag. */
static const struct {
    const char *name;
    enum option_id id;
} flags[] = {
    {"security", OPT_SECURITY},
    {"muxer", OPT_MUXER},
    {"listen", OPT_LISTEN},
    {"identity", OPT_KEY},
    {"psk", OPT_PSK},
    {"control", OPT_CONTROL},
    {"handshake_timeout", OPT_TIMEOUT},
};
#define FLAG_COUNT (sizeof(flags) / sizeof(*flags))

static size_t library_count(void)
{
    size_t n = 0;
    while (p2p_option_at(n))
        n++;
    return n;
}

const p2p_option *settings_option(size_t index)
{
    size_t library = library_count();
    size_t own = sizeof(own_options) / sizeof(*own_options);
    return index < library         ? p2p_option_at(index)
           : index < library + own ? &own_options[index - library]
                                   : NULL;
}

/* Past the end: there is none of that name. */
static size_t find(const char *name)
{
    size_t i = 0;
    while (settings_option(i) && strcmp(settings_option(i)->name, name) != 0)
        i++;
    return i;
}

bool settings_given(const struct settings *self, const char *name)
{
    return self->settings[find(name)].from != FROM_DEFAULT;
}

const char *settings_get(const struct settings *self, const char *name)
{
    size_t i = find(name);
    return p2p_option_at(i) ? p2p_config_get(self->config, name) : self->settings[i].value;
}

/* What a node is told to do is not meant for the command that dials it from the same shell. */
static bool for_nodes_only(const char *name)
{
    return strcmp(name, "listen") == 0 || strcmp(name, "services") == 0;
}

/* ---- one value ---- */

static int replace_own(struct setting *setting, const char *value)
{
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return P2P_ENOMEM;
    free(setting->value);
    setting->value = copy;
    return 0;
}

/* where: for the sentence, if it is none of its values. */
static int put(struct settings *self, const char *name, const char *value, enum origin from,
               size_t line, const char *where)
{
    char why[WHY_MAX] = "out of memory";
    size_t i = find(name);
    bool own = settings_option(i) && !p2p_option_at(i);
    int rc = 0;
    if (own)
        rc = replace_own(&self->settings[i], value);
    else if (settings_option(i) && self->settings[i].from != from)
        rc = p2p_config_set(self->config, name, NULL, NULL, 0); /* a list begins anew */
    if (!own && rc == 0)
        rc = p2p_config_set(self->config, name, value, why, sizeof(why));
    if (rc == P2P_EINVAL || rc == P2P_ENOENT)
        return report_usage(self->cli, "%s: %s", where, why);
    if (rc < 0)
        return report(self->cli, rc, "%s: %s", where, why);
    if (!self->serve && from < FROM_SET && for_nodes_only(name))
        return p2p_config_set(self->config, name, NULL, NULL, 0);
    self->settings[i].from = from;
    self->settings[i].line = line;
    return 0;
}

/* ---- the file ---- */

static int read_whole(struct settings *self, FILE *file, struct text *out)
{
    char bytes[4096];
    size_t n;
    while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        text_add_n(out, bytes, n);
        if (out->len > FILE_MAX)
            return report(self->cli, P2P_EFILE, "%s is longer than a configuration can be",
                          self->file.data);
    }
    if (ferror(file))
        return report(self->cli, P2P_EFILE, "cannot read %s: %s", self->file.data, strerror(errno));
    if (out->len && memchr(out->data, '\0', out->len))
        return report(self->cli, P2P_EFILE, "%s is not a text", self->file.data);
    return 0;
}

static int set_lines(struct settings *self, const char *at)
{
    char name[P2P_OPTION_NAME_MAX], value[P2P_OPTION_VALUE_MAX];
    struct text where = {0};
    size_t line = 0;
    int rc, code = 0;
    while (!code && (rc = p2p_option_next(&at, &line, name, value)) != 0) {
        where.len = 0;
        text_addf(&where, "%s:%zu", self->file.data, line);
        if (rc == P2P_ETOOBIG)
            code = report_usage(self->cli, "%s: the line is too long", where.data);
        else if (rc < 0)
            code = report_usage(self->cli, "%s: not \"name = value\"", where.data);
        else
            code = put(self, name, value, FROM_FILE, line, where.data);
    }
    text_free(&where);
    return code;
}

/* To open a named pipe as usual would keep us until somebody writes; a second is enough. */
static FILE *open_at_once(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct pollfd bytes = {.fd = fd, .events = POLLIN};
    if (fd < 0)
        return NULL;
    (void)poll(&bytes, 1, 1000);
    int mode = fcntl(fd, F_GETFL);
    if (mode >= 0)
        (void)fcntl(fd, F_SETFL, mode & ~O_NONBLOCK);
    FILE *file = fdopen(fd, "r");
    if (!file)
        close(fd);
    return file;
}

/* Only a file that was asked for must be there. */
static int set_file(struct settings *self)
{
    const char *named = args_value(&self->cli->args, OPT_CONFIG);
    struct text content = {0};
    if (!named)
        named = environment("P2P_CONFIG");
    if (named)
        text_add(&self->file, named);
    else if (!path_config(&self->file, "config"))
        return 0;
    if (self->file.len == 0)
        return 0; /* --config "" */
    FILE *file = open_at_once(self->file.data);
    if (!file && !named && (errno == ENOENT || errno == ENOTDIR)) {
        text_free(&self->file);
        return 0;
    }
    if (!file)
        return report(self->cli, P2P_EFILE, "cannot read %s: %s", self->file.data, strerror(errno));
    int code = read_whole(self, file, &content);
    fclose(file);
    if (!code && content.len)
        code = set_lines(self, content.data);
    text_free(&content);
    return code;
}

/* ---- the environment ---- */

/* "P2P_DIAL_TIMEOUT" from "dial_timeout". */
static void variable_of(const char *name, char out[P2P_OPTION_NAME_MAX])
{
    snprintf(out, P2P_OPTION_NAME_MAX, "P2P_%s", name);
    for (char *c = out; *c; c++)
        *c = (char)toupper((unsigned char)*c);
}

static int set_environment(struct settings *self)
{
    const p2p_option *option;
    int code = 0;
    for (size_t i = 0; !code && (option = settings_option(i)); i++) {
        char variable[P2P_OPTION_NAME_MAX];
        variable_of(option->name, variable);
        const char *value = environment(variable);
        if (value)
            code = put(self, option->name, value, FROM_ENVIRONMENT, 0, variable);
    }
    return code;
}

/* ---- the command line ---- */

static int set_o(struct settings *self)
{
    const char *assignment;
    int code = 0;
    for (size_t at = 0; !code && (assignment = args_each(&self->cli->args, OPT_SET, &at));) {
        char name[P2P_OPTION_NAME_MAX];
        size_t len = strcspn(assignment, "=");
        if (!assignment[len] || len == 0)
            return report_usage(self->cli, "-o wants KEY=VALUE, not \"%s\"", assignment);
        if (len >= sizeof(name))
            return report_usage(self->cli, "-o: there is no option \"%.60s...\"", assignment);
        memcpy(name, assignment, len);
        name[len] = '\0';
        code = put(self, name, assignment + len + 1, FROM_SET, 0, "-o");
    }
    return code;
}

static bool is_first(const struct args *args, enum option_id id, size_t at)
{
    for (size_t i = 0; i + 1 < at; i++)
        if (args->given[i].id == id && strcmp(args->given[i].value, args->given[at - 1].value) == 0)
            return false;
    return true;
}

static int set_flag(struct settings *self, const char *name, enum option_id id)
{
    const char *value;
    char from[P2P_OPTION_NAME_MAX];
    int code = 0;
    snprintf(from, sizeof(from), "--%s", option_infos[id].name);
    for (size_t at = 0; !code && (value = args_each(&self->cli->args, id, &at));) {
        if (!option_takes(id, value))
            return report_usage(self->cli, "%s wants one of: %s; not \"%s\"", from,
                                option_infos[id].choices, value);
        /* An empty variable of a script must not mean "no private network" or "another identity".
         */
        if (!*value && (id == OPT_KEY || id == OPT_PSK))
            return report_usage(self->cli, "%s wants the name of a file", from);
        if (is_first(&self->cli->args, id, at))
            code = put(self, name, value, FROM_FLAG, 0, from);
    }
    return code;
}

/* A handshake may take as long as --timeout says; the library's own limit could be shorter. */
static int set_timeout(struct settings *self)
{
    char text[32];
    int ms, code = args_ms(self->cli, OPT_TIMEOUT, 1, 0, &ms);
    if (code || !ms || self->settings[find("handshake_timeout")].from == FROM_SET)
        return code;
    snprintf(text, sizeof(text), "%dms", ms);
    return put(self, "handshake_timeout", text, FROM_FLAG, 0, "--timeout");
}

static int set_flags(struct settings *self)
{
    int code = 0;
    for (size_t i = 0; !code && i < FLAG_COUNT; i++) {
        if (flags[i].id == OPT_TIMEOUT)
            code = set_timeout(self);
        else if (flags[i].id != OPT_LISTEN)
            code = set_flag(self, flags[i].name, flags[i].id);
        else if (args_value(&self->cli->args, OPT_LISTEN)) /* the node listens, one by one */
            code = put(self, "listen", "", FROM_FLAG, 0, "--listen");
    }
    return code;
}

/* ---- all of it ---- */

static int begin(struct settings *self, struct cli *cli, bool serve)
{
    *self = (struct settings){.cli = cli, .serve = serve, .config = p2p_config_new()};
    size_t count = find("");
    self->settings = calloc(count + 1, sizeof(*self->settings));
    if (self->config && self->settings)
        return 0;
    settings_close(self);
    (void)report(cli, P2P_ENOMEM, "out of memory");
    return EXIT_OTHER;
}

int settings_open(struct settings *self, struct cli *cli, bool serve)
{
    int code = begin(self, cli, serve);
    if (code)
        return code;
    if (serve)
        (void)p2p_config_set(self->config, "services", "identify,ping,perf,echo", NULL, 0);
    code = set_file(self);
    if (!code)
        code = set_environment(self);
    if (!code)
        code = set_o(self);
    if (!code)
        code = set_flags(self);
    if (code)
        settings_close(self);
    return code;
}

void settings_close(struct settings *self)
{
    for (size_t i = 0; self->settings && settings_option(i); i++)
        free(self->settings[i].value);
    free(self->settings);
    p2p_config_free(self->config);
    text_free(&self->file);
    *self = (struct settings){0};
}

void settings_add_where(const struct settings *self, size_t index, struct text *out)
{
    const char *name = settings_option(index)->name;
    char variable[P2P_OPTION_NAME_MAX];
    switch (self->settings[index].from) {
    case FROM_DEFAULT:
        break;
    case FROM_FILE:
        text_addf(out, "%s:%zu", self->file.data, self->settings[index].line);
        break;
    case FROM_ENVIRONMENT:
        variable_of(name, variable);
        text_add(out, variable);
        break;
    case FROM_SET:
        text_add(out, "-o");
        break;
    case FROM_FLAG:
        for (size_t i = 0; i < FLAG_COUNT; i++)
            if (strcmp(flags[i].name, name) == 0)
                text_addf(out, "--%s", option_infos[flags[i].id].name);
    }
}

int settings_check(struct cli *cli)
{
    struct settings self;
    int code = begin(&self, cli, true);
    if (code)
        return code;
    code = set_o(&self);
    settings_close(&self);
    return code;
}
