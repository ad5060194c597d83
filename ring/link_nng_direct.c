/* Receiving without nng's threads. nng makes, accepts, names and closes the streams and carries the
 * handshake; once a connection is up its bytes are read, and small sends written, through a
 * descriptor of our own on the same socket. One thread then waits for all links of a fabric, where
 * nng would wake two for each arrival and ask the kernel twice for nothing
 * (docs/decisions/0015-bytes-beside-nng.md has the figures).
 *
 * nng has no call that tells a stream's descriptor: it is found by its two addresses, which no
 * other socket of the process has. Where it is not found (another transport), nng goes on
 * receiving. */
#include "ring/link_nng_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVER_EVENTS_MAX 64

static bool same_end(const nng_sockaddr *end, const struct sockaddr_storage *address)
{
    if (end->s_family == NNG_AF_INET && address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return in->sin_port == end->s_in.sa_port && in->sin_addr.s_addr == end->s_in.sa_addr;
    }
    if (end->s_family == NNG_AF_INET6 && address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        return in6->sin6_port == end->s_in6.sa_port &&
               memcmp(&in6->sin6_addr, end->s_in6.sa_addr, sizeof in6->sin6_addr) == 0;
    }
    return false;
}

static bool is_stream(int fd, const nng_sockaddr *local, const nng_sockaddr *remote)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0 || !same_end(remote, &address))
        return false;
    size = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 && same_end(local, &address);
}

/* A new descriptor of the stream's socket, or -1. */
static int find_descriptor(nng_stream *stream)
{
    nng_sockaddr local, remote;
    if (nng_stream_get_addr(stream, NNG_OPT_LOCADDR, &local) != 0 ||
        nng_stream_get_addr(stream, NNG_OPT_REMADDR, &remote) != 0)
        return -1;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    int found = -1;
    struct dirent *entry;
    while (found < 0 && (entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name); /* "." and ".." become 0, which is no such socket */
        if (is_stream(fd, &local, &remote))
            found = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    closedir(folder);
    return found;
}

bool direct_adopt(struct conn *conn)
{
    struct fabric *fabric = conn->fabric;
    if (conn->adopted || fabric->receiver_count == 0)
        return false;
    conn->adopted = true; /* or never: the attempt is made once */
    int fd = find_descriptor(conn->stream);
    if (fd < 0)
        return false;
    uint32_t number = atomic_fetch_add(&fabric->receiver_next, 1) % fabric->receiver_count;
    conn->receiver = &fabric->receivers[number];
    pthread_mutex_lock(&conn->link->lock);
    conn->fd = fd;
    pthread_mutex_unlock(&conn->link->lock);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(conn->receiver->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return true; /* from here on conn is the receiver's */
    return false;
}

void direct_leave(struct conn *conn)
{
    if (conn->fd >= 0)
        epoll_ctl(conn->receiver->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
}

int64_t direct_read(struct conn *conn, uint8_t *bytes, size_t size)
{
    ssize_t count = recv(conn->fd, bytes, size, MSG_DONTWAIT);
    if (count > 0)
        return count;
    if (count == 0)
        return -ECONNRESET;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

size_t direct_write(int fd, const uint8_t *bytes, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        ssize_t count = send(fd, bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break; /* nng finds out what it is */
        sent += (size_t)count;
    }
    return sent;
}

/* Takes what has arrived on all of the receiver's connections. False: the receiver is to end. */
static bool receiver_turn(struct fabric *fabric, struct receiver *receiver, int timeout_ms)
{
    struct epoll_event events[RECEIVER_EVENTS_MAX];
    int count = epoll_wait(receiver->epoll, events, RECEIVER_EVENTS_MAX, timeout_ms);
    bool ending = false;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == receiver)
            ending = true;
        else
            conn_arrived(events[i].data.ptr);
    }
    if (count > 0 && fabric->options.on_pause != NULL)
        fabric->options.on_pause(fabric->options.context);
    return !ending;
}

static void *receiver_main(void *argument)
{
    struct receiver *receiver = argument;
    while (receiver_turn(receiver->fabric, receiver, -1))
        ;
    return NULL;
}

static int receiver_open(struct fabric *fabric, struct receiver *receiver)
{
    receiver->fabric = fabric;
    receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
    receiver->stop = eventfd(0, EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = receiver};
    if (receiver->epoll < 0 || receiver->stop < 0 ||
        epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, receiver->stop, &event) != 0)
        return -errno;
    if (fabric->options.polled)
        return 0;
    int r = pthread_create(&receiver->thread, NULL, receiver_main, receiver);
    receiver->started = r == 0;
    return -r;
}

int direct_open(struct fabric *fabric)
{
    if (fabric->options.by_nng)
        return 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t wanted = cores > 2 ? (uint32_t)cores / 2 : 1;
    if (wanted > FABRIC_RECEIVERS_MAX)
        wanted = FABRIC_RECEIVERS_MAX;
    if (fabric->options.polled)
        wanted = 1;
    while (fabric->receiver_count < wanted) {
        struct receiver *receiver = &fabric->receivers[fabric->receiver_count++];
        int r = receiver_open(fabric, receiver);
        if (r < 0) {
            direct_close(fabric);
            return r;
        }
    }
    return 0;
}

void direct_close(struct fabric *fabric)
{
    for (uint32_t i = 0; i < fabric->receiver_count; i++) {
        struct receiver *receiver = &fabric->receivers[i];
        if (receiver->started) {
            uint64_t one = 1;
            ssize_t r = write(receiver->stop, &one, sizeof one);
            assert(r == sizeof one);
            pthread_join(receiver->thread, NULL);
        }
        if (receiver->stop >= 0)
            close(receiver->stop);
        if (receiver->epoll >= 0)
            close(receiver->epoll);
    }
    fabric->receiver_count = 0;
}

int fabric_descriptor(const struct fabric *fabric)
{
    assert(fabric->options.polled);
    return fabric->receivers[0].epoll;
}

void fabric_receive(struct fabric *fabric, int timeout_ms)
{
    assert(fabric->options.polled);
    (void)receiver_turn(fabric, &fabric->receivers[0], timeout_ms);
}
