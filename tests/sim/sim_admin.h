/* The admin is endpoint 0: it dials every node, founds the cluster by repeating each step until all
 * have answered, and then, in most seeds, changes the ring map now and then, while the faults are
 * at work: it asks some node for the map, adds a data key (in clusters that store plain the epoch
 * alone is new), and asks some node for the change; at times it asks for two that compete, or for
 * one of them twice.
 *
 * Boxes of data keys are the key, its number and the node's; nothing is encrypted in them.
 */
#ifndef TESTS_SIM_SIM_ADMIN_H
#define TESTS_SIM_SIM_ADMIN_H

#include "ring/ringmap.h"
#include "storage/vault.h"
#include "tests/sim/sim.h"

#define SIM_EPOCHS_MAX 256u

struct sim_cluster;

struct sim_admin {
    struct sim_cluster *cluster;
    uint32_t replies;    /* bit of each node that has answered the present step */
    uint8_t step;        /* 0 prepare, 1 commit, 2 done */
    uint64_t founded_us; /* when all had committed */
    uint64_t asked;      /* correlation of the newest request for the map */
    uint64_t changes;    /* asked for so far */
    uint64_t done;       /* and confirmed */
    uint64_t sent;       /* with those that were asked for twice, */
    uint64_t answered;   /* of them, and */
    uint64_t sent_us;    /* when the newest was */
    uint64_t epoch_done; /* the latest that was confirmed */
    /* The one map of each epoch that anybody has seen committed. */
    struct {
        bool known;
        uint8_t hash[RINGMAP_HASH_SIZE];
    } maps[SIM_EPOCHS_MAX];
    /* Hashes of what was asked for, by number of the change. */
    struct {
        uint64_t epoch;
        uint8_t kind; /* enum sim_change */
        uint8_t hash[RINGMAP_HASH_SIZE];
    } wanted[SIM_EPOCHS_MAX];
};

void sim_admin_start(struct sim_admin *admin, struct sim_cluster *cluster);
/* Talks to the nodes again at the end of a run in which it had nothing more to do. */
void sim_admin_return(struct sim_admin *admin);
bool sim_admin_founded(const struct sim_admin *admin);
/* No node has a change any more that it may yet bring to the meta group. */
bool sim_admin_quiet(const struct sim_admin *admin);
/* A data key for every member. */
void sim_admin_add_key(struct ringmap *map, struct sim_random *random);
/* Of one key, for whom the public key belongs to. */
void sim_admin_make_box(uint8_t *box, uint8_t id, const uint8_t key[VAULT_KEY_SIZE],
                        const uint8_t *public_key);
/* False: it is not this node's, or of another key. */
bool sim_admin_open_box(const uint8_t *box, uint8_t endpoint, uint8_t id,
                        uint8_t key[VAULT_KEY_SIZE]);
/* What the map was asked for, enum sim_change; SIM_CHANGE_KINDS: not by the admin. */
uint8_t sim_admin_kind(const struct sim_admin *admin, const uint8_t *hash);
/* Somebody goes by this map: fails unless everyone else's of that epoch is the same. */
void sim_admin_map_seen(struct sim_admin *admin, uint64_t epoch, const uint8_t *hash,
                        const char *who);

#endif
