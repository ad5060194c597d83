/* What replication keeps: the founding and the newest map, Raft configurations, and a partition's
 * state in checkpoints and snapshots. */
#include "golden_ring.h"
#include "replication/node_counters.h"
#include "replication/node_file.h"
#include "replication/owners.h"
#include "replication/shard_internal.h"
#include "storage/codec.h"
#include "tests/replication/shard_cluster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- GENESIS, MAP and COUNTERS ------------------------------------------------------------- */

static void write_file(const struct node_file_kind *kind, const struct node_file *file,
                       struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();

    assert(node_file_write(vfs, kind, file) == 0);
    golden_take_file(vfs, kind->name, out);
    vfs_mem_free(vfs);
}

static void make_file(const struct node_file_kind *kind, uint16_t state, struct wire_buffer *out)
{
    struct ringmap map = golden_map();
    struct wire_buffer blob = {0};

    golden_put_map(&map, &blob);
    write_file(kind, &(struct node_file){state, blob.data, blob.size}, out);
    wire_buffer_deinit(&blob);
    ringmap_deinit(&map);
}

static const char *check_file(const struct node_file_kind *kind, uint16_t state,
                              const uint8_t *bytes, size_t size)
{
    struct ringmap want = golden_map();
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct node_file file;
    const char *wrong;

    golden_put_file(vfs, kind->name, bytes, size);
    GOLDEN_EXPECT(node_file_read(vfs, kind, &file) == 0);
    GOLDEN_EXPECT(file.state == state);
    wrong = golden_check_map(&want, file.blob, file.size);
    write_file(kind, &file, &again);
    free(file.blob);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return wrong;
}

static void make_genesis(struct wire_buffer *out)
{
    make_file(&node_file_genesis, 3, out);
}

static const char *check_genesis(const uint8_t *bytes, size_t size)
{
    return check_file(&node_file_genesis, 3, bytes, size);
}

static void make_map(struct wire_buffer *out)
{
    make_file(&node_file_map, 0, out);
}

static const char *check_map(const uint8_t *bytes, size_t size)
{
    return check_file(&node_file_map, 0, bytes, size);
}

static void make_counters(struct wire_buffer *out)
{
    static struct node_counters counters;
    struct vfs *vfs = vfs_mem_new();

    counters = (struct node_counters){.own = 4241};
    node_counters_hear(&counters, 1, 17);
    node_counters_hear(&counters, 1000, 0x010203040506);
    assert(node_counters_raise(vfs, &counters, 3) == 0);
    golden_take_file(vfs, node_file_counters.name, out);
    vfs_mem_free(vfs);
}

static const char *check_counters(const uint8_t *bytes, size_t size)
{
    static struct node_counters counters;
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};

    golden_put_file(vfs, node_file_counters.name, bytes, size);
    GOLDEN_EXPECT(node_counters_read(vfs, &counters) == 0);
    GOLDEN_EXPECT(counters.own == 4242 && counters.heard[1] == 17 && counters.heard[2] == 0 &&
                  counters.heard[1000] == 0x010203040506);
    counters.own--;
    GOLDEN_EXPECT(node_counters_raise(vfs, &counters, 3) == 0);
    golden_take_file(vfs, node_file_counters.name, &again);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- OWNER and GENERATIONS ----------------------------------------------------------------- */

#define SHARDS 3u

static void own(struct vfs *vfs, struct owners *owners)
{
    uint8_t key[RINGMAP_KEY_SIZE];

    golden_fill(key, sizeof key, 100);
    assert(vfs_mkdir(vfs, "shard-01") == 0);
    assert(owners_read(owners, vfs, key, SHARDS) == 0);
}

static void make_owned(const char *path, struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();
    struct owners owners;

    own(vfs, &owners);
    owners.newest[1] = 0x010203040506;
    assert(owners_raise(&owners, 1) == 0);
    owners.listed[2] = 4;
    assert(owners_write(&owners) == 0);
    golden_take_file(vfs, path, out);
    vfs_mem_free(vfs);
}

static void make_owner(struct wire_buffer *out)
{
    make_owned("shard-01/OWNER", out);
}

static const char *check_owner(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct owners owners;

    own(vfs, &owners);
    golden_put_file(vfs, "shard-01/OWNER", bytes, size);
    owners.listed[1] = 0x010203040507;
    GOLDEN_EXPECT(owners_check(&owners, 1) == OWNERS_E_OK);
    GOLDEN_EXPECT(owners.newest[1] == 0x010203040507);
    owners.listed[1]++;
    GOLDEN_EXPECT(owners_check(&owners, 1) == OWNERS_E_OLDER);
    vfs_mem_free(vfs);
    make_owner(&again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

static void make_generations(struct wire_buffer *out)
{
    make_owned(node_file_generations.name, out);
}

static const char *check_generations(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct owners owners;

    golden_put_file(vfs, node_file_generations.name, bytes, size);
    own(vfs, &owners);
    GOLDEN_EXPECT(owners.listed[0] == 0 && owners.listed[1] == 0x010203040507 &&
                  owners.listed[2] == 4);
    GOLDEN_EXPECT(owners_write(&owners) == 0);
    golden_take_file(vfs, node_file_generations.name, &again);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- configuration -------------------------------------------------------------------------- */

/* On its way from members 1, 2, 3 to 1, 2, 5; 7 still learns. */
static const struct raft_config config = {.index = 950,
                                          .epoch = 9,
                                          .voters = {{1, 1}, {2, 1}, {5, 940}},
                                          .voters_old = {{1, 1}, {2, 1}, {3, 1}},
                                          .learners = {{7, 945}},
                                          .voter_count = 3,
                                          .voter_old_count = 3,
                                          .learner_count = 1};

static void make_config(struct wire_buffer *out)
{
    uint8_t bytes[RAFT_CONFIG_SIZE_MAX];

    wire_put_raw(out, bytes, raft_config_encode(&config, bytes));
}

static const char *compare_configs(const struct raft_config *read)
{
    GOLDEN_EXPECT(read->index == 950 && read->epoch == 9);
    GOLDEN_EXPECT(read->voter_count == 3 && read->voter_old_count == 3 && read->learner_count == 1);
    GOLDEN_EXPECT(read->voters[2].member == 5 && read->voters[2].life == 940);
    GOLDEN_EXPECT(read->voters_old[2].member == 3 && read->voters_old[2].life == 1);
    GOLDEN_EXPECT(read->learners[0].member == 7 && read->learners[0].life == 945);
    return NULL;
}

static const char *check_config(const uint8_t *bytes, size_t size)
{
    uint8_t again[RAFT_CONFIG_SIZE_MAX];
    struct raft_config read;

    GOLDEN_EXPECT(raft_config_decode(bytes, size, &read) == 0);
    GOLDEN_EXPECT(raft_config_encode(&read, again) == size && memcmp(again, bytes, size) == 0);
    return compare_configs(&read);
}

/* --- state of a partition ------------------------------------------------------------------- */

/* A request of session 5 whose answer was -1, at index 900. */
static const struct record_request request = {
    .session = 5, .sequence = 6, .floor = 4, .result = -1};

static void put_number(struct wire_buffer *out, uint64_t number, size_t size)
{
    uint8_t bytes[8];

    codec_put_u64(bytes, number);
    wire_put_raw(out, bytes, size);
}

static void put_sessions(struct wire_buffer *out)
{
    struct sessions_options options = {.sessions_max = 16, .window_max = 64};
    struct sessions sessions;
    uint8_t bytes[256];

    sessions_init(&sessions, &options);
    assert(sessions_apply(&sessions, &request, 900) == SESSIONS_NEW);
    assert(sessions_save_size(&sessions) <= sizeof bytes);
    sessions_save(&sessions, bytes);
    wire_put_raw(out, bytes, sessions_save_size(&sessions));
    sessions_deinit(&sessions);
}

/* As the comment at the top of replication/shard_state.c has it, for the versions that had less
 * too; written by hand, because what writes it needs a whole shard. */
static void put_state(uint8_t version, struct wire_buffer *out)
{
    uint8_t encoded[RAFT_CONFIG_SIZE_MAX];
    size_t size = raft_config_encode(&config, encoded);

    put_number(out, version, 1);
    put_number(out, 0, 1); /* not fenced */
    put_number(out, size, 2);
    put_number(out, 1700000000123, 8); /* logged time */
    if (version >= 2)
        put_number(out, 930, 8); /* settled */
    if (version >= 3) {
        put_number(out, 0, 8);
        put_number(out, 0, 8); /* no dictionaries */
    }
    if (version >= 5)
        put_number(out, 1, 8); /* life */
    wire_put_raw(out, encoded, size);
    put_sessions(out);
}

static const char *compare_state(const struct replica *replica)
{
    struct sessions_answer answer;

    GOLDEN_EXPECT(replica->logged_ms == 1700000000123);
    GOLDEN_EXPECT(sessions_check(&replica->sessions, 5, 6, 4, &answer) == SESSIONS_DONE);
    GOLDEN_EXPECT(answer.result == -1 && answer.index == 900);
    GOLDEN_EXPECT(sessions_check(&replica->sessions, 5, 3, 3, &answer) == SESSIONS_UNKNOWN);
    return NULL;
}

/* Loads it into a replica of partition 0, and writes that one's state: always the newest version.
 */
static const char *load_state(struct shard *shard, const uint8_t *bytes, size_t size,
                              struct wire_buffer *again)
{
    struct replica *replica = shard_replica(shard, 0);
    struct raft before = replica->raft;
    struct raft_config read;
    const char *wrong;
    bool fenced, saved;

    GOLDEN_EXPECT(shard_state_load(shard, replica, bytes, size, &read, &fenced) == 0);
    GOLDEN_EXPECT(!fenced && replica->settled == (bytes[0] == 1 ? 0 : 930));
    wrong = compare_configs(&read);
    replica->raft.config = replica->raft.config_previous = read;
    saved = shard_state_save(shard, replica, &size);
    replica->raft = before;
    GOLDEN_EXPECT(saved);
    wire_put_raw(again, shard->state, size);
    return wrong ? wrong : compare_state(replica);
}

static const char *check_state(const uint8_t *bytes, size_t size)
{
    static struct cluster cluster;
    struct wire_buffer again = {0};
    const char *wrong;

    cluster_start(&cluster);
    wrong = load_state(cluster.shards[0], bytes, size, &again);
    cluster_stop(&cluster);
    if (!wrong && bytes[0] == again.data[0]) /* it is of the newest version */
        return golden_same(&again, bytes, size) ? NULL : "it is not written as it was read";
    wire_buffer_deinit(&again);
    return wrong;
}

#define STATE_GOLDEN(version)                                                                      \
    static void make_state_##version(struct wire_buffer *out)                                      \
    {                                                                                              \
        put_state((version), out);                                                                 \
    }
STATE_GOLDEN(1)
STATE_GOLDEN(2)
STATE_GOLDEN(3)
STATE_GOLDEN(4)
STATE_GOLDEN(5)

const struct golden golden_replication[] = {
    {"genesis-1", make_genesis, check_genesis},
    {"map-1", make_map, check_map},
    {"counters-1", make_counters, check_counters},
    {"config-1", make_config, check_config},
    {"state-1", make_state_1, check_state},
    {"counters-1", make_counters, check_counters},
    {"state-2", make_state_2, check_state},
    {"state-3", make_state_3, check_state},
    {"state-4", make_state_4, check_state},
    {"state-5", make_state_5, check_state},
    {"owner-1", make_owner, check_owner},
    {"generations-1", make_generations, check_generations},
};
const size_t golden_replication_count = sizeof golden_replication / sizeof *golden_replication;
