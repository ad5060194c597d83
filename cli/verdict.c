#include "cli/verdict.h"

#include "cli/standing.h"
#include "cli/text.h"

/* What is wrong with one node, of one and of several; the worst comes first. */
#define FAULT_TABLE(X)                                                                             \
    X(UNREACHABLE, "is unreachable", "are unreachable")                                            \
    X(UNFOUNDED, "has not heard of the founding", "have not heard of the founding")                \
    /* somebody was told to commit it, and all were prepared before: see cli/founding.c */         \
    X(FORGETFUL, "has lost its GENESIS", "have lost their GENESIS")                                \
    X(LOST, "has a shard that is damaged beyond repair",                                           \
      "have shards that are damaged beyond repair")                                                \
    X(DISK_FULL, "has a full disk", "have full disks")                                             \
    X(FENCED, "has damaged partitions", "have damaged partitions")                                 \
    /* the node answers, but not for some partition it should hold */                              \
    X(SILENT, "does not answer for all its partitions", "do not answer for all their partitions")  \
    X(CUT_OFF, "does not hear the leaders of all its partitions",                                  \
      "do not hear the leaders of all their partitions")                                           \
    X(BEHIND, "is catching up", "are catching up")                                                 \
    /* a plan under way gives it partitions that it has not got yet */                             \
    X(RECEIVING, "is to get partitions yet", "are to get partitions yet")

enum fault {
#define X(name, one, many) FAULT_##name,
    FAULT_TABLE(X)
#undef X
        FAULTS
};

static const struct {
    const char *one, *many;
} faults[FAULTS] = {
#define X(name, one, many) {one, many},
    FAULT_TABLE(X)
#undef X
};

struct diagnosis {
    const struct view *view;
    const struct moves *moves;
    uint16_t has[RINGMAP_MEMBERS_MAX]; /* by slot: bits of faults */
    uint32_t counts[FAULTS];
    uint16_t first[FAULTS]; /* a node that has it */
    uint32_t without_majority;
};
_Static_assert(FAULTS <= 16, "there is a bit for each");

const char *verdict_state_name(enum verdict_state state)
{
    static const char *const names[] = {[VERDICT_HEALTHY] = "healthy",
                                        [VERDICT_DEGRADED] = "degraded",
                                        [VERDICT_UNAVAILABLE] = "unavailable",
                                        [VERDICT_UNFOUNDED] = "not founded"};

    return names[state];
}

static uint32_t slot_of(const struct view *view, uint16_t id)
{
    return (uint32_t)(ringmap_member(&view->map, id) - view->map.members);
}

/* Who holds nothing yet, or nothing any more, can be missed. */
static bool serves(const struct view *view, uint32_t slot)
{
    return ringmap_takes_part(view->map.members[slot].state);
}

/* Whether a plan under way is to bring the group there; who voted in the meta group before, the map
 * does not tell. */
static bool is_newcomer(const struct view *view, uint16_t group, uint16_t member)
{
    return ringmap_moving(&view->map) &&
           (group == WIRE_PARTITION_META || !ringmap_holds(&view->map, group, member));
}

/* Bits of what is wrong with the replica. */
static uint16_t faults_of(const struct view *view, uint16_t group, uint16_t member)
{
    bool newcomer = is_newcomer(view, group, member);

    switch (standing_lack(view, group, member)) {
    case STANDING_SOUND:
        return 0;
    case STANDING_FENCED:
        return 1u << FAULT_FENCED;
    case STANDING_SILENT:
        return 1u << (newcomer ? FAULT_RECEIVING : FAULT_SILENT);
    case STANDING_CUT_OFF:
        return 1u << FAULT_CUT_OFF;
    default:
        return 1u << (newcomer ? FAULT_RECEIVING : FAULT_BEHIND);
    }
}

static struct standing standing_of(const struct view *view, uint16_t partition, const uint16_t *row)
{
    return standing_of_row(view, partition, row, ringmap_row_count(&view->map, row));
}

/* While a plan is under way a partition is where it comes from or where it is to be. */
static const uint16_t *row_of(const struct view *view, uint16_t partition)
{
    const uint16_t *wanted = ringmap_wanted(&view->map, partition);
    const uint16_t *before = ringmap_row(&view->map, partition);

    return standing_of(view, partition, before).spare > standing_of(view, partition, wanted).spare
               ? before
               : wanted;
}

static void judge_partition(struct verdict *verdict, struct diagnosis *diagnosis,
                            uint16_t partition)
{
    const struct view *view = diagnosis->view;
    const uint16_t *row = row_of(view, partition);
    struct standing standing = standing_of(view, partition, row);
    int now = standing_of_group(view, diagnosis->moves, partition).spare;
    uint32_t spare = now > 0 ? (uint32_t)now : 0;

    for (uint32_t i = 0; i < standing.members; i++)
        diagnosis->has[slot_of(view, row[i])] |= faults_of(view, partition, row[i]);
    verdict->leaders += view_leader(view, partition) >= 0;
    verdict->under_replicated += standing.good < standing.members;
    diagnosis->without_majority += now < 0;
    if (partition == 0 || spare < verdict->tolerates)
        verdict->tolerates = spare;
}

/* Without it all data is served; but nothing can be changed any more when too many of it fail. */
static void judge_meta(struct diagnosis *diagnosis)
{
    const struct view *view = diagnosis->view;

    for (uint32_t i = 0; i < view->map.meta_voter_count; i++) {
        uint16_t voter = view->map.meta_voters[i];

        diagnosis->has[slot_of(view, voter)] |= faults_of(view, WIRE_PARTITION_META, voter);
    }
}

/* A node that does not answer has no other fault, nor has one that is not founded. Of one with a
 * shard beyond repair nobody has to hear that partitions are damaged. */
static uint16_t faults_of_node(const struct view_node *node, uint16_t of_replicas)
{
    uint16_t found = of_replicas;

    if (!node->reachable)
        return 1u << FAULT_UNREACHABLE;
    if (node->status.founded != 2)
        return 1u << (node->status.founded == 0 ? FAULT_FORGETFUL : FAULT_UNFOUNDED);
    if (view_disk_is_full(node))
        found |= 1u << FAULT_DISK_FULL;
    if (view_is_lost(node))
        found = (uint16_t)((found & ~(1u << FAULT_FENCED)) | 1u << FAULT_LOST);
    return found;
}

static void find_faults(struct diagnosis *diagnosis)
{
    const struct view *view = diagnosis->view;

    for (uint32_t i = 0; i < view->node_count; i++) {
        uint16_t *has = &diagnosis->has[i];

        *has = serves(view, i) ? faults_of_node(&view->nodes[i], *has) : 0;
        for (int fault = 0; fault < FAULTS; fault++)
            if (*has & 1u << fault && diagnosis->counts[fault]++ == 0)
                diagnosis->first[fault] = view->nodes[i].id;
    }
}

/* "node-2 (127.0.0.1:7002) and node-3 (127.0.0.1:7003) are" */
static void name_nodes(const struct diagnosis *diagnosis, enum fault fault, struct text *text)
{
    const struct view *view = diagnosis->view;
    uint32_t named = 0, count = diagnosis->counts[fault];

    for (uint32_t i = 0; i < view->node_count && named < 3; i++) {
        if (!(diagnosis->has[i] & 1u << fault))
            continue;
        named++;
        text_add(text, "%snode-%u (%s)",
                 named == 1       ? ""
                 : named == count ? " and "
                                  : ", ",
                 view->nodes[i].id, view->nodes[i].address);
    }
    if (count > named)
        text_add(text, " and %u more", count - named);
}

static void describe(const struct verdict *verdict, const struct diagnosis *diagnosis,
                     struct text *text)
{
    size_t begin = text->size;

    for (int fault = 0; fault < FAULTS; fault++) {
        if (diagnosis->counts[fault] == 0)
            continue;
        if (text->size > begin)
            text_add(text, "; ");
        name_nodes(diagnosis, (enum fault)fault, text);
        text_add(text, " %s",
                 diagnosis->counts[fault] == 1 ? faults[fault].one : faults[fault].many);
    }
    if (view_meta_leader(diagnosis->view) == 0)
        text_add(text, "%sthe meta group has no leader", text->size > begin ? "; " : "");
    if (text->size == begin && verdict->leaders == verdict->partitions)
        text_add(text, "%u partition%s no majority", diagnosis->without_majority,
                 diagnosis->without_majority == 1 ? " has" : "s have");
    else if (text->size == begin)
        text_add(text, "%u partition%s no leader at the moment",
                 verdict->partitions - verdict->leaders,
                 verdict->partitions - verdict->leaders == 1 ? " has" : "s have");
}

static void advise(struct verdict *verdict, const struct diagnosis *diagnosis, struct text *text)
{
    const struct view *view = diagnosis->view;
    enum fault fault = 0;
    const struct view_node *node;

    while (fault < FAULTS && diagnosis->counts[fault] == 0)
        fault++;
    if (fault == FAULTS) {
        text_add(text, "wait a second and ask again; if it stays, read the nodes' logs");
        return;
    }
    node = view_node(view, diagnosis->first[fault]);
    switch (fault) {
    case FAULT_UNREACHABLE:
        text_add(text,
                 "start node-%u again: ringcask node --ticket FILE --data DIR --listen %s  (%s)",
                 node->id, node->address, node->why);
        verdict->then = "if it is lost: ring-admin doctor";
        break;
    case FAULT_UNFOUNDED:
        text_add(text, "finish the founding: ring-admin init");
        for (uint32_t i = 0; i < view->node_count; i++)
            text_add(text, " %s", view->nodes[i].address);
        break;
    case FAULT_FORGETFUL:
        text_add(text,
                 "stop node-%u and put the file back, or give its place to a node that has joined: "
                 "ring-admin replace %u NEW",
                 node->id, node->id);
        break;
    case FAULT_DISK_FULL:
        text_add(text, "free space on the disk of node-%u%s; it goes on by itself then", node->id,
                 ringmap_moving(&view->map) ? ", or end the plan with ring-admin abort" : "");
        break;
    case FAULT_LOST:
        text_add(text, "keep the other nodes running, and give what node-%u holds to another disk",
                 node->id);
        verdict->then = "with which command: ring-admin doctor";
        break;
    case FAULT_FENCED:
        text_add(text,
                 "wait, and keep the other replicas running: they give it their content; if it "
                 "stays, look at what node-%u says in its log, and at its files: ringcask inspect "
                 "DIR/shard-00",
                 node->id);
        break;
    case FAULT_CUT_OFF:
        text_add(
            text,
            "wait a second and ask again; if it stays, look at the network between node-%u and "
            "the others",
            node->id);
        verdict->then = "who reaches whom: ring-admin doctor";
        break;
    case FAULT_RECEIVING:
        text_add(text, view->map.paused
                           ? "ring-admin resume, or ring-admin abort: the plan is paused"
                           : "wait: the plan brings them; watch with ring-admin moves");
        break;
    default:
        text_add(text, "wait: it goes on by itself; watch with ring-admin status");
        break;
    }
}

static void not_founded(struct verdict *verdict, const struct view *view)
{
    struct text sentence = {verdict->sentence, sizeof verdict->sentence, 0};
    struct text mend = {verdict->mend, sizeof verdict->mend, 0};
    uint32_t waiting = 0;

    verdict->state = VERDICT_UNFOUNDED;
    for (uint32_t i = 0; i < view->node_count; i++)
        waiting += view->nodes[i].reachable;
    text_add(&sentence, "not founded: %u of %u node%s ready and empty", waiting, view->node_count,
             view->node_count == 1 ? " is" : "s are");
    text_add(&mend, "ring-admin init");
    for (uint32_t i = 0; i < view->node_count; i++)
        text_add(&mend, " %s", view->nodes[i].address);
}

void verdict_reach(struct verdict *verdict, const struct view *view, const struct moves *moves)
{
    struct diagnosis diagnosis = {.view = view, .moves = moves};
    struct text sentence = {verdict->sentence, sizeof verdict->sentence, 0};
    struct text mend = {verdict->mend, sizeof verdict->mend, 0};
    uint32_t members = 0, joining = 0;

    *verdict = (struct verdict){0};
    if (!view->founded) {
        not_founded(verdict, view);
        return;
    }
    verdict->partitions = view->map.partition_count;
    for (uint32_t i = 0; i < view->node_count; i++) {
        members += serves(view, i);
        joining += view->map.members[i].state == RINGMAP_STATE_JOINING;
    }
    for (uint32_t partition = 0; partition < verdict->partitions; partition++)
        judge_partition(verdict, &diagnosis, (uint16_t)partition);
    judge_meta(&diagnosis);
    find_faults(&diagnosis);
    if (diagnosis.without_majority > 0 || verdict->leaders < verdict->partitions)
        verdict->state = VERDICT_UNAVAILABLE;
    for (int fault = 0; fault < FAULTS && verdict->state == VERDICT_HEALTHY; fault++)
        if (diagnosis.counts[fault] > 0)
            verdict->state = VERDICT_DEGRADED;
    if (verdict->state == VERDICT_HEALTHY && view_meta_leader(view) == 0)
        verdict->state = VERDICT_DEGRADED;
    text_add(&sentence, "%s: ", verdict_state_name(verdict->state));
    if (verdict->state == VERDICT_HEALTHY) {
        text_add(&sentence, "%u node%s, %u partitions", members, members == 1 ? "" : "s",
                 verdict->partitions);
    } else {
        describe(verdict, &diagnosis, &sentence);
        text_add(&sentence, "; %u of %u partitions have a leader, %u are under-replicated",
                 verdict->leaders, verdict->partitions, verdict->under_replicated);
        advise(verdict, &diagnosis, &mend);
    }
    text_add(&sentence, ", tolerates %u more failure%s", verdict->tolerates,
             verdict->tolerates == 1 ? "" : "s");
    if (ringmap_moving(&view->map))
        text_add(&sentence, "; a plan is %s", view->map.paused ? "paused" : "under way");
    if (joining > 0)
        text_add(&sentence, "; %u node%s joining", joining, joining == 1 ? " is" : "s are");
}
