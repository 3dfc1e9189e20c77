/* What a host knows of peers, connected or not: their addresses (p2p_host_add_addr and
 * p2p_host_known_addr in p2p.h), what they said of themselves (p2p_identify_peer in identify.h),
 * their public keys and signed records (libp2p RFC 0002 and 0003), and what the application notes
 * of them. It lives in memory, or with the option "store" also in a file, so that the next start
 * knows it.
 *
 * What a peer says of itself is remembered for a day, of at most 512 peers: with a store from the
 * moment it is said, without one from the end of its last connection. What is longer than 8 KiB is
 * known only while connected, its addresses aside. Then the one longest known goes, never what the
 * application added.
 *
 * Like everything in p2p.h these belong to the thread of the host's loop. */
#ifndef P2P_PEERSTORE_H
#define P2P_PEERSTORE_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    P2P_NOTE_NAME_MAX = 63,    /* bytes of a note's name */
    P2P_NOTE_MAX = 4096,       /* bytes of a note */
    P2P_NOTES_MAX = 16,        /* of one peer */
    P2P_NOTES_LEN_MAX = 16384, /* bytes of all notes of one peer, with their names */
};

/* The peer's public key, as the protobuf of the peer-ids spec; its bytes are the peer id's, or hash
 * to it. NULL: not known. Valid until the return to the loop. */
P2P_API const uint8_t *p2p_host_peer_key(const p2p_host *host, const p2p_peer_id *peer,
                                         size_t *len);

/* A signed peer record that came by any way: a file, a gossip, another peer. It counts only if the
 * peer itself signed it, and only in place of an older one; its addresses then replace what the
 * peer said before. from: the connection that it came over, whose other end is not believed to know
 * addresses that are nearer than it is; NULL: the application's own word. *peer (may be NULL):
 * whose it is. 1: taken; 0: a newer one is known; P2P_EPROTO, P2P_EKEY, P2P_ESIG, P2P_EPEERID: it
 * is no record, or forged; P2P_ELIMIT: no room for another peer; P2P_ENOMEM, P2P_ECLOSED. */
P2P_API int p2p_host_learn_record(p2p_host *host, const void *envelope, size_t len,
                                  const p2p_conn *from, p2p_peer_id *peer);

/* Notes bytes (copied) of a peer, connected or not, under a name; NULL takes the note away. Kept
 * until then, also by a store. P2P_EINVAL: an empty or too long name; P2P_ETOOBIG; P2P_ELIMIT: more
 * than the maxima above, or 1,024 peers are known; P2P_ENOENT: nothing to take away; P2P_ENOMEM. */
P2P_API int p2p_host_note(p2p_host *host, const p2p_peer_id *peer, const char *name,
                          const void *bytes, size_t len);
/* A note, or NULL. Valid until the next p2p_host_note or the return to the loop. */
P2P_API const void *p2p_host_noted(const p2p_host *host, const p2p_peer_id *peer, const char *name,
                                   size_t *len);
/* The name of the peer's i-th note, or NULL past the end. Valid as p2p_host_noted. */
P2P_API const char *p2p_host_note_name(const p2p_host *host, const p2p_peer_id *peer, size_t index);

/* 1: others are found through it: the option "bootstrap" names it, or it is one of the at most 32
 * that the host dialed and that stayed for half a minute or more, while that option was set. Their
 * addresses are remembered for a week. */
P2P_API int p2p_host_is_bootstrap(const p2p_host *host, const p2p_peer_id *peer);

/* Forgets all of that, in the store too; what a connected peer says from now on is learned again.
 * Connections, tags and protection stay. P2P_ENOENT: nothing was known. */
P2P_API int p2p_host_forget(p2p_host *host, const p2p_peer_id *peer);

#ifdef __cplusplus
}
#endif

#endif
