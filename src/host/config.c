#include "host/config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "host/log.h"
#include "host/resolve.h"

static const p2p_option options[] = {
#define P2P_X(id, name, kind, fallback, help) {name, fallback, help, P2P_OPTION_##kind},
    P2P__OPTIONS(P2P_X)
#undef P2P_X
};

const p2p_option *p2p_option_at(size_t index)
{
    return index < OPTION_COUNT ? &options[index] : NULL;
}

p2p_config *p2p_config_new(void)
{
    return p2p__alloc(sizeof(p2p_config));
}

void p2p_config_free(p2p_config *self)
{
    if (!self)
        return;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        p2p__free(self->value[i]);
    p2p_key_free(self->key);
    p2p__free(self);
}

p2p_config *p2p__config_clone(const p2p_config *config)
{
    p2p_config *self = p2p_config_new();
    if (!self || !config)
        return self;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!config->value[i])
            continue;
        self->value[i] = p2p__strndup(config->value[i], strlen(config->value[i]));
        if (!self->value[i])
            goto failed;
    }
    if (config->key && !(self->key = p2p_key_clone(config->key)))
        goto failed;
    return self;
failed:
    p2p_config_free(self);
    return NULL;
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit byte_units[] = {{"", 1},         {"K", 1 << 10},   {"KiB", 1 << 10},
                                         {"M", 1 << 20},  {"MiB", 1 << 20}, {"G", 1 << 30},
                                         {"GiB", 1 << 30}};
static const struct unit time_units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}};
static const struct unit no_units[] = {{"", 1}};

static int parse_number(const char *text, const struct unit *units, size_t unit_count,
                        uint64_t *out)
{
    uint64_t n = 0;
    if (*text < '0' || *text > '9')
        return P2P_EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > INT_MAX)
            return P2P_EINVAL;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(text, units[i].suffix) == 0) {
            *out = n * units[i].factor;
            return *out <= UINT32_MAX ? 0 : P2P_EINVAL;
        }
    }
    return P2P_EINVAL;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int parse(p2p_option_kind kind, const char *text, uint64_t *out)
{
    switch (kind) {
    case P2P_OPTION_INT:
        return parse_number(text, no_units, COUNT(no_units), out);
    case P2P_OPTION_BYTES:
        return parse_number(text, byte_units, COUNT(byte_units), out);
    case P2P_OPTION_MS:
        return parse_number(text, time_units, COUNT(time_units), out);
    case P2P_OPTION_BOOL:
        *out = strcmp(text, "true") == 0;
        return *out || strcmp(text, "false") == 0 ? 0 : P2P_EINVAL;
    case P2P_OPTION_TEXT:
    case P2P_OPTION_LIST:
        break;
    }
    return 0;
}

static const char *kind_text(p2p_option_kind kind)
{
    static const char *const text[] = {"text",
                                       "a comma-separated list",
                                       "a number",
                                       "a number of bytes such as 65536, 64K or 1M",
                                       "a time such as 500ms, 10s or 2m",
                                       "true or false"};
    return text[kind];
}

/* An item of a list is checked against what is built in as early as possible: when it is set. */
static int check_list(enum option_id id, const char *value)
{
    static const char *const securities[] = {"noise", "tls", "signed", "plaintext", NULL};
    static const char *const muxers[] = {"yamux", "mplex", NULL};
    const char *const *known = id == OPTION_SECURITY ? securities : muxers;
    struct io_addr servers[IO_NAME_SERVERS];
    uint8_t up_to[LOG_NOUNS];
    if (id == OPTION_LOG)
        return p2p__log_parse(value, up_to);
    if (id == OPTION_DNS_SERVERS)
        return p2p__name_servers_parse(value, servers) < 0 ? P2P_EINVAL : 0;
    if (id != OPTION_SECURITY && id != OPTION_MUXER)
        return 0;
    while (*value) {
        size_t len = strcspn(value, ","), i = 0;
        while (known[i] && (len != strlen(known[i]) || memcmp(value, known[i], len) != 0))
            i++;
        if (!known[i])
            return P2P_ENOTSUP;
        value += len + (value[len] == ',');
    }
    return 0;
}

static int append_item(char **list, const char *item)
{
    size_t old_len = *list ? strlen(*list) : 0, item_len = strlen(item);
    char *joined = p2p__realloc(NULL, old_len + item_len + 2);
    if (!joined)
        return P2P_ENOMEM;
    if (old_len) {
        memcpy(joined, *list, old_len);
        joined[old_len++] = ',';
    }
    memcpy(joined + old_len, item, item_len + 1);
    p2p__free(*list);
    *list = joined;
    return 0;
}

static int set(p2p_config *self, size_t i, const char *value)
{
    if (!value) {
        p2p__free(self->value[i]);
        self->value[i] = NULL;
        return 0;
    }
    if (options[i].kind == P2P_OPTION_LIST && *value)
        return append_item(&self->value[i], value);
    char *copy = p2p__strndup(value, strlen(value));
    if (!copy)
        return P2P_ENOMEM;
    p2p__free(self->value[i]);
    self->value[i] = copy;
    return 0;
}

int p2p_config_set(p2p_config *self, const char *name, const char *value, char *why, size_t why_cap)
{
    char text[200];
    uint64_t number = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        if (!value)
            return set(self, i, NULL);
        int rc = parse(options[i].kind, value, &number);
        if (rc < 0)
            snprintf(text, sizeof(text), "option %s wants %s, not \"%.60s\"", name,
                     kind_text(options[i].kind), value);
        else if ((rc = check_list((enum option_id)i, value)) < 0 && i == OPTION_LOG)
            snprintf(text, sizeof(text),
                     "option log wants levels such as info or dial=debug, not \"%.60s\"", value);
        else if (rc == P2P_EINVAL)
            snprintf(
                text, sizeof(text),
                "option %s wants addresses such as 192.0.2.53 or 127.0.0.1:5353, not \"%.60s\"",
                name, value);
        else if (rc < 0)
            snprintf(text, sizeof(text), "%s \"%.60s\" is not built in", name, value);
        else
            rc = set(self, i, value);
        if (why_cap)
            snprintf(why, why_cap, "%s",
                     rc == 0            ? ""
                     : rc == P2P_ENOMEM ? p2p_code_text(rc)
                                        : text);
        return rc;
    }
    if (why_cap)
        snprintf(why, why_cap, "there is no option \"%.60s\"", name);
    return P2P_ENOENT;
}

const char *p2p_config_get(const p2p_config *self, const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(options[i].name, name) == 0)
            return p2p__config_text(self, (enum option_id)i);
    return NULL;
}

int p2p_config_set_key(p2p_config *self, const p2p_key *key)
{
    p2p_key *copy = p2p_key_clone(key);
    if (!copy)
        return P2P_ENOMEM;
    p2p_key_free(self->key);
    self->key = copy;
    return 0;
}

const char *p2p__config_text(const p2p_config *self, enum option_id id)
{
    return self && self->value[id] ? self->value[id] : options[id].fallback;
}

uint64_t p2p__config_number(const p2p_config *self, enum option_id id)
{
    uint64_t number = 0;
    (void)parse(options[id].kind, p2p__config_text(self, id), &number);
    return number;
}
