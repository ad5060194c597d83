/* Owners: whose the folder of each shard is, and whether it is the newest.
 *
 * A shard's folder says in OWNER which node's and which shard's it is, and its generation: a number
 * that rises at every start and at every stop in order. GENERATIONS, beside the folders, lists what
 * it was for each. So a folder that was put back from a copy, or is another's, is noticed: its
 * shard has forgotten votes and entries that it acknowledged, or never gave them, and is fenced as
 * one whose manifest is lost. Nothing is written to a folder that does not fit, nor is its
 * generation raised: the right one fits when it is in its place again.
 *
 * At a start each OWNER is checked, the shard is opened, its OWNER is raised, and when all are,
 * GENERATIONS is written; only then the shards promise anything. When they are closed, the same. A
 * crash between leaves OWNERs that are newer than GENERATIONS says, which fit; none is ever older
 * than that. Each number is written once, so that whoever died with one in its OWNER is older than
 * the next. Where there is no room on the disk it stays as it was, and so do the shards.
 *
 * A shard without a generation in GENERATIONS fits without OWNER, too: programs before this one
 * have written neither, or its founding was cut short.
 *
 * What it cannot tell: a copy that was made since the last start from one of that same run, when
 * the run did not stop in order. What is older as a whole: node_counters.h.
 *
 * Ownership: vfs is borrowed. owners_check() and owners_raise() may be called for different shards
 * by different threads at a time. Files: docs/format-datadir.md.
 */
#ifndef REPLICATION_OWNERS_H
#define REPLICATION_OWNERS_H

#include "ring/ringmap.h"
#include "storage/datadir.h"
#include "storage/vfs.h"

#include <stdint.h>

/* Why a folder does not fit, for people. */
#define OWNERS_CAUSES(X)                                                                           \
    X(OLDER, "its folder is an older copy of what this node has used")                             \
    X(OTHER_NODE, "its folder is another node's")                                                  \
    X(OTHER_SHARD, "its folder is another shard's")                                                \
    X(MISSING, "OWNER is missing in its folder, which is not there, or an older copy")             \
    X(DAMAGED, "OWNER in its folder is damaged, so that nobody can tell whose it is")              \
    X(UNREADABLE, "the disk does not give OWNER in its folder")

enum owners_e {
    OWNERS_E_OK,
#define OWNERS_CAUSE(name, text) OWNERS_E_##name,
    OWNERS_CAUSES(OWNERS_CAUSE)
#undef OWNERS_CAUSE
};

struct owners {
    struct vfs *vfs;
    uint8_t public_key[RINGMAP_KEY_SIZE];
    uint16_t shards;
    uint64_t listed[DATADIR_SHARDS_MAX]; /* for GENERATIONS; 0: none yet */
    uint64_t newest[DATADIR_SHARDS_MAX]; /* that an OWNER may have */
};

/* Reads GENERATIONS. key: the node's. 0; -EBADMSG: it is damaged, and taken for missing; -EPROTO:
 * of a newer version, or -errno. */
int owners_read(struct owners *owners, struct vfs *vfs, const uint8_t key[RINGMAP_KEY_SIZE],
                uint16_t shards);
/* Whether the shard's folder fits: an enum owners_e; -EPROTO: OWNER is of a newer version, or
 * -errno. */
int owners_check(struct owners *owners, uint16_t shard);
/* A constant text; code: as owners_check() returned it, > 0. */
const char *owners_why(int code);
/* Of a folder that fits and is there: writes its OWNER with the next generation. Durable when it
 * returns 0; else it is as it was, or this. -errno. */
int owners_raise(struct owners *owners, uint16_t shard);
/* Writes GENERATIONS, likewise. */
int owners_write(struct owners *owners);

#endif
