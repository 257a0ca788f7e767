#include "bus/bus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "base/size.h"

enum {
    SOCKET_PATH = 107,     /* longest path of a local socket */
    ENDPOINT_NAME = 40,    /* room for "/" and the longest endpoint name */
    HIGH_WATER = 1000,     /* messages; credit is what bounds memory */
    RECONNECT_MS = 20,
    RECONNECT_MAX_MS = 200,
    MAX_FRAMES = 2,
};

struct ch4_bus {
    void *zmq;
    ch4_identity me;
    char folder[SOCKET_PATH + 1];
};

struct ch4_sock {
    ch4_bus *bus;
    void *zmq;
    bool router;
};

/* --- the folder ---------------------------------------------------------------------------------------------------- */

static void empty_folder(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static ch4_status link_path(char out[PATH_MAX], const char *run_dir, ch4_err *err)
{
    if (snprintf(out, PATH_MAX, "%s/bus", run_dir) < PATH_MAX) return CH4_OK;
    return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", run_dir);
}

/* Where the sockets of the run are: the target of the link, or the folder itself. */
static ch4_status find_folder(char out[PATH_MAX], const char *run_dir, ch4_err *err)
{
    char at[PATH_MAX];
    ch4_status status = link_path(at, run_dir, err);
    if (status) return status;
    ssize_t n = readlink(at, out, PATH_MAX - 1);
    if (n > 0) out[n] = 0;
    else strcpy(out, at);
    struct stat st;
    if (stat(out, &st)) return ch4_err_set_errno(err, errno, "%s", out);
    if (!S_ISDIR(st.st_mode)) return ch4_err_set(err, CH4_EIO, "%s: not a folder", out);
    if (n > 0 && (st.st_uid != geteuid() || (st.st_mode & 077)))
        return ch4_err_set(err, CH4_EIO, "%s: does not belong to this user alone", out);
    return CH4_OK;
}

void ch4_bus_remove_folder(const char *run_dir)
{
    char at[PATH_MAX], folder[PATH_MAX];
    if (link_path(at, run_dir, NULL)) return;
    if (!find_folder(folder, run_dir, NULL)) {
        empty_folder(folder);
        rmdir(folder);
    }
    unlink(at); /* the link, if it was one */
}

ch4_status ch4_bus_make_folder(const char *run_dir, ch4_err *err)
{
    char at[PATH_MAX], folder[PATH_MAX];
    ch4_status status = link_path(at, run_dir, err);
    if (status) return status;
    ch4_bus_remove_folder(run_dir);
    if (strlen(at) + ENDPOINT_NAME <= SOCKET_PATH) {
        if (mkdir(at, 0700) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", at);
        if (chmod(at, 0700)) return ch4_err_set_errno(err, errno, "%s", at);
        return CH4_OK;
    }
    const char *base = getenv("XDG_RUNTIME_DIR");
    if (!base || base[0] != '/' || strlen(base) > 40 || access(base, W_OK)) base = "/tmp";
    snprintf(folder, sizeof folder, "%s/chain4d-XXXXXX", base);
    if (!mkdtemp(folder)) return ch4_err_set_errno(err, errno, "%s", folder);
    if (symlink(folder, at)) {
        status = ch4_err_set_errno(err, errno, "%s", at);
        rmdir(folder);
    }
    return status;
}

/* --- context ---------------------------------------------------------------------------------------------------------- */

uint64_t ch4_bus_incarnation(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return ((x << 16) ^ (uint64_t)getpid()) | 1;
}

ch4_status ch4_bus_create(ch4_bus **out, const char *run_dir, const ch4_identity *me, ch4_err *err)
{
    *out = NULL;
    char folder[PATH_MAX];
    ch4_status status = find_folder(folder, run_dir, err);
    if (status) return status;
    if (strlen(folder) + ENDPOINT_NAME > SOCKET_PATH) return ch4_err_set(err, CH4_EINVAL, "%s: too long for a local socket", folder);
    ch4_bus *bus;
    status = ch4_calloc(&bus, 1, sizeof *bus, "the bus", err);
    if (status) return status;
    bus->me = *me;
    strcpy(bus->folder, folder);
    bus->zmq = zmq_ctx_new();
    if (!bus->zmq) {
        free(bus);
        return ch4_err_set(err, CH4_ENOMEM, "cannot start messaging: %s", zmq_strerror(zmq_errno()));
    }
    *out = bus;
    return CH4_OK;
}

void ch4_bus_destroy(ch4_bus **bus)
{
    if (!bus || !*bus) return;
    while (zmq_ctx_term((*bus)->zmq) && zmq_errno() == EINTR) continue;
    free(*bus);
    *bus = NULL;
}

const ch4_identity *ch4_bus_me(const ch4_bus *bus)
{
    return &bus->me;
}

const char *ch4_bus_get_folder(const ch4_bus *bus)
{
    return bus->folder;
}

/* --- sockets ----------------------------------------------------------------------------------------------------------- */

static ch4_status sock_open(ch4_sock **out, ch4_bus *bus, const char *endpoint, bool router, int hwm, ch4_err *err)
{
    *out = NULL;
    ch4_sock *s;
    ch4_status status = ch4_calloc(&s, 1, sizeof *s, "a socket", err);
    if (status) return status;
    s->bus = bus, s->router = router;
    s->zmq = zmq_socket(bus->zmq, router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!s->zmq) {
        status = ch4_err_set(err, CH4_EIO, "socket: %s", zmq_strerror(zmq_errno()));
        goto out;
    }
    const int linger = router ? 0 : 200, one = 1, reconnect = RECONNECT_MS, reconnect_max = RECONNECT_MAX_MS;
    const int64_t largest = CH4_MSG_BYTES;
    int bad = zmq_setsockopt(s->zmq, ZMQ_LINGER, &linger, sizeof linger);
    bad |= zmq_setsockopt(s->zmq, ZMQ_SNDHWM, &hwm, sizeof hwm);
    bad |= zmq_setsockopt(s->zmq, ZMQ_RCVHWM, &hwm, sizeof hwm);
    bad |= zmq_setsockopt(s->zmq, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    bad |= zmq_setsockopt(s->zmq, ZMQ_IMMEDIATE, &one, sizeof one);
    if (router) {
        bad |= zmq_setsockopt(s->zmq, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
        bad |= zmq_setsockopt(s->zmq, ZMQ_ROUTER_HANDOVER, &one, sizeof one); /* a restarted peer takes its name over */
    } else {
        bad |= zmq_setsockopt(s->zmq, ZMQ_RECONNECT_IVL, &reconnect, sizeof reconnect);
        bad |= zmq_setsockopt(s->zmq, ZMQ_RECONNECT_IVL_MAX, &reconnect_max, sizeof reconnect_max);
        bad |= zmq_setsockopt(s->zmq, ZMQ_ROUTING_ID, bus->me.name, strlen(bus->me.name));
    }
    char url[sizeof "ipc://" + SOCKET_PATH + ENDPOINT_NAME];
    snprintf(url, sizeof url, "ipc://%s/%.30s", bus->folder, endpoint);
    if (bad || (router ? zmq_bind(s->zmq, url) : zmq_connect(s->zmq, url))) {
        status = ch4_err_set(err, CH4_EIO, "%s: %s", url, zmq_strerror(zmq_errno()));
        goto out;
    }
    if (router && chmod(url + strlen("ipc://"), 0600)) { /* nobody else came in between: the folder is ours alone */
        status = ch4_err_set_errno(err, errno, "%s", url);
        goto out;
    }
    *out = s, s = NULL;
out:
    ch4_sock_close(&s);
    return status;
}

ch4_status ch4_sock_bind(ch4_sock **out, ch4_bus *bus, const char *endpoint, ch4_err *err)
{
    return sock_open(out, bus, endpoint, true, HIGH_WATER, err);
}

ch4_status ch4_sock_bind_queue(ch4_sock **out, ch4_bus *bus, const char *endpoint, int n, ch4_err *err)
{
    return sock_open(out, bus, endpoint, true, n, err);
}

ch4_status ch4_sock_connect(ch4_sock **out, ch4_bus *bus, const char *endpoint, ch4_err *err)
{
    return sock_open(out, bus, endpoint, false, HIGH_WATER, err);
}

void ch4_sock_close(ch4_sock **sock)
{
    if (!sock || !*sock) return;
    if ((*sock)->zmq) zmq_close((*sock)->zmq);
    free(*sock);
    *sock = NULL;
}

/* --- sending ------------------------------------------------------------------------------------------------------------- */

static int send_frame(void *zmq, const void *data, size_t size, int flags)
{
    int rc;
    do rc = zmq_send(zmq, data, size, flags | ZMQ_DONTWAIT);
    while (rc < 0 && zmq_errno() == EINTR);
    return rc < 0 ? zmq_errno() : 0;
}

/* 0 or an errno value. A receiver that cannot take it is noticed at the first frame. */
static int send_whole(ch4_sock *sock, const char *peer, const ch4_msg *msg)
{
    size_t size;
    const uint8_t *bytes = ch4_msg_get_bytes(msg, &size);
    int bad = sock->router ? send_frame(sock->zmq, peer, strlen(peer), ZMQ_SNDMORE) : 0;
    return bad ? bad : send_frame(sock->zmq, bytes, size, 0);
}

ch4_offer ch4_bus_offer(ch4_sock *sock, const char *peer, const ch4_msg *msg)
{
    int bad = send_whole(sock, peer, msg);
    return bad == EAGAIN ? CH4_OFFER_FULL : bad ? CH4_OFFER_GONE : CH4_OFFER_TAKEN;
}

ch4_status ch4_bus_send_copy(ch4_sock *sock, const char *peer, const ch4_msg *msg, ch4_err *err)
{
    int bad = send_whole(sock, peer, msg);
    if (!bad) return CH4_OK;
    ch4_status status = bad == EAGAIN || bad == EHOSTUNREACH ? CH4_EAGAIN : CH4_EIO;
    return ch4_err_set(err, status, "cannot send to %s: %s", peer ? peer : "the other side", zmq_strerror(bad));
}

ch4_status ch4_bus_send(ch4_sock *sock, const char *peer, ch4_msg **msg, ch4_err *err)
{
    ch4_status status = ch4_bus_send_copy(sock, peer, *msg, err);
    ch4_msg_destroy(msg);
    return status;
}

ch4_status ch4_bus_post(ch4_sock *sock, const char *peer, const Ch4__Envelope *e, ch4_err *err)
{
    ch4_msg *msg;
    ch4_status status = ch4_msg_encode(&msg, &sock->bus->me, e, err);
    return status ? status : ch4_bus_send(sock, peer, &msg, err);
}

/* --- receiving ------------------------------------------------------------------------------------------------------------- */

/* One frame into f; *more tells whether the message goes on. 0 or an errno value. */
static int recv_frame(void *zmq, zmq_msg_t *f, bool *more)
{
    int rc;
    do rc = zmq_msg_recv(f, zmq, ZMQ_DONTWAIT);
    while (rc < 0 && zmq_errno() == EINTR);
    if (rc < 0) return zmq_errno();
    *more = zmq_msg_more(f);
    return 0;
}

/* The name of the connection must be the name in the message, so that one stage cannot speak for another by mistake. */
static ch4_status check_sender(zmq_msg_t *name, const ch4_msg *msg, ch4_err *err)
{
    const char *from = ch4_msg_get_envelope(msg)->from;
    if (zmq_msg_size(name) == strlen(from) && !memcmp(zmq_msg_data(name), from, strlen(from))) return CH4_OK;
    return ch4_err_set(err, CH4_EPROTO, "message of %s over another's connection", from);
}

ch4_status ch4_bus_try_recv(ch4_sock *sock, ch4_msg **out, ch4_err *err)
{
    *out = NULL;
    int want = sock->router ? 2 : 1, got = 0, bad;
    bool more = true;
    zmq_msg_t frame[MAX_FRAMES], extra;
    for (int i = 0; i < MAX_FRAMES; i++) zmq_msg_init(&frame[i]);
    zmq_msg_init(&extra);
    ch4_status status = CH4_OK;
    while (more) { /* all parts of a message arrive together */
        bad = recv_frame(sock->zmq, got < want ? &frame[got] : &extra, &more);
        if (bad) {
            status = ch4_err_set(err, bad == EAGAIN ? CH4_EAGAIN : CH4_EIO, "receive: %s", zmq_strerror(bad));
            goto out;
        }
        got++;
    }
    if (got != want) {
        status = ch4_err_set(err, CH4_EPROTO, "message of %d frames, expected %d", got, want);
        goto out;
    }
    zmq_msg_t *body = &frame[want - 1];
    status = ch4_msg_decode(out, &sock->bus->me, zmq_msg_data(body), zmq_msg_size(body), err);
    if (!status && sock->router) status = check_sender(&frame[0], *out, err);
    if (status) ch4_msg_destroy(out);
out:
    for (int i = 0; i < MAX_FRAMES; i++) zmq_msg_close(&frame[i]);
    zmq_msg_close(&extra);
    return status;
}

ch4_status ch4_bus_poll(ch4_sock *const *socks, int n_socks, const int *fds, int n_fds, bool *fd_ready, double seconds, ch4_err *err)
{
    zmq_pollitem_t item[CH4_BUS_POLL_MAX];
    if (n_socks + n_fds > CH4_BUS_POLL_MAX) return ch4_err_set(err, CH4_EINVAL, "too many descriptors to wait for");
    for (int i = 0; i < n_socks; i++) item[i] = (zmq_pollitem_t){.socket = socks[i]->zmq, .events = ZMQ_POLLIN};
    for (int i = 0; i < n_fds; i++) item[n_socks + i] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN | ZMQ_POLLERR};
    int rc = zmq_poll(item, n_socks + n_fds, seconds < 0 ? -1 : lrint(ceil(seconds * 1000)));
    if (rc < 0 && zmq_errno() != EINTR) return ch4_err_set(err, CH4_EIO, "poll: %s", zmq_strerror(zmq_errno()));
    for (int i = 0; i < n_fds; i++) fd_ready[i] = rc > 0 && item[n_socks + i].revents;
    return CH4_OK;
}
