#include "ring/ticket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICKET_PREFIX        "ringcask-ticket-"
#define TICKET_PREFIX_SIZE   (sizeof TICKET_PREFIX - 1)
#define TICKET_VERSION       1u
#define TICKET_BLOB_SIZE     (1u + TICKET_CLUSTER_SIZE + TICKET_PSK_SIZE)
#define TICKET_CHECKSUM_SIZE 4u
#define TICKET_BASE64        sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TICKET_BASE64_SIZE                                                                         \
    sodium_base64_ENCODED_LEN(TICKET_BLOB_SIZE + TICKET_CHECKSUM_SIZE, TICKET_BASE64)

_Static_assert(TICKET_PREFIX_SIZE + 2 + TICKET_BASE64_SIZE + 1 <= TICKET_TEXT_SIZE, "text fits");

static void ticket_checksum(const uint8_t *blob, uint8_t checksum[TICKET_CHECKSUM_SIZE])
{
    uint8_t hash[crypto_generichash_BYTES];
    int r = crypto_generichash(hash, sizeof hash, blob, TICKET_BLOB_SIZE, NULL, 0);
    assert(r == 0);
    memcpy(checksum, hash, TICKET_CHECKSUM_SIZE);
}

void ticket_generate(struct ticket *ticket)
{
    randombytes_buf(ticket->cluster, sizeof ticket->cluster);
    randombytes_buf(ticket->psk, sizeof ticket->psk);
}

void ticket_wipe(struct ticket *ticket)
{
    sodium_memzero(ticket, sizeof *ticket);
}

void ticket_encode(const struct ticket *ticket, char text[TICKET_TEXT_SIZE])
{
    uint8_t blob[TICKET_BLOB_SIZE + TICKET_CHECKSUM_SIZE];
    blob[0] = TICKET_VERSION;
    memcpy(blob + 1, ticket->cluster, TICKET_CLUSTER_SIZE);
    memcpy(blob + 1 + TICKET_CLUSTER_SIZE, ticket->psk, TICKET_PSK_SIZE);
    ticket_checksum(blob, blob + TICKET_BLOB_SIZE);
    char base64[TICKET_BASE64_SIZE];
    sodium_bin2base64(base64, sizeof base64, blob, sizeof blob, TICKET_BASE64);
    int written = snprintf(text, TICKET_TEXT_SIZE, TICKET_PREFIX "%u %s\n", TICKET_VERSION, base64);
    assert(written > 0);
    assert((size_t)written < TICKET_TEXT_SIZE);
    sodium_memzero(blob, sizeof blob);
    sodium_memzero(base64, sizeof base64);
}

static bool ticket_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The number after the prefix; 0 when there is none. Stops at 3 digits. */
static unsigned ticket_text_version(const char *text, size_t size, size_t *used)
{
    unsigned version = 0;
    size_t at = 0;
    while (at < size && at < 3 && text[at] >= '0' && text[at] <= '9')
        version = version * 10 + (unsigned)(text[at++] - '0');
    *used = at;
    return version;
}

int ticket_decode(struct ticket *ticket, const char *text, size_t size)
{
    while (size > 0 && ticket_blank(text[size - 1]))
        size -= 1;
    while (size > 0 && ticket_blank(text[0])) {
        text += 1;
        size -= 1;
    }
    if (size <= TICKET_PREFIX_SIZE || memcmp(text, TICKET_PREFIX, TICKET_PREFIX_SIZE) != 0)
        return TICKET_E_MALFORMED;
    size_t at = TICKET_PREFIX_SIZE;
    size_t used = 0;
    unsigned version = ticket_text_version(text + at, size - at, &used);
    at += used;
    if (version == 0 || at == size || !ticket_blank(text[at]))
        return TICKET_E_MALFORMED;
    if (version > TICKET_VERSION)
        return TICKET_E_VERSION;
    while (at < size && (text[at] == ' ' || text[at] == '\t'))
        at += 1;

    uint8_t blob[TICKET_BLOB_SIZE + TICKET_CHECKSUM_SIZE];
    uint8_t checksum[TICKET_CHECKSUM_SIZE];
    size_t decoded = 0;
    const char *end = NULL;
    int r = sodium_base642bin(blob, sizeof blob, text + at, size - at, NULL, &decoded, &end,
                              TICKET_BASE64);
    if (r != 0 || decoded != sizeof blob || end != text + size || blob[0] != TICKET_VERSION)
        return TICKET_E_MALFORMED;
    ticket_checksum(blob, checksum);
    if (memcmp(checksum, blob + TICKET_BLOB_SIZE, TICKET_CHECKSUM_SIZE) != 0)
        return TICKET_E_MALFORMED;
    memcpy(ticket->cluster, blob + 1, TICKET_CLUSTER_SIZE);
    memcpy(ticket->psk, blob + 1 + TICKET_CLUSTER_SIZE, TICKET_PSK_SIZE);
    sodium_memzero(blob, sizeof blob);
    return TICKET_E_OK;
}

/* Reads all of a small file. 0, TICKET_E_MALFORMED when it is too long, or -errno. */
static int ticket_read(int fd, char *bytes, size_t capacity, size_t *size)
{
    *size = 0;
    for (;;) {
        if (*size == capacity)
            return TICKET_E_MALFORMED;
        ssize_t got = read(fd, bytes + *size, capacity - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        *size += (size_t)got;
    }
}

int ticket_load(struct ticket *ticket, const char *path)
{
    /* Non-blocking so that a pipe in the file's place cannot hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return TICKET_E_ABSENT;
        return errno == EACCES || errno == EPERM ? TICKET_E_DENIED : -errno;
    }
    struct stat status;
    int r;
    if (fstat(fd, &status) != 0)
        r = -errno;
    else if (!S_ISREG(status.st_mode))
        r = TICKET_E_MALFORMED;
    else if ((status.st_mode & 077) != 0)
        r = TICKET_E_PERMISSIONS;
    else
        r = TICKET_E_OK;
    if (r == 0) {
        char bytes[TICKET_FILE_SIZE_MAX + 1];
        size_t size = 0;
        r = ticket_read(fd, bytes, sizeof bytes, &size);
        if (r == 0)
            r = ticket_decode(ticket, bytes, size);
        sodium_memzero(bytes, sizeof bytes);
    }
    close(fd);
    return r;
}

static int ticket_write(int fd, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t put = write(fd, bytes + at, size - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        at += (size_t)put;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

int ticket_save(const struct ticket *ticket, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return TICKET_E_EXISTS;
        return errno == EACCES || errno == EPERM ? TICKET_E_DENIED : -errno;
    }
    char text[TICKET_TEXT_SIZE];
    ticket_encode(ticket, text);
    int r = ticket_write(fd, text, strlen(text));
    sodium_memzero(text, sizeof text);
    if (close(fd) != 0 && r == 0)
        r = -errno;
    if (r != 0)
        (void)unlink(path); /* half a ticket is worse than none */
    return r;
}

void ticket_error_text(int code, const char *path, char *text, size_t size)
{
    int written;
    switch (code) {
    case TICKET_E_OK:
        written = snprintf(text, size, "%s: the ticket is good", path);
        break;
    case TICKET_E_ABSENT:
        written = snprintf(text, size,
                           "%s: no such ticket; copy it from another member, or make a new "
                           "cluster's with `ring-admin ticket`",
                           path);
        break;
    case TICKET_E_PERMISSIONS:
        written = snprintf(text, size, "%s: other users may read this ticket; run `chmod 600 %s`",
                           path, path);
        break;
    case TICKET_E_DENIED:
        written = snprintf(text, size,
                           "%s: permission denied; run as the user who owns the file, or change "
                           "its owner",
                           path);
        break;
    case TICKET_E_MALFORMED:
        written = snprintf(text, size,
                           "%s: not a ticket, or a damaged one; copy the file again (one line "
                           "that begins with ringcask-ticket-1)",
                           path);
        break;
    case TICKET_E_VERSION:
        written = snprintf(text, size,
                           "%s: a ticket of a newer format; use a newer ringcask, or this "
                           "cluster's own ticket",
                           path);
        break;
    case TICKET_E_EXISTS:
        written =
            snprintf(text, size, "%s: exists already; choose another name or remove it", path);
        break;
    default:
        assert(code < 0);
        written = snprintf(text, size, "%s: %s; mend that and try again", path, strerror(-code));
        break;
    }
    assert(written >= 0);
}
