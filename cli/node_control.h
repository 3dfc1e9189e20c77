/* The requests that a node answers; their user is its p2p_host. */
#ifndef P2P_CLI_NODE_CONTROL_H
#define P2P_CLI_NODE_CONTROL_H

#include "control.h"

extern const struct control_request node_requests[];

#endif
