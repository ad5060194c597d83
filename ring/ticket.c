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

#include "ring/bytes.h"
#include "ring/link.h"

#define TICKET_PREFIX        "ringcask-ticket-"
#define TICKET_PREFIX_SIZE   (sizeof TICKET_PREFIX - 1)
#define TICKET_VERSION       1u /* the founding's */
#define TICKET_VERSION_ROLE  2u
#define TICKET_SECRET_SIZE   (1u + TICKET_CLUSTER_SIZE + TICKET_PSK_SIZE)
#define TICKET_BLOB_SIZE_MAX (TICKET_SECRET_SIZE + 5u) /* id, role */
#define TICKET_CHECKSUM_SIZE 4u
#define TICKET_BASE64        sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TICKET_BASE64_SIZE                                                                         \
    sodium_base64_ENCODED_LEN(TICKET_BLOB_SIZE_MAX + TICKET_CHECKSUM_SIZE, TICKET_BASE64)

_Static_assert(TICKET_PREFIX_SIZE + 2 + TICKET_BASE64_SIZE + 1 <= TICKET_TEXT_SIZE, "text fits");

static const char *const ticket_roles[] = {
    "any", [LINK_ROLE_NODE] = "node", [LINK_ROLE_ROUTER] = "router", [LINK_ROLE_ADMIN] = "admin"};

static void ticket_checksum(const uint8_t *blob, size_t size,
                            uint8_t checksum[TICKET_CHECKSUM_SIZE])
{
    uint8_t hash[crypto_generichash_BYTES];
    int r = crypto_generichash(hash, sizeof hash, blob, size, NULL, 0);
    assert(r == 0);
    memcpy(checksum, hash, TICKET_CHECKSUM_SIZE);
}

const char *ticket_role_name(uint8_t role)
{
    assert(role <= LINK_ROLE_ADMIN);
    return ticket_roles[role];
}

uint8_t ticket_role(const char *name)
{
    for (uint8_t role = LINK_ROLE_NODE; role <= LINK_ROLE_ADMIN; role++)
        if (strcmp(name, ticket_roles[role]) == 0)
            return role;
    return 0;
}

void ticket_generate(struct ticket *ticket)
{
    memset(ticket, 0, sizeof *ticket);
    randombytes_buf(ticket->cluster, sizeof ticket->cluster);
    randombytes_buf(ticket->psk, sizeof ticket->psk);
}

void ticket_wipe(struct ticket *ticket)
{
    sodium_memzero(ticket, sizeof *ticket);
}

/* Of the blob without its checksum. */
static size_t ticket_blob_size(unsigned version)
{
    return version == TICKET_VERSION ? TICKET_SECRET_SIZE : TICKET_BLOB_SIZE_MAX;
}

void ticket_encode(const struct ticket *ticket, char text[TICKET_TEXT_SIZE])
{
    uint8_t blob[TICKET_BLOB_SIZE_MAX + TICKET_CHECKSUM_SIZE];
    struct bytes_writer writer = {blob, 0};
    unsigned version = ticket->id == 0 ? TICKET_VERSION : TICKET_VERSION_ROLE;
    bytes_put_number(&writer, version, 1);
    bytes_put(&writer, ticket->cluster, TICKET_CLUSTER_SIZE);
    bytes_put(&writer, ticket->psk, TICKET_PSK_SIZE);
    if (version == TICKET_VERSION_ROLE) {
        assert(ticket->role >= LINK_ROLE_NODE);
        assert(ticket->role <= LINK_ROLE_ADMIN);
        bytes_put_number(&writer, ticket->id, 4);
        bytes_put_number(&writer, ticket->role, 1);
    }
    assert(writer.size == ticket_blob_size(version));
    ticket_checksum(blob, writer.size, blob + writer.size);
    char base64[TICKET_BASE64_SIZE];
    sodium_bin2base64(base64, sizeof base64, blob, writer.size + TICKET_CHECKSUM_SIZE,
                      TICKET_BASE64);
    int written = snprintf(text, TICKET_TEXT_SIZE, TICKET_PREFIX "%u %s\n", version, base64);
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

/* The bytes behind the text, checked. */
static int ticket_take(struct ticket *ticket, unsigned version, const uint8_t *blob, size_t size)
{
    uint8_t checksum[TICKET_CHECKSUM_SIZE];
    struct bytes_reader reader = {blob, size, false};
    struct ticket taken;
    if (size != ticket_blob_size(version) + TICKET_CHECKSUM_SIZE ||
        bytes_take_number(&reader, 1) != version)
        return TICKET_E_MALFORMED;
    ticket_checksum(blob, size - TICKET_CHECKSUM_SIZE, checksum);
    if (memcmp(checksum, blob + size - TICKET_CHECKSUM_SIZE, TICKET_CHECKSUM_SIZE) != 0)
        return TICKET_E_MALFORMED;
    memset(&taken, 0, sizeof taken);
    bytes_take_copy(&reader, taken.cluster, TICKET_CLUSTER_SIZE);
    bytes_take_copy(&reader, taken.psk, TICKET_PSK_SIZE);
    if (version == TICKET_VERSION_ROLE) {
        taken.id = (uint32_t)bytes_take_number(&reader, 4);
        taken.role = (uint8_t)bytes_take_number(&reader, 1);
        if (taken.id == 0 || taken.role < LINK_ROLE_NODE || taken.role > LINK_ROLE_ADMIN)
            return TICKET_E_MALFORMED;
    }
    memcpy(ticket, &taken, sizeof taken);
    ticket_wipe(&taken);
    return TICKET_E_OK;
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
    if (version > TICKET_VERSION_ROLE)
        return TICKET_E_VERSION;
    while (at < size && (text[at] == ' ' || text[at] == '\t'))
        at += 1;

    uint8_t blob[TICKET_BLOB_SIZE_MAX + TICKET_CHECKSUM_SIZE];
    size_t decoded = 0;
    const char *end = NULL;
    int r = sodium_base642bin(blob, sizeof blob, text + at, size - at, NULL, &decoded, &end,
                              TICKET_BASE64);
    r = r != 0 || end != text + size ? TICKET_E_MALFORMED
                                     : ticket_take(ticket, version, blob, decoded);
    sodium_memzero(blob, sizeof blob);
    return r;
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
        r = S_ISDIR(status.st_mode) ? -EISDIR : TICKET_E_MALFORMED;
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
                           "that begins with ringcask-ticket-)",
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
    case -EISDIR:
        written =
            snprintf(text, size, "%s: a folder, not a ticket; give the path of the file", path);
        break;
    default:
        assert(code < 0);
        written = snprintf(text, size, "%s: %s; mend that and try again", path, strerror(-code));
        break;
    }
    assert(written >= 0);
}
