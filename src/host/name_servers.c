#include <string.h>

#include "codec/ip_text.h"
#include "host/resolve.h"

static bool parse_port(const char *text, size_t text_len, uint16_t *out)
{
    unsigned long port = 0;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
        if (port > UINT16_MAX)
            return false;
    }
    *out = (uint16_t)port;
    return port > 0;
}

static bool parse_one(const char *text, size_t text_len, struct io_addr *out)
{
    const char *port = memchr(text, ':', text_len);
    size_t ip_len = text_len;
    *out = (struct io_addr){.family = 4};
    if (text_len && text[0] == '[') {
        const char *end = memchr(text, ']', text_len);
        if (!end || p2p__ip6_parse(text + 1, (size_t)(end - text) - 1, out->ip) < 0)
            return false;
        out->family = 6;
        ip_len = (size_t)(end - text) + 1;
        port = ip_len < text_len ? end + 1 : NULL;
        if (port && *port != ':')
            return false;
    } else if (port && memchr(port + 1, ':', text_len - (size_t)(port - text) - 1)) {
        out->family = 6; /* without a port it needs no brackets */
        return p2p__ip6_parse(text, text_len, out->ip) == 0;
    } else {
        if (port)
            ip_len = (size_t)(port - text);
        if (p2p__ip4_parse(text, ip_len, out->ip) < 0)
            return false;
    }
    return !port || parse_port(port + 1, text_len - ip_len - 1, &out->port);
}

int p2p__name_servers_parse(const char *list, struct io_addr *out)
{
    int count = 0;
    while (*list) {
        size_t len = strcspn(list, ",");
        if (count == IO_NAME_SERVERS || !parse_one(list, len, &out[count]))
            return P2P_EINVAL;
        count++;
        list += len + (list[len] == ',');
    }
    return count;
}
