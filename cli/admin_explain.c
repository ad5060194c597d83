#include "cli/admin.h"
#include "cli/moves.h"

#include "replication/raft.h"
#include "ring/hash.h"
#include "storage/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct output_column field_key = {"key", "key", OUTPUT_TEXT};
static const struct output_column field_tag = {"tag", "tag", OUTPUT_TEXT};
static const struct output_column field_digest = {"digest", "digest", OUTPUT_TEXT};
static const struct output_column field_partition = {"partition", "partition", OUTPUT_NUMBER};
static const struct output_column field_leader = {"leader", "leader", OUTPUT_NUMBER};
static const struct output_column field_epoch = {"epoch", "epoch", OUTPUT_NUMBER};
static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},         {"address", "ADDRESS", OUTPUT_TEXT},
    {"role", "ROLE", OUTPUT_TEXT},       {"move", "MOVE", OUTPUT_TEXT},
    {"wanted", "WANTED", OUTPUT_BOOL},   {"term", "TERM", OUTPUT_NUMBER},
    {"first", "FIRST", OUTPUT_NUMBER},   {"last", "LAST", OUTPUT_NUMBER},
    {"commit", "COMMIT", OUTPUT_NUMBER}, {"applied", "APPLIED", OUTPUT_NUMBER},
    {"lag", "LAG", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static const char *role_name(const struct view_replica *replica, enum moves_part part)
{
    static const char *const names[] = {[RAFT_FOLLOWER] = "follower",
                                        [RAFT_PRECANDIDATE] = "candidate",
                                        [RAFT_CANDIDATE] = "candidate",
                                        [RAFT_LEADER] = "leader"};

    if (!replica->known)
        return "unreachable";
    if (replica->status.fenced)
        return "fenced";
    if (part == MOVES_PART_LEARNER)
        return "learner";
    if (part == MOVES_PART_NONE)
        return "left over";
    return replica->status.role <= RAFT_LEADER ? names[replica->status.role] : "?";
}

/* NULL: it stays. */
static const char *move_name(enum moves_part part)
{
    if (part == MOVES_PART_LEARNER || part == MOVES_PART_COMING)
        return "joining";
    return part == MOVES_PART_LEAVING ? "leaving" : NULL;
}

static void put_head(struct admin *admin, const char *key, uint16_t partition,
                     const struct hash_digest *digest)
{
    const struct view *view = &admin->view;
    int leader = view_leader(view, partition);
    size_t size = strlen(key), tag_size;
    const uint8_t *tag = hash_tag(key, size, &tag_size);
    char digest_text[40], tag_text[1024];

    snprintf(digest_text, sizeof digest_text, "%016" PRIx64 "%016" PRIx64, digest->high,
             digest->low);
    snprintf(tag_text, sizeof tag_text, "%.*s", (int)tag_size, (const char *)tag);
    output_field(admin->output, &field_key, (struct output_value){.text = key});
    output_field(admin->output, &field_tag,
                 (struct output_value){.text = tag_text, .absent = tag_size == size});
    output_field(admin->output, &field_digest, (struct output_value){.text = digest_text});
    output_field(admin->output, &field_partition, (struct output_value){.number = partition});
    output_field(
        admin->output, &field_leader,
        (struct output_value){.number = leader < 0 ? 0 : view_row(view, partition)[leader].member,
                              .absent = leader < 0});
    output_field(admin->output, &field_epoch, (struct output_value){.number = view->map.epoch});
}

static void put_replica(struct output *output, const struct view *view, const struct moves *moves,
                        uint16_t partition, uint32_t place)
{
    const struct view_replica *replica = &view_row(view, partition)[place];
    enum moves_part part = moves_part(moves, &view->map, partition, replica->member);
    const char *move = move_name(part);
    bool gone = !replica->known;

    output_row(output, (const struct output_value[COLUMN_COUNT]){
                           {.number = replica->member},
                           {.text = view_node(view, replica->member)->address},
                           {.text = role_name(replica, part)},
                           {.text = move, .absent = !move},
                           {.number = replica->wanted},
                           {.number = replica->status.term, .absent = gone},
                           {.number = replica->status.first, .absent = gone},
                           {.number = replica->status.last, .absent = gone},
                           {.number = replica->status.commit, .absent = gone},
                           {.number = replica->status.applied, .absent = gone},
                           {.number = view_lag(view, partition, place), .absent = gone},
                       });
}

static enum exit_code explain(struct admin *admin, const struct moves *moves)
{
    const struct ringmap *map = &admin->view.map;
    const char *key = admin->arguments->operands[0];
    struct hash_digest digest;
    uint16_t partition =
        hash_partition(map->hash_secret, map->partition_count, key, strlen(key), &digest);

    put_head(admin, key, partition, &digest);
    output_table(admin->output, "replicas", columns, COLUMN_COUNT);
    for (uint32_t place = 0;
         place < VIEW_PLACES && view_row(&admin->view, partition)[place].member != 0; place++)
        put_replica(admin->output, &admin->view, moves, partition, place);
    return admin_print(admin);
}

int admin_explain(const struct arguments *arguments)
{
    struct admin admin;
    struct moves moves = {0};
    size_t size = strlen(arguments->operands[0]);
    enum exit_code code;
    int r = 0;

    if (size == 0 || size > RECORD_KEY_SIZE_MAX) {
        arguments_error(arguments, "a key has 1 to %u bytes, and this has %zu", RECORD_KEY_SIZE_MAX,
                        size);
        return EXIT_CODE_USAGE;
    }
    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK)
        r = moves_ask(&moves, &admin.view, admin.cluster, CLUSTER_TIMEOUT_MS);
    if (r < 0) {
        code = admin_fail(&admin, r);
    } else if (code == EXIT_CODE_OK) {
        code = explain(&admin, &moves);
    }
    moves_deinit(&moves);
    admin_close(&admin);
    return code;
}
