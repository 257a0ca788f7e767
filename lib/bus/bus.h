/* lib/bus: messages between the processes of a run. ZeroMQ ROUTER and DEALER sockets over ipc:// in a private folder.
 *
 * Not here: what messages mean (lib/stage, orchestrator). msg.h: one message. edge.h: credit, custody, acknowledgement.
 *
 * A ROUTER binds and names its peers; a DEALER connects under its own name (identity.name). Sockets never block, hold little
 * (high-water marks), do not linger, refuse messages over CH4_MSG_BYTES, and drop connections that break these rules.
 * Threads: everything made from one ch4_bus is used by one thread. Do not fork after ch4_bus_create. */
#ifndef CH4_BUS_H
#define CH4_BUS_H

#include <stdbool.h>

#include "bus/msg.h"

typedef struct ch4_bus ch4_bus;
typedef struct ch4_sock ch4_sock;

/* Makes the folder for the sockets of a run: RUN_DIR/bus with mode 0700 or, where a socket's path in it would pass the 107 bytes that
 * the system allows, a new private folder in $XDG_RUNTIME_DIR or /tmp with RUN_DIR/bus as a symbolic link to it. Leftovers
 * of an earlier run are removed: only whoever holds the run directory may call it. */
ch4_status ch4_bus_make_folder(const char *run_dir, ch4_err *err);
void       ch4_bus_remove_folder(const char *run_dir);

/* Finds that folder, starts the messaging threads. CH4_ENOENT: no folder. */
ch4_status ch4_bus_create(ch4_bus **out, const char *run_dir, const ch4_identity *me, ch4_err *err);
void       ch4_bus_destroy(ch4_bus **bus); /* all sockets must be closed */

const ch4_identity *ch4_bus_me(const ch4_bus *bus);
const char         *ch4_bus_get_folder(const ch4_bus *bus); /* where the sockets are; for other small files that live as long as the run */

/* A new incarnation number, from the clock and the process id; not 0. */
uint64_t ch4_bus_incarnation(void);

/* A ROUTER at `endpoint` (a file name in the folder), or a DEALER connected to it. */
ch4_status ch4_sock_bind(ch4_sock **out, ch4_bus *bus, const char *endpoint, ch4_err *err); /* the file gets mode 0600 */
ch4_status ch4_sock_bind_queue(ch4_sock **out, ch4_bus *bus, const char *endpoint, int n, ch4_err *err); /* keeps at most n messages for a peer */
ch4_status ch4_sock_connect(ch4_sock **out, ch4_bus *bus, const char *endpoint, ch4_err *err);
void       ch4_sock_close(ch4_sock **sock);

/* Sends, takes *msg and nulls it, also on failure. peer: name of the receiver (ROUTER), NULL (DEALER).
 * CH4_EAGAIN: nobody of that name is connected, or its queue is full. CH4_EIO. */
ch4_status ch4_bus_send(ch4_sock *sock, const char *peer, ch4_msg **msg, ch4_err *err);

/* The same without taking the message: for whoever keeps it until it is acknowledged. */
ch4_status ch4_bus_send_copy(ch4_sock *sock, const char *peer, const ch4_msg *msg, ch4_err *err);

/* The same for whoever does not need it to arrive: whether it was taken, there was no room for it, or nobody of that name is there. */
typedef enum ch4_offer { CH4_OFFER_TAKEN, CH4_OFFER_FULL, CH4_OFFER_GONE } ch4_offer;
ch4_offer ch4_bus_offer(ch4_sock *sock, const char *peer, const ch4_msg *msg);

/* Encodes e and sends it. */
ch4_status ch4_bus_post(ch4_sock *sock, const char *peer, const Ch4__Envelope *e, ch4_err *err);

/* Receives one message without waiting: CH4_EAGAIN if there is none. CH4_EPROTO: what came was refused (dropped, with the reason); there may
 * be more. The sender's name inside the message is checked against the name of the connection. */
ch4_status ch4_bus_try_recv(ch4_sock *sock, ch4_msg **out, ch4_err *err);

enum { CH4_BUS_POLL_MAX = 64 };

/* Waits until one of the sockets or file descriptors is readable or `seconds` have passed (< 0: for ever). fd_ready[i] tells for
 * each descriptor; sockets are simply tried with ch4_bus_try_recv. Interrupted by a signal: returns early. */
ch4_status ch4_bus_poll(ch4_sock *const *socks, int n_socks, const int *fds, int n_fds, bool *fd_ready, double seconds, ch4_err *err);

#endif
