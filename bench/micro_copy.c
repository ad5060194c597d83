/* Copy: what the disk and loopback give to a copy that does nothing else - `cp` through a socket.
 * A file is read, sent, received, written and synced. What moves between nodes is compared with it.
 *
 * Each copy is a file of its own, and all stay until the end: one that took the place of the copy
 * before would find its memory in the page cache. What moves finds none, and memory that was not
 * used for a while may be dear where the machine is a virtual one. The median counts.
 */
#include "bench/micro.h"
#include "ring/mix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE  (512u << 20)
#define PIECE_SIZE (256u << 10)
#define ROUNDS     3u

struct copy {
    int from, to;           /* files, `to` of this round */
    int sending, receiving; /* the two ends of the connection */
    int result;             /* of the sender */
};

/* CLOCK_MONOTONIC: what a watch says; CLOCK_PROCESS_CPUTIME_ID: what both threads worked. */
static double now_s(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* An unnamed file in the folder. < 0: -errno. */
static int make_file(const char *folder)
{
    char path[512];
    int fd;

    if (snprintf(path, sizeof path, "%s/ring-bench-copy-XXXXXX", folder) >= (int)sizeof path)
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);

        if (done < 0 && errno != EINTR)
            return -errno;
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
    return 0;
}

static int fill(int fd, uint8_t *piece)
{
    uint64_t state = 1;
    int r = 0;

    for (size_t at = 0; r == 0 && at < FILE_SIZE; at += PIECE_SIZE) {
        for (size_t i = 0; i < PIECE_SIZE; i += sizeof state) { /* nothing shrinks it */
            uint64_t word = mix_next(&state);

            memcpy(piece + i, &word, sizeof word);
        }
        r = write_all(fd, piece, PIECE_SIZE);
    }
    return r == 0 && fsync(fd) != 0 ? -errno : r;
}

/* Both ends of a connection over loopback. */
static int connect_ends(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ends[1] = -1;
    if (listener < 0 || ends[0] < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        connect(ends[0], (struct sockaddr *)&address, sizeof address) != 0)
        r = -errno;
    if (r == 0) {
        ends[1] = accept(listener, NULL, NULL);
        r = ends[1] < 0 ? -errno : 0;
    }
    if (listener >= 0)
        close(listener);
    return r;
}

static void *send_all(void *argument)
{
    struct copy *copy = argument;
    uint8_t *piece = malloc(PIECE_SIZE);
    ssize_t got = -1;

    copy->result = piece ? 0 : -ENOMEM;
    for (off_t at = 0; copy->result == 0; at += got) {
        got = pread(copy->from, piece, PIECE_SIZE, at);
        if (got <= 0)
            break;
        copy->result = write_all(copy->sending, piece, (size_t)got);
    }
    if (copy->result == 0 && got < 0)
        copy->result = -errno;
    free(piece);
    shutdown(copy->sending, SHUT_WR);
    return NULL;
}

static int receive_all(struct copy *copy, uint8_t *piece)
{
    int r = 0;

    for (;;) {
        ssize_t got = read(copy->receiving, piece, PIECE_SIZE);

        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        if (r == 0)
            r = write_all(copy->to, piece, (size_t)got);
    }
    return r == 0 && fdatasync(copy->to) != 0 ? -errno : r;
}

/* *cpu_seconds: of both ends together. */
static int copy_once(struct copy *copy, uint8_t *piece, double *seconds, double *cpu_seconds)
{
    double begin = now_s(CLOCK_MONOTONIC), cpu_begin = now_s(CLOCK_PROCESS_CPUTIME_ID);
    pthread_t thread;
    int ends[2], r = connect_ends(ends);

    copy->sending = ends[0];
    copy->receiving = ends[1];
    if (r == 0)
        r = -pthread_create(&thread, NULL, send_all, copy);
    if (r == 0) {
        r = receive_all(copy, piece);
        pthread_join(thread, NULL);
        r = r == 0 ? copy->result : r;
    }
    *seconds = now_s(CLOCK_MONOTONIC) - begin;
    *cpu_seconds = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
    for (size_t i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    return r;
}

struct round {
    double seconds, cpu_seconds;
};

static int round_compare(const void *left, const void *right)
{
    const struct round *a = left;
    const struct round *b = right;

    return (a->seconds > b->seconds) - (a->seconds < b->seconds);
}

int micro_copy(const struct micro_options *options)
{
    struct copy copy = {.from = make_file(options->folder)};
    struct round rounds[ROUNDS];
    uint8_t *piece = malloc(PIECE_SIZE);
    int files[ROUNDS], r = !piece ? -ENOMEM : copy.from < 0 ? copy.from : 0;
    unsigned count = 0;

    if (r == 0)
        r = fill(copy.from, piece);
    while (r == 0 && count < ROUNDS) {
        copy.to = make_file(options->folder);
        if (copy.to < 0) {
            r = copy.to;
            break;
        }
        files[count] = copy.to;
        r = copy_once(&copy, piece, &rounds[count].seconds, &rounds[count].cpu_seconds);
        count++;
    }
    if (r == 0) {
        qsort(rounds, ROUNDS, sizeof *rounds, round_compare);
        micro_figure(options, "a file through a socket",
                     (FILE_SIZE >> 20) / rounds[ROUNDS / 2].seconds, "MiB/s");
        micro_figure(options, "CPU of it",
                     rounds[ROUNDS / 2].cpu_seconds * 1000 / (FILE_SIZE >> 20), "ms/MiB");
    }
    while (count > 0)
        close(files[--count]);
    if (copy.from >= 0)
        close(copy.from);
    free(piece);
    return r;
}
