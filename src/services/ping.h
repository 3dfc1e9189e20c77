#ifndef P2P_SERVICES_PING_H
#define P2P_SERVICES_PING_H

enum {
    PING_LEN = 32, /* bytes of a payload; the ping spec */
};

#endif
