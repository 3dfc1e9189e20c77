/* The one table of options, and a configuration: a value for each. */
#ifndef P2P_HOST_CONFIG_H
#define P2P_HOST_CONFIG_H

#include <p2p/p2p.h>

/* X(id, name, kind, default, help) */
#define P2P__OPTIONS(X)                                                                            \
    X(LISTEN, "listen", LIST, "", "multiaddrs to listen on")                                       \
    X(ANNOUNCE, "announce", LIST, "",                                                              \
      "multiaddrs to tell others instead of those listened on and those others see")               \
    X(NO_ANNOUNCE, "no_announce", LIST, "", "addresses and subnets (10.0.0.0/8) never to tell")    \
    X(IDENTITY, "identity", TEXT, "", "file of the private key; empty: a fresh one")               \
    X(STORE, "store", TEXT, "",                                                                    \
      "file in which peers and their addresses are remembered across restarts; empty: none")       \
    X(STORE_SIZE, "store_size", BYTES, "16M", "to which that file may grow")                       \
    X(PSK, "psk", TEXT, "",                                                                        \
      "file of a private network's key (swarm.key): talk to its members only")                     \
    X(WSS_CERT, "wss_cert", LIST, "",                                                              \
      "PEM files of certificates for secure WebSocket, each with what leads to its root")          \
    X(WSS_KEY, "wss_key", LIST, "",                                                                \
      "PEM files of their private keys, in the same order; empty: they are in the same files")     \
    X(WSS_CA, "wss_ca", TEXT, "",                                                                  \
      "PEM file of the authorities to trust for secure WebSocket instead of the system's")         \
    X(SECURITY, "security", LIST, "noise,tls",                                                     \
      "channels in order of preference: noise, tls; in the clear, if asked for: signed, "          \
      "plaintext. All are accepted; none is dialed with that protects less than one before it")    \
    X(MUXER, "muxer", LIST, "yamux", "stream muxers, in order of preference")                      \
    X(SERVICES, "services", LIST, "identify,ping",                                                 \
      "protocols to serve: identify, ping, perf, echo")                                            \
    X(LOG, "log", LIST, "error",                                                                   \
      "what is logged: off, error, warn, info or debug; of one noun: dial=debug (listen, conn, "   \
      "dial, limits)")                                                                             \
    X(AGENT, "agent", TEXT, "libp2p-c/" P2P_VERSION_TEXT, "the agent version told to others")      \
    X(DNS_SERVERS, "dns_servers", LIST, "",                                                        \
      "name servers to ask instead of the system's: 192.0.2.53, [2001:db8::53]:5353")              \
    X(DIAL_TIMEOUT, "dial_timeout", MS, "10s", "until a connection is open")                       \
    X(HANDSHAKE_TIMEOUT, "handshake_timeout", MS, "10s",                                           \
      "until an inbound connection is open; progress does not extend it")                          \
    X(NEGOTIATE_TIMEOUT, "negotiate_timeout", MS, "10s", "until a stream's protocol is agreed")    \
    X(KEEPALIVE, "keepalive", MS, "30s", "silence after which a connection is pinged; 0: never")   \
    X(KEEPALIVE_TIMEOUT, "keepalive_timeout", MS, "10s", "until that ping must be answered")       \
    X(CONNS_IN, "conns_in", INT, "256", "inbound connections")                                     \
    X(CONNS_OUT, "conns_out", INT, "128", "outbound connections, those under way included")        \
    X(DIALS, "dials", INT, "64", "addresses tried at the same time, for all peers")                \
    X(CONNS_PER_PEER, "conns_per_peer", INT, "4", "connections with one peer")                     \
    X(CONNS_PER_IP, "conns_per_ip", INT, "8",                                                      \
      "inbound connections from one IPv4 address or one /64 of IPv6")                              \
    X(CONNS_PER_56, "conns_per_56", INT, "8", "inbound connections from one /56 of IPv6")          \
    X(CONNS_PER_SUBNET, "conns_per_subnet", INT, "64",                                             \
      "inbound connections from one /24 of IPv4 or one /48 of IPv6")                               \
    X(CONN_INTERVAL, "conn_interval", MS, "5s",                                                    \
      "an address may connect once in this time, after a burst; 0: as often as it likes")          \
    X(CONN_BURST, "conn_burst", INT, "16", "connections that an address may make at once")         \
    X(CONNS_HIGH, "conns_high", INT, "192",                                                        \
      "open connections above which those worth least are ended, until conns_low are left")        \
    X(CONNS_LOW, "conns_low", INT, "160", "how many are left then")                                \
    X(CONNS_GRACE, "conns_grace", MS, "20s", "for how long a new connection is safe from that")    \
    X(KEEP, "keep", LIST, "", "peers to connect to, again whenever the connection has ended")      \
    X(BOOTSTRAP, "bootstrap", LIST, "",                                                            \
      "peers to find others through: dialed while fewer than 4 connections are open, and with "    \
      "them "                                                                                      \
      "those that stayed before")                                                                  \
    X(ALLOW, "allow", LIST, "",                                                                    \
      "peer ids, addresses and subnets (10.0.0.0/8) to talk to; empty: to all")                    \
    X(DENY, "deny", LIST, "", "those not to talk to, even if they are allowed")                    \
    X(HALF_OPEN, "half_open", INT, "64",                                                           \
      "inbound connections not yet open; from half of that on, idle ones go early")                \
    X(HALF_OPEN_PER_IP, "half_open_per_ip", INT, "8", "those from one address or /64")             \
    X(LIMIT_LOOPBACK, "limit_loopback", BOOL, "false", "apply the limits per address to loopback") \
    X(FDS, "fds", INT, "0",                                                                        \
      "file descriptors for connections; 0: three quarters of what the system grants")             \
    X(STREAMS_TOTAL, "streams_total", INT, "8192", "streams of all peers, in and out")             \
    X(STREAMS_IN, "streams_in", INT, "256", "inbound streams of one peer")                         \
    X(STREAMS_OUT, "streams_out", INT, "512", "outbound streams to one peer")                      \
    X(PROTOCOL_STREAMS, "protocol_streams", INT, "2048",                                           \
      "inbound streams of all peers on one protocol")                                              \
    X(STREAMS_PER_PROTOCOL, "streams_per_protocol", INT, "32",                                     \
      "inbound streams of one peer on one protocol, unless it says otherwise")                     \
    X(STREAM_RESETS, "stream_resets", INT, "200",                                                  \
      "streams a second that a peer may open and reset before they are answered")                  \
    X(STREAM_WINDOW_MAX, "stream_window_max", BYTES, "16M",                                        \
      "to which a stream's receive window may grow from 256K")                                     \
    X(CONN_WINDOW_MAX, "conn_window_max", BYTES, "16M",                                            \
      "by which all receive windows of a connection may grow together")                            \
    X(STREAM_SEND_MAX, "stream_send_max", BYTES, "256K", "bytes written to a stream and not sent") \
    X(MPLEX_UNREAD, "mplex_unread", BYTES, "4M",                                                   \
      "bytes that a stream of mplex, which has no windows, may leave unread")                      \
    X(MEMORY_PER_STREAM, "memory_per_stream", BYTES, "1M",                                         \
      "bytes unread and unsent of one stream; at least 256K and stream_send_max")                  \
    X(MEMORY_PER_CONN, "memory_per_conn", BYTES, "16M",                                            \
      "bytes unread and unsent of all streams of one connection")                                  \
    X(MEMORY_PER_PEER, "memory_per_peer", BYTES, "32M",                                            \
      "bytes unread and unsent of all streams of one peer")                                        \
    X(MEMORY, "memory", BYTES, "256M",                                                             \
      "memory for bytes under way, in all; half of what a control group allows, at most")

#define P2P_VERSION_TEXT "0.1.0"

enum option_id {
#define P2P_X(id, name, kind, fallback, help) OPTION_##id,
    P2P__OPTIONS(P2P_X)
#undef P2P_X
        OPTION_COUNT
};

struct p2p_config {
    char *value[OPTION_COUNT]; /* NULL: the default */
    p2p_key *key;
};

/* The value as text, or the default. config may be NULL. */
const char *p2p__config_text(const p2p_config *config, enum option_id id);
/* Of INT, BYTES, MS and BOOL options, whose text was checked when it was set. */
uint64_t p2p__config_number(const p2p_config *config, enum option_id id);
p2p_config *p2p__config_clone(const p2p_config *config);

#endif
