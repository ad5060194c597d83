/* Node loop, inside: what node_loop*.c share. */
#ifndef REPLICATION_NODE_LOOP_INTERNAL_H
#define REPLICATION_NODE_LOOP_INTERNAL_H

#include "replication/budget.h"
#include "replication/crowd.h"
#include "replication/fifo.h"
#include "replication/node.h"
#include "replication/node_counters.h"
#include "replication/node_gossip.h"
#include "replication/node_loop.h"
#include "replication/owners.h"
#include "replication/shard.h"
#include "ring/identity_lock.h"
#include "ring/link_nng.h"
#include "ring/repeats.h"
#include "storage/datadir.h"
#include "storage/vault.h"

#include <pthread.h>
#include <stdatomic.h>

/* Inbox: what threads leave for one that works on it. Two buffers that change places: writers
 * append under the lock, the worker takes all that came at once.
 *
 * The control plane's has an owner that waits in inbox_take(). A shard's is worked on by whoever
 * brings something and finds nobody at it (inbox_claim): the thread that received a message steps
 * the shard and sends what comes of it, without waking another. The shard's own thread has what is
 * left: what time asks for, and what a borrowed thread hands over. */
struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    uint8_t *bytes, *taken;
    size_t size, capacity, taken_capacity;
    bool waiting; /* the owner sleeps in inbox_take(): only then a signal is needed */
    bool claimed; /* somebody works on it */
    bool handed_over;
    bool closed;
    atomic_uint_fast64_t round; /* so often all was taken */
    uint64_t due_ms;            /* when the shard's own thread is wanted */
    uint64_t sleeps_until_ms;   /* that thread; 0: it is awake */
};

enum inbox_kind {
    INBOX_MESSAGE,
    INBOX_LINK_UP,
    INBOX_LINK_DOWN,
    INBOX_JOB,
    INBOX_REDEEM, /* control only; the message's body is a struct tickets_command */
    INBOX_STOP,   /* control only */
    INBOX_DRAIN,
    INBOX_MAP /* shards only; body: ringmap_encode() */
};

struct inbox_item {
    size_t size; /* of the item with its body, rounded up to 16 */
    uint8_t kind;
    struct shard_address from;
    uint16_t shards;
    uint64_t link;               /* MESSAGE: whose credit it used */
    uint32_t ticket;             /* MESSAGE: that opened that link */
    bool secret;                 /* MESSAGE: it was dialled to us with a secret */
    struct link_message message; /* body: set when taken */
    struct store_job *job;
    int result;
    uint32_t job_us; /* it took */
};

int inbox_init(struct inbox *inbox);
void inbox_deinit(struct inbox *inbox);
/* Copies item and message body. Ends the process when there is no memory. */
void inbox_put(struct inbox *inbox, const struct inbox_item *item);
/* Waits until something is there or the time has come (monotonic ms). Takes all: walk with
 * inbox_next() from NULL; items are valid until the next take. */
void inbox_take(struct inbox *inbox, uint64_t until_ms, size_t *taken_size);
struct inbox_item *inbox_next(struct inbox *inbox, size_t taken_size, struct inbox_item *item);
/* True: something is there and nobody is at it; it is the caller's until one of the next two. */
bool inbox_claim(struct inbox *inbox);
/* Takes all; or, when there is nothing, lets go and returns false. due_ms: as below. */
bool inbox_take_claimed(struct inbox *inbox, uint64_t due_ms, size_t *taken_size);
/* Lets go; the own thread takes what is there, and comes at due_ms in any case. */
void inbox_hand_over(struct inbox *inbox, uint64_t due_ms);
/* The own thread: waits until it is wanted, and claims. False: closed. */
bool inbox_wait_claim(struct inbox *inbox);
/* Nobody claims it any more; returns when the last has let go. */
void inbox_close(struct inbox *inbox);

/* I/O workers: run store jobs in order of arrival, `threads` at a time. */
#define JOBS_THREADS_MAX 4u
struct jobs {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct fifo queue;        /* struct store_job * */
    struct loop_shard *shard; /* gets the results */
    pthread_t threads[JOBS_THREADS_MAX];
    uint32_t thread_count;
    bool stopping;
};
int jobs_start(struct jobs *jobs, uint32_t threads, struct loop_shard *shard);
void jobs_put(struct jobs *jobs, struct store_job *job);
void jobs_stop(struct jobs *jobs); /* finishes what is queued */

struct loop_shard {
    struct node_loop *loop;
    struct inbox inbox;
    struct jobs write, background, read;
    pthread_t thread;
    bool running; /* its threads are there */
    uint16_t number;
    bool found; /* for open_shard(), */
    int opened; /* and what came of it, -EPROTO: it is of a newer format: */
    bool lost;  /* it is open, but its folder, manifest or journal cannot be trusted */
    /* As of the newest round: */
    atomic_bool disk_full;
    _Atomic uint64_t cache_hits, cache_misses, cache_evictions, cache_bytes;
    /* As of the newest tick: */
    _Atomic uint64_t operations, operation_bytes, leaders_digest;
    _Atomic uint32_t leaders, hosted;
    _Atomic uint64_t scrub_passes, scrub_ended_ms, scrub_bytes, scrub_faults, scrub_unread;
    _Atomic uint64_t repaired, compared, outvoted, undecided;
    _Atomic uint64_t lacked;
    /* Of whoever has claimed the inbox: */
    struct shard *shard;
    struct shard_effects *effects;
    uint64_t due_ms;
    /* As told to the log: */
    uint64_t snapshots; /* installed; bytes: that had come by then, of others too */
    uint64_t snapshot_bytes;
    uint64_t snapshots_kept;
    uint64_t faults, unread, repairs, outvoted_told, undecided_told;
    uint32_t fenced;
    bool slow;
    bool full;
    bool drained;
};

#define LOOP_SEEDS_MAX 64u
#define LOOP_LINKS_MAX 16384u /* accepted; crowds end long before */

/* A link the host knows: accepted ones until they go down, dialled ones for ever. */
struct host_link {
    struct host_link *next;
    struct link *link;
    uint64_t id;
    uint8_t role;
    bool dialled;
    bool seed;               /* dialled to join, whoever answers: it is nobody's for good */
    _Atomic uint16_t member; /* NODE: 0 while the map does not name its key, or as removed */
    uint32_t ticket;         /* accepted: that opened it, as in struct link_peer */
    uint32_t generation;
    bool ended;        /* its ticket opens no more: it is being closed */
    uint64_t instance; /* of the process at the other end; 0: it has not told */
    uint64_t deaf_ms;  /* accepted: since when nothing of it is heard, another process having its
                          identity; 0: it is heard */
    bool deaf_told;    /* that it is not */
    atomic_bool guest; /* NODE: it was one when that was looked at last */
    struct crowd_waiting waiting; /* in the control plane's inbox; of its link's callbacks */
    struct node_counters_link counters;
    char address[RINGMAP_ADDRESS_SIZE];
    const char *cipher; /* that seals it, for the log: a constant text */
    bool hello_due;     /* accepted: its HELLO is answered when the shards have started */
    bool greeted;       /* accepted: its HELLO has come */
    bool both_ways;     /* accepted, of a member that is JOINING: told to the control plane as up */
    uint8_t public_key[RINGMAP_KEY_SIZE];
};

struct node_loop {
    const struct node_loop_options *options;
    struct vfs *vfs;
    struct datadir *datadir;
    struct identity identity;
    struct fabric *fabric;
    struct node *node;
    struct node_gossip *gossip;
    uint8_t standings[RINGMAP_MEMBERS_MAX + 1]; /* by member, as last told to the log */
    struct inbox inbox;                         /* control plane */
    struct loop_shard *shards;
    struct owners owners; /* of their folders, once they are opened */
    struct vault vault;   /* the control plane adds keys */
    uint16_t shard_count;
    pthread_mutex_t refused_mutex;
    struct repeats refused; /* connections, as told to the log; guarded by refused_mutex */
    pthread_mutex_t budget_mutex;
    struct budget budget; /* of the shards' snapshots; guarded by budget_mutex */
    uint32_t files_max;   /* descriptors that the process may have */
    uint32_t files_links; /* of these, links may use */
    atomic_bool shards_started;
    atomic_uint drained;     /* shards */
    _Atomic uint16_t member; /* own id, 0 before the founding; set with the map */
    _Atomic(struct link *) dialled[RINGMAP_MEMBERS_MAX + 1]; /* by member */
    uint64_t tickets_due_ms;                                 /* of the control plane, too */
    char addresses[RINGMAP_MEMBERS_MAX + 1]
                  [RINGMAP_ADDRESS_SIZE]; /* to dial; of the control plane */
    struct link *seeds[LOOP_SEEDS_MAX];   /* until the node has joined; while one is down, its user
                                             is this table */
    char join_told[WIRE_MAP_WHY_SIZE];    /* why it has not, as last told to the log */
    uint64_t instance;                    /* of this process */
    uint64_t leave_ms; /* when a removed node ends at the latest; 0: it is none */
    bool leaving;      /* by the last ring map that had it */
    bool left;         /* it was here when it was removed; false: it has found that at its return */
    pthread_t raiser;
    bool raising; /* that thread is there, */
    bool raising_ends;
    pthread_cond_t raiser_wanted; /* to end; with links_mutex */
    /* Guarded by links_mutex: */
    pthread_mutex_t links_mutex;
    struct host_link *links;
    struct ringmap map; /* prepared or committed; for member ids */
    bool map_known;
    struct tickets tickets; /* that links are held against */
    bool tickets_known;
    struct node_counters counters;
    char address[RINGMAP_ADDRESS_SIZE];
};

uint64_t loop_now_ms(void);
uint64_t loop_wall_ms(void);
uint64_t loop_random(void);
/* logfmt on stderr: ts level event and what follows. */
void loop_log(const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* node_loop.c: steps the node core and carries out what comes of it. */
int loop_step_node(struct node_loop *loop, const struct node_event *event);

/* node_loop_data.c */
/* Makes or takes the data directory and the identity in it; whose lock is held by another process
 * is waited for, for a second. 0, NODE_LOOP_E_CONFLICT or NODE_LOOP_E_FAILED, which is told. */
int loop_data_open(struct node_loop *loop);
/* The line of the log that names the file of the data directory, NULL: it is not known, for which
 * the node ends with this -errno, and what to do about it. */
void loop_data_refused(const char *event, const char *file, int r);

/* node_loop_links.c */
int loop_links_open(struct node_loop *loop);
void loop_links_close(struct node_loop *loop);
/* Dials every member that is not dialled yet, and hangs up on those that are removed. Who is
 * JOINING is not dialled: it may have no secret yet that would let us in. It dials us, and what is
 * for it goes by its link. */
void loop_links_dial(struct node_loop *loop, const struct ringmap *map, uint16_t self);
/* Is it in the map as JOINING? links_mutex is held. */
bool loop_link_joining(const struct node_loop *loop, uint16_t member);
/* The member whose key the link has proven; 0 while no map names it. links_mutex is held. */
uint16_t loop_link_member(struct node_loop *loop, struct host_link *link);
/* NULL: it is not there any more. links_mutex is held. */
struct host_link *loop_link_find(const struct node_loop *loop, uint64_t id);
/* Who takes messages for the partition; NULL: nobody before the shards have started. */
struct inbox *loop_route(struct node_loop *loop, uint16_t partition);
/* The key that the link has proven. False: the link is not there any more. */
bool loop_links_key(struct node_loop *loop, uint64_t link, uint8_t key[RINGMAP_KEY_SIZE]);
/* The member is said to be elsewhere: dials it there, unless it is linked where it was. */
void loop_links_move(struct node_loop *loop, const struct node_gossip_move *move);
/* Tells the own counter again where it was too low, and is not any more. links_mutex is held. */
void loop_links_tell(struct node_loop *loop, struct host_link *host);
/* Tells the shards, just started, of the links that are there. */
void loop_links_announce(struct node_loop *loop);

/* node_loop_crowds.c */
/* What the link of a router or an admin counts as, which no map changes. Without links_mutex. */
enum crowd loop_crowd_of_role(const struct host_link *host);
/* Whether there is no place for it among those that are linked; it is not one of them yet.
 * links_mutex is held. */
struct refusal loop_crowd_refuse(struct node_loop *loop, struct host_link *host);
/* What the link counts as, by the map that is known now. Where it has become a guest, or is none
 * any more, its messages and its queue get the bounds of that. links_mutex is held. */
enum crowd loop_crowd_note(struct node_loop *loop, struct host_link *host);

/* node_loop_send.c */
/* All that goes to one link leaves together, in order; what goes to the own member is put into the
 * inbox of whom it is for, which has to be kicked if it is a shard's. count ≤ SHARD_SENDS_MAX. */
void loop_send(struct node_loop *loop, const struct shard_send *sends, size_t count);
/* To a member by the link it has dialled, if the own is down: it may have moved, and has to learn
 * from us what to outbid before we can learn where it is; or it cannot answer what we dial with
 * before it has our tickets. */
void loop_send_either(struct node_loop *loop, const struct shard_send *send);
void loop_consumed(struct node_loop *loop, uint64_t link, size_t bytes, uint32_t messages);

/* node_loop_tickets.c */
/* The node's tickets are there, or others, or some may have expired: opens to those who may come
 * in, and ends the links of those who may not. */
void loop_tickets_apply(struct node_loop *loop);
/* A link comes up: whether and why it may not. links_mutex is held. A new key of
 * a ticket that counts its uses is refused until that use is committed: it dials again. */
struct refusal loop_tickets_refuse(struct node_loop *loop, const struct link_peer *peer);
int loop_tickets_redeem(struct node_loop *loop, const struct inbox_item *item);
/* Tells an admin who is linked by a secret, and would be put out with it. */
void loop_tickets_peers(struct node_loop *loop, const struct inbox_item *item);
/* node_loop_join.c */
/* Dials the seeds, if this node has to ask its way in. */
void loop_join_open(struct node_loop *loop);
void loop_join_close(struct node_loop *loop);
/* What the seeds said, to the log. -EPERM: this node will never be taken in. */
int loop_join_tell(struct node_loop *loop, const struct node_effects *effects);
/* The node is removed: it ends once its replicas are gone, or soon. left: as struct node_loop's. */
void loop_leave_begin(struct node_loop *loop, bool left);
/* To the log, of one that finds itself removed: a data directory of no use. */
void loop_leave_refuse(const struct node_loop *loop);
bool loop_leave_due(const struct node_loop *loop);
/* Whether another process with the same key is linked: then this one is not heard. links_mutex is
 * held. */
bool loop_identity_taken(struct node_loop *loop, struct host_link *host);
/* With each tick: tells those, and the log, when it is sure that two processes run. */
void loop_identity_tell(struct node_loop *loop);
/* The member of whose data directory a copy runs, once that is sure, and where it dials from; 0:
 * none. */
uint16_t loop_identity_twin(struct node_loop *loop, char address[RINGMAP_ADDRESS_SIZE]);
/* A link of that key is down: one that was not heard because of it may try again; NULL: there is
 * none. links_mutex is held. */
struct link *loop_identity_next(struct node_loop *loop, const struct host_link *gone);

/* node_loop_counters.c */
/* What COUNTERS holds. An enum node_loop_e. */
int loop_counters_open(struct node_loop *loop);
/* A thread that raises the own counter now and then, while a member hears this node. 0 or -errno.
 */
int loop_counters_start(struct node_loop *loop);
void loop_counters_stop(struct node_loop *loop);
/* A HELLO has come by the link. links_mutex is held. */
enum node_counters_verdict loop_counters_hello(struct node_loop *loop, struct host_link *host,
                                               const struct wire_hello *hello);
/* Gossip tells it of a member, or of this node under another process. */
void loop_counters_heard(struct node_loop *loop, uint16_t member, uint64_t counter);
uint64_t loop_counters_own(struct node_loop *loop);
/* With each tick. -EPERM: this data directory is an older copy of what the others have heard of. */
int loop_counters_check(struct node_loop *loop);

/* node_loop_owners.c */
/* Before the shards are opened. 0, -EPROTO, which is told, or -errno. */
int loop_owners_open(struct node_loop *loop);
/* To the log, what keeps the shard, or a part of it, from being taken for what it was. r:
 * shard_open()'s answer, misfit: owners_check()'s. */
void loop_owners_tell(const struct loop_shard *shard, int r, int misfit);
/* The shard is open, or closed, in order. 0, also where there is no room, or -errno. */
int loop_owners_raise(struct loop_shard *shard);
/* Likewise, when all are that will be. */
int loop_owners_write(struct node_loop *loop);
/* All that ran are closed. */
void loop_owners_close(struct node_loop *loop);

/* node_loop_keys.c */
enum loop_keys_e { LOOP_KEYS_E_OK, LOOP_KEYS_E_NONE };
/* Opens this node's boxes in the map; the newest key that it can open seals from now on. */
void loop_keys_take(struct node_loop *loop, const struct ringmap *map);
/* The same at start, when an encrypted cluster's node needs a key to serve. 0; LOOP_KEYS_E_NONE:
 * the map gives it none, not yet; -EACCES: not one that this node can open. */
int loop_keys_open(struct node_loop *loop, const struct ringmap *map);
/* node_options.wrap; context: the loop. */
int loop_keys_wrap(void *context, uint8_t key_id, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   uint8_t box[RINGMAP_BOX_SIZE]);

/* node_loop_files.c */
/* As many descriptors as the administrator allows. */
void loop_files_raise(struct node_loop *loop);
/* The shard's share of them, for its store. 0, or -EMFILE, which is logged: it needs more. */
int loop_files_share(const struct node_loop *loop, uint16_t shard, uint32_t *files_max);

/* node_loop_shard.c */
int loop_shards_start(struct node_loop *loop, bool found);
/* Each shard gets a copy of the ring map. 0 or -ENOMEM. */
int loop_shards_map(struct node_loop *loop, const struct ringmap *map);
/* Something was put into the shard's inbox: works on it unless somebody does. No lock is held. */
void loop_shard_kick(struct loop_shard *shard);
void loop_shards_kick(struct node_loop *loop); /* all of them */
void loop_shards_stop(struct node_loop *loop);
/* Some shard cannot take values. */
bool loop_shards_full(const struct node_loop *loop);
/* Bytes of snapshots that their disks have no room for, lately. */
uint64_t loop_shards_lack(const struct node_loop *loop);
/* How many have a manifest or a journal that cannot be trusted: nothing mends those. */
uint16_t loop_shards_lost(const struct node_loop *loop);
struct cache_stats loop_shards_cache(const struct node_loop *loop);
struct wire_scrub loop_shards_scrub(const struct node_loop *loop);
/* Replicas, as of each shard's newest tick. */
uint32_t loop_shards_hosted(const struct node_loop *loop);
/* Operations since the start and groups led now, all shards together. */
void loop_shards_load(const struct node_loop *loop, struct node_gossip_event *load);

/* node_loop_gossip.c */
int loop_gossip_open(struct node_loop *loop);
/* The map is another. 0 or -errno. */
int loop_gossip_map(struct node_loop *loop, const struct ringmap *map);
bool loop_gossip_takes(uint8_t type); /* messages of this type */
int loop_gossip_message(struct node_loop *loop, const struct inbox_item *item);
int loop_gossip_tick(struct node_loop *loop);
void loop_gossip_leave(struct node_loop *loop);
/* When the next tick is due, monotonic. */
uint64_t loop_gossip_due_ms(const struct node_loop *loop);

#endif
