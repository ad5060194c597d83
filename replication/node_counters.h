/* Node counters: whether a data directory is older than what the cluster has heard of its node.
 *
 * Rollback detection with monotonic counters that the other members keep (as in ROTE, Matetic et
 * al. 2017). A node raises a counter of its own every NODE_COUNTERS_MS, on its disk first, then
 * tells it: to whom it links, and in its gossip record. Each member remembers the highest that it
 * has heard of each other one. So a process can never have to tell less than what was heard of it,
 * unless its data directory is an older copy: whoever notices does not hear it, and says what it
 * has heard; the copy then ends. A start writes nothing.
 *
 * A process raises its counter only while a member hears it, so that a copy that nobody hears does
 * not catch up. When it does so after most of the other ACTIVE members have told what they have
 * heard, and none had heard more, it is settled: it is the node, as long as anybody hears it, and
 * what claims more is somebody else who has its key. It outbids that then, and never ends because
 * of it. One that is not settled goes on, and ends whenever it is told of more than it has. Whom
 * nobody hears any more is not settled: a machine may have been put back to a snapshot with its
 * memory, which ends all links.
 *
 * Of two processes that are linked each judges the other by its HELLO: whoever accepted answers the
 * one that dialled, which goes by the answer. HELLO may be overtaken by a newer counter that came
 * through others; so the side that dialled tells its own counter again when that was too low, and
 * asks again when the answer was. It ends: what it is told in answer to a HELLO is not less than
 * what it had heard by then, or the other end is a copy; and it tells each of its counters once. So
 * it has one HELLO unanswered at most: an answer to an earlier one would be judged by what had been
 * heard only behind it.
 *
 * What it cannot tell: copies that are younger than the newest counter that was heard.
 * Invariants: own is on the disk; what was heard never goes down; hearers are the links that hear.
 * Limits: own and heard below NODE_COUNTERS_END. Owner: whoever holds the struct; no lock is taken.
 * File: COUNTERS, docs/format-datadir.md.
 */
#ifndef REPLICATION_NODE_COUNTERS_H
#define REPLICATION_NODE_COUNTERS_H

#include "ring/ringmap.h"
#include "ring/swim_codec.h"
#include "ring/wire.h"
#include "storage/vfs.h"

#include <stdbool.h>
#include <stdint.h>

#define NODE_COUNTERS_MS  5000u
#define NODE_COUNTERS_END SWIM_COUNTER_END

struct node_counters {
    uint64_t own;                            /* from 1 */
    uint64_t heard[RINGMAP_MEMBERS_MAX + 1]; /* by member; 0: nothing; of the own one, by others */
    bool told[RINGMAP_MEMBERS_MAX + 1];      /* in this life, by HELLO: what it has heard */
    bool settled;                            /* in this life */
    uint32_t hearers;                        /* links by which members hear this process */
};

/* A link to another process, as far as counters go. All 0 when it comes up, but for `dialled`. */
struct node_counters_link {
    bool dialled;   /* by this process */
    bool outdated;  /* nothing of it is heard */
    bool hears;     /* dialled: a member has let this process in */
    bool asking;    /* dialled: the newest HELLO to it is not answered */
    uint64_t told;  /* the own counter, in the newest HELLO to it; 0: there was none, */
    uint64_t asked; /* and what had been heard of the member by then */
    uint64_t heard; /* of this node, as its newest HELLO says */
};

/* What comes of a HELLO. Whoever accepted the link answers in any case, but for that. */
enum node_counters_verdict {
    NODE_COUNTERS_IN,    /* it is heard; dialled: and hears this process */
    NODE_COUNTERS_AGAIN, /* dialled: one was overtaken; to send HELLO, and go by the answer */
    NODE_COUNTERS_WAIT,  /* dialled: it has heard of more than this process has, which ends, or
                            outbids that: node_counters_tells() says when to send HELLO */
    NODE_COUNTERS_OUT    /* it runs on an older copy: nothing of it is heard */
};

/* At the start. Without the file, or a good one, own is 1 and nothing was heard. 0, -EBADMSG: it is
 * damaged, -EPROTO: of a newer version, or -errno. */
int node_counters_read(struct vfs *vfs, struct node_counters *counters);
/* Writes the next own counter with what was heard of others than `self`, its member id. Durable
 * when it returns 0; else own is what it was, and -errno. It may be called with a copy of the
 * struct, so that nobody waits for the disk. */
int node_counters_raise(struct vfs *vfs, struct node_counters *counters, uint16_t self);
/* What that has written is the own counter now; unless this process was told meanwhile that it is
 * outdated, which it stays then. map: who has to have told before it is settled. */
void node_counters_raised(struct node_counters *counters, uint16_t self, uint64_t own,
                          const struct ringmap *map);
/* A HELLO is sent by the link: fills in what it tells. member: at the other end; 0: nobody's.
 * Dialled: only while none is unanswered. */
void node_counters_tell(const struct node_counters *counters, struct node_counters_link *link,
                        uint16_t member, struct wire_hello *hello);
/* The shards have started, and hear of links from now on: HELLO is to be sent, for its answer. One
 * that is on its way will do. */
bool node_counters_asks(const struct node_counters_link *link);
/* It would tell more by now, and enough to be let in: HELLO is to be sent. After each raise. */
bool node_counters_tells(const struct node_counters *counters,
                         const struct node_counters_link *link);
/* A HELLO has come by the link. map: NULL while none is known. Of who is JOINING, only what it
 * tells of itself counts; of who is nobody, nothing. */
enum node_counters_verdict node_counters_hello(struct node_counters *counters,
                                               struct node_counters_link *link, uint16_t self,
                                               uint16_t member, const struct ringmap *map,
                                               const struct wire_hello *hello);
/* The link is down. */
void node_counters_unlinked(struct node_counters *counters, const struct node_counters_link *link);
/* Some member hears this process, which is none that is outdated: its counter may rise. */
bool node_counters_may_raise(const struct node_counters *counters, uint16_t self);
/* So much of the member was told by itself, or by others who have heard it. */
void node_counters_hear(struct node_counters *counters, uint16_t member, uint64_t counter);
/* A process of that member tells so much: it runs on an older copy. 0: it tells nothing. */
bool node_counters_outdated(const struct node_counters *counters, uint16_t member,
                            uint64_t counter);
/* This process does; self: its member. */
bool node_counters_own_outdated(const struct node_counters *counters, uint16_t self);

#endif
