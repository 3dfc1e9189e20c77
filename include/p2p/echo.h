/* /p2p/echo/1.0.0: returns every byte until the remote half-closes, then half-closes. The smallest
 * protocol that shows a connection working; the option "services" turns it on ("echo"). */
#ifndef P2P_ECHO_H
#define P2P_ECHO_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

#define P2P_ECHO_PROTOCOL "/p2p/echo/1.0.0"

/* Serves it. As p2p_host_handle. */
P2P_API int p2p_echo_serve(p2p_host *host);

#ifdef __cplusplus
}
#endif

#endif
