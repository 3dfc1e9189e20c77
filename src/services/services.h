/* What the services that come with the library share. */
#ifndef P2P_SERVICES_SERVICES_H
#define P2P_SERVICES_SERVICES_H

#include <stdbool.h>

#include <p2p/p2p.h>

enum {
    SERVICE_IDLE_MS = 60 * 1000, /* a stream on which nothing moves for so long is nobody's */
    SERVICE_RESET = 0,           /* the code of every reset: no spec gives them a meaning */
};

static inline p2p_error service_error(int code, const char *message)
{
    return (p2p_error){.size = sizeof(p2p_error),
                       .code = code,
                       .message = message ? message : p2p_code_text(code)};
}

#endif
