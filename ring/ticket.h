/* Ticket: the cluster's credential. Whoever holds it may connect; nobody else gets an answer.
 *
 * There is the founding's, which is the cluster's secret and good for everything, and there are
 * those for one role that the cluster makes (ring/tickets.h). A text file of one line:
 *     ringcask-ticket-1 <base64url, without padding, of 53 bytes>      the founding's
 *     ringcask-ticket-2 <base64url, without padding, of 58 bytes>      for a role
 *        0 u8  version 1 or 2
 *        1 16  cluster id
 *       17 32  psk
 *      (49 u32 version 2: id, from 1, little endian
 *       53 u8  version 2: role, enum link_role)
 *       49 (54) 4 checksum: the first 4 bytes of BLAKE2b-256 over all before, against typing errors
 * Id and role are for its holder to read: what the cluster goes by is which psk opened a
 * connection. The psk goes into the first message of every handshake (Noise psk0), the cluster id
 * into its prologue. The file must belong to its reader alone (mode 0600): a ticket that others can
 * read is refused. libsodium must be initialised before any call.
 */
#ifndef RING_TICKET_H
#define RING_TICKET_H

#include <stddef.h>
#include <stdint.h>

#define TICKET_CLUSTER_SIZE  16u
#define TICKET_PSK_SIZE      32u
#define TICKET_TEXT_SIZE     112u  /* of the line with newline and zero, rounded up */
#define TICKET_FILE_SIZE_MAX 1024u /* a longer file is no ticket */

struct ticket {
    uint8_t cluster[TICKET_CLUSTER_SIZE];
    uint8_t psk[TICKET_PSK_SIZE];
    uint32_t id;  /* 0: the founding's, good for all roles */
    uint8_t role; /* enum link_role; 0 with id 0 */
};

enum ticket_e {
    TICKET_E_OK,
    TICKET_E_ABSENT,      /* there is no such file */
    TICKET_E_PERMISSIONS, /* group or others may read or write it */
    TICKET_E_DENIED,      /* we may not open it */
    TICKET_E_MALFORMED,   /* not a ticket, or damaged */
    TICKET_E_VERSION,     /* a ticket of a newer format */
    TICKET_E_EXISTS,      /* ticket_save: there is a file already, which is left alone */
};

/* A new cluster's credential, from the system's randomness. */
void ticket_generate(struct ticket *ticket);
/* The word for a role: "node", "router", "admin"; "any" for 0. */
const char *ticket_role_name(uint8_t role);
/* The role of that name, or 0. */
uint8_t ticket_role(const char *name);
void ticket_wipe(struct ticket *ticket);
/* Writes the line, newline and terminating zero. */
void ticket_encode(const struct ticket *ticket, char text[TICKET_TEXT_SIZE]);
/* Untrusted text; blanks and line ends around it are allowed, nothing else is.
 * 0, TICKET_E_MALFORMED or TICKET_E_VERSION; *ticket is written on 0 only. */
int ticket_decode(struct ticket *ticket, const char *text, size_t size);
/* 0, a TICKET_E_…, or -errno for what the disk said. */
int ticket_load(struct ticket *ticket, const char *path);
/* Creates the file, mode 0600, and syncs it. 0, TICKET_E_EXISTS, TICKET_E_DENIED or -errno. */
int ticket_save(const struct ticket *ticket, const char *path);
/* One line for people: what is wrong with `path` and what to do next. code: as returned by
 * ticket_load or ticket_save. Cut off at size. */
void ticket_error_text(int code, const char *path, char *text, size_t size);

#endif
