/* Options as lines of text: what p2p_open and configuration files hold. */
#include <stdbool.h>
#include <string.h>

#include <p2p/p2p.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* [*at, *end) without the blanks around it. */
static void trim(const char **at, const char **end)
{
    while (*at < *end && is_blank(**at))
        ++*at;
    while (*at < *end && is_blank((*end)[-1]))
        --*end;
}

static bool put(char *out, size_t cap, const char *at, const char *end)
{
    size_t len = (size_t)(end - at);
    if (len >= cap)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

static int split(const char *at, const char *end, char *name, char *value)
{
    const char *equals = memchr(at, '=', (size_t)(end - at));
    const char *name_end = equals, *value_at = equals ? equals + 1 : NULL;
    if (!equals)
        return P2P_EINVAL;
    trim(&at, &name_end);
    trim(&value_at, &end);
    if (at == name_end)
        return P2P_EINVAL;
    if (!put(name, P2P_OPTION_NAME_MAX, at, name_end) ||
        !put(value, P2P_OPTION_VALUE_MAX, value_at, end))
        return P2P_ETOOBIG;
    return 1;
}

int p2p_option_next(const char **text, size_t *line, char *name, char *value)
{
    *name = *value = '\0';
    while (**text) {
        const char *at = *text, *end = at + strcspn(at, "\n");
        *text = end + (*end == '\n');
        ++*line;
        trim(&at, &end);
        if (at < end && *at != '#')
            return split(at, end, name, value);
    }
    return 0;
}
