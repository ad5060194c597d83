#include "cli/findings.h"

#include "cli/changes.h"
#include "cli/progress.h"
#include "cli/remedy.h"
#include "cli/verdict.h"

#include "replication/transfer.h"
#include "ring/swim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *finding_level_name(uint8_t level)
{
    static const char *const names[] = {[FINDING_OK] = "OK",
                                        [FINDING_HINT] = "HINT",
                                        [FINDING_WARN] = "WARN",
                                        [FINDING_ERROR] = "ERROR"};

    return names[level];
}

/* One check at work. */
struct looking {
    struct findings *findings;
    const struct view *view;
    const struct top_member *members; /* as view->nodes */
    const struct moves *moves;
    const char *check;
    uint32_t alike; /* lines that are not OK */
};

/* Where a line goes; NULL: there is no room, or enough of them; or all is not OK. */
static struct finding *add(struct looking *looking, enum finding_level level)
{
    struct findings *findings = looking->findings;
    struct finding *finding;

    if (findings->count == FINDINGS_MAX || (level == FINDING_OK && looking->alike > 0))
        return NULL;
    if (level != FINDING_OK && looking->alike++ >= FINDINGS_ALIKE_MAX)
        return NULL;
    finding = &findings->items[findings->count++];
    *finding = (struct finding){.level = (uint8_t)level, .check = looking->check};
    return finding;
}

static void tell(struct looking *looking, enum finding_level level, const char *mend,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* OK: only when the check has told nothing else. */
static void tell(struct looking *looking, enum finding_level level, const char *mend,
                 const char *format, ...)
{
    struct finding *finding = add(looking, level);
    va_list list;

    if (!finding)
        return;
    va_start(list, format);
    vsnprintf(finding->text, sizeof finding->text, format, list);
    va_end(list);
    snprintf(finding->mend, sizeof finding->mend, "%s", mend);
}

static const struct ringmap_member *member_at(const struct looking *looking, uint32_t i)
{
    return &looking->view->map.members[i];
}

static bool serves(const struct looking *looking, uint32_t i)
{
    return ringmap_takes_part(member_at(looking, i)->state);
}

static bool is_there(const struct looking *looking, uint32_t i)
{
    return looking->view->nodes[i].reachable &&
           member_at(looking, i)->state != RINGMAP_STATE_REMOVED;
}

static uint32_t count_in(const struct looking *looking, uint8_t state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < looking->view->node_count; i++)
        count += member_at(looking, i)->state == state;
    return count;
}

/* --- the checks ---------------------------------------------------------------------------- */

/* Each takes plans of the whole map: only for what is told. */
static void mend_lost(const struct looking *looking, const struct view_node *node,
                      char mend[FINDING_TEXT_SIZE])
{
    mend[0] = 0;
    if (looking->alike < FINDINGS_ALIKE_MAX)
        remedy_text(looking->view, looking->moves, node, mend, FINDING_TEXT_SIZE);
}

static void check_quorums(struct looking *looking)
{
    struct verdict verdict;

    verdict_reach(&verdict, looking->view, looking->moves);
    if (verdict.state == VERDICT_HEALTHY)
        tell(looking, FINDING_OK, "", "%s", verdict.sentence);
    else
        tell(looking, verdict.state == VERDICT_DEGRADED ? FINDING_WARN : FINDING_ERROR,
             verdict.mend, "%s", verdict.sentence);
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];
        char mend[FINDING_TEXT_SIZE];

        if (!serves(looking, i) || view_is_alive(node))
            continue;
        mend_lost(looking, node, mend);
        tell(looking, FINDING_WARN, mend, "node-%u (%s) is down: %s", node->id, node->address,
             node->why);
    }
}

/* `commit --auto` takes in all who are joining. */
static bool can_commit(const struct looking *looking)
{
    struct staged staged = {.count = 0};
    char why[CHANGES_WHY_SIZE];

    return changes_parse(looking->view, NULL, 0, &staged, why) == 0 &&
           remedy_can_commit(looking->view, looking->moves, &staged);
}

static void check_meta(struct looking *looking)
{
    const struct ringmap *map = &looking->view->map;
    uint32_t active = count_in(looking, RINGMAP_STATE_ACTIVE);
    uint32_t wanted = active >= 5 ? 5 : active >= 3 ? 3 : 1;
    uint16_t leader = view_meta_leader(looking->view);

    if (leader == 0)
        tell(looking, FINDING_ERROR, "start its voters until a majority is back",
             "the meta group has no leader: the ring map cannot change");
    else if (map->meta_voter_count < wanted && !ringmap_moving(map))
        tell(looking, FINDING_WARN,
             can_commit(looking) ? "ring-admin commit --auto"
                                 : "start who is down, then ring-admin commit --auto",
             "the meta group has %u voters and could have %u", map->meta_voter_count, wanted);
    tell(looking, FINDING_OK, "", "%u voters, node-%u leads", map->meta_voter_count, leader);
}

static void check_map(struct looking *looking)
{
    const struct ringmap *map = &looking->view->map;

    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];

        if (is_there(looking, i) && node->status.founded == 2 && node->status.epoch < map->epoch)
            tell(looking, FINDING_WARN, "wait; if it stays, look at that node's links and its log",
                 "node-%u goes by the ring map of epoch %" PRIu64 ", the newest is %" PRIu64,
                 node->id, node->status.epoch, map->epoch);
    }
    tell(looking, FINDING_OK, "", "all that answer go by epoch %" PRIu64, map->epoch);
}

/* Some group waits for one that does not answer, or has no leader, and no other goes on. */
static bool stands_still(const struct looking *looking)
{
    const struct ringmap *map = &looking->view->map;
    uint32_t stuck = 0;

    for (uint32_t i = 0; i <= map->partition_count; i++) {
        const struct moves_group *group = &looking->moves->groups[i];
        uint16_t id = i < map->partition_count ? (uint16_t)i : WIRE_PARTITION_META;

        if (!moves_is_waiting(looking->moves, map, id))
            continue;
        if (group->known && group->move.step != TRANSFER_SILENT &&
            group->move.step != TRANSFER_BUDGET)
            return false;
        stuck += !group->known || group->move.step == TRANSFER_SILENT;
    }
    return stuck > 0;
}

/* What a plan under way waits for. */
static void check_progress(struct looking *looking)
{
    const struct view *view = looking->view;
    char mend[FINDING_TEXT_SIZE], waits[PROGRESS_TEXT_SIZE];

    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];

        if (view_is_alive(node) || !moves_need(looking->moves, &view->map, node->id))
            continue;
        mend_lost(looking, node, mend);
        tell(looking, FINDING_WARN, mend,
             "the plan under way waits for node-%u (%s), which is down", node->id, node->address);
    }
    if (looking->alike > 0 || view->map.paused || !stands_still(looking))
        return;
    progress_waits(looking->moves, &view->map, waits, sizeof waits);
    tell(looking, FINDING_WARN,
         remedy_can_abort(view, looking->moves)
             ? "ring-admin status; to give the plan up: ring-admin abort"
             : "ring-admin status",
         "the plan under way stands still: %s", waits);
}

static void check_plan(struct looking *looking)
{
    const struct ringmap *map = &looking->view->map;

    if (ringmap_moving(map) && map->paused)
        tell(looking, FINDING_WARN,
             remedy_can_abort(looking->view, looking->moves)
                 ? "ring-admin resume, or ring-admin abort"
                 : "ring-admin resume",
             "a plan is paused");
    else if (!ringmap_moving(map) && map->paused)
        tell(looking, FINDING_WARN, "ring-admin resume",
             "moves are paused, and the next plan will be too");
    if (ringmap_moving(map))
        check_progress(looking);
    for (uint32_t i = 0; i < looking->view->node_count && !ringmap_moving(map); i++) {
        char mend[FINDING_TEXT_SIZE];

        if (member_at(looking, i)->state != RINGMAP_STATE_JOINING)
            continue;
        if (!view_is_alive(&looking->view->nodes[i]))
            snprintf(mend, sizeof mend, "start it, or forget it: ring-admin remove --force %u",
                     member_at(looking, i)->id);
        else
            snprintf(mend, sizeof mend, "ring-admin plan join %u", member_at(looking, i)->id);
        tell(looking, FINDING_WARN, mend, "node-%u (%s) is joining and holds nothing yet",
             member_at(looking, i)->id, looking->view->nodes[i].address);
    }
    tell(looking, FINDING_OK, "", "%s",
         ringmap_moving(map) ? "a plan is under way: ring-admin moves"
                             : "settled, nobody waits to be taken in");
}

/* Somebody has wanted it, so nothing is wrong; but it stays until somebody ends it. */
static void check_leaders(struct looking *looking)
{
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        uint16_t id = looking->view->nodes[i].id;
        char mend[FINDING_TEXT_SIZE];

        if (!is_there(looking, i) || !looking->members[i].drained)
            continue;
        snprintf(mend, sizeof mend, "ring-admin undrain %u", id);
        tell(looking, FINDING_HINT, mend,
             "node-%u is drained: it leads nothing as long as another can", id);
    }
    tell(looking, FINDING_OK, "", "no node is drained");
}

static void check_links(struct looking *looking)
{
    uint32_t there = 0;

    for (uint32_t i = 0; i < looking->view->node_count; i++)
        there += is_there(looking, i);
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];

        if (is_there(looking, i) && node->status.links_up + 1 < there)
            tell(looking, FINDING_WARN, "look at the network between it and the others",
                 "node-%u has links to %u of %u others that answer here", node->id,
                 node->status.links_up, there - 1);
        if (is_there(looking, i) && node->liveness.member != 0 &&
            node->liveness.standing == SWIM_DEAD)
            tell(looking, FINDING_WARN, "look at the network between it and the others",
                 "node-%u answers here, and others hold it dead", node->id);
    }
    tell(looking, FINDING_OK, "", "all that answer reach each other");
}

/* Each member says of one that it hears of; many say the same. */
static void check_identities(struct looking *looking)
{
    bool told[RINGMAP_MEMBERS_MAX + 1] = {false};

    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct wire_node_status *status = &looking->view->nodes[i].status;

        if (!is_there(looking, i) || status->twin == 0 || status->twin > RINGMAP_MEMBERS_MAX ||
            told[status->twin])
            continue;
        told[status->twin] = true;
        tell(looking, FINDING_ERROR, "stop the one that is the copy, and delete its data directory",
             "node-%u runs twice: node-%u is dialled from %s, too, by a process with a copy of its "
             "data directory",
             status->twin, looking->view->nodes[i].id, status->twin_address);
    }
    tell(looking, FINDING_OK, "", "no node runs twice");
}

static bool is_known_zone(const struct looking *looking, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++)
        if (member_at(looking, j)->state == RINGMAP_STATE_ACTIVE &&
            strcmp(member_at(looking, j)->zone, member_at(looking, i)->zone) == 0)
            return true;
    return false;
}

static void check_zones(struct looking *looking)
{
    uint32_t copies = ringmap_copies(&looking->view->map);
    uint32_t zones = 0;

    for (uint32_t i = 0; i < looking->view->node_count; i++)
        zones += member_at(looking, i)->state == RINGMAP_STATE_ACTIVE && !is_known_zone(looking, i);
    if (zones > 1 && zones < copies)
        tell(looking, FINDING_WARN, "add nodes in further zones, or ring-admin zone NODE Z",
             "%u replicas in %u zones: the loss of one zone may stop partitions", copies, zones);
    tell(looking, FINDING_OK, "", "%u replicas, %u zone%s", copies, zones, zones == 1 ? "" : "s");
}

static void check_divergence(struct looking *looking)
{
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];
        const struct wire_scrub *scrub = &node->status.scrub;
        char mend[FINDING_TEXT_SIZE];

        if (!is_there(looking, i))
            continue;
        if (view_is_lost(node)) {
            remedy_lost_text(looking->view, looking->moves, node, mend, sizeof mend);
            tell(looking, FINDING_ERROR, mend,
                 "node-%u: the manifest or the journal of %u of its %u shards is damaged beyond "
                 "repair, or its disk does not give it: its log says which, and whether another "
                 "start may help; else only another disk brings back what is in there",
                 node->id, node->status.shards_lost, node->status.shards);
        }
        snprintf(mend, sizeof mend,
                 "look again: ring-admin scrub %u --wait; if it stays, give its share to another "
                 "disk: ring-admin replace %u NEW with a node that has joined",
                 node->id, node->id);
        if (scrub->undecided > 0)
            tell(looking, FINDING_ERROR, "bring all replicas back: a majority then decides",
                 "node-%u: %" PRIu64 " ranges differ between replicas and none has a majority",
                 node->id, scrub->undecided);
        if (scrub->outvoted > 0)
            tell(looking, FINDING_WARN, "they were repaired; test that machine's memory",
                 "node-%u: %" PRIu64 " replicas held something else than most", node->id,
                 scrub->outvoted);
        if (scrub->faults > 0)
            tell(looking, FINDING_WARN, "look at the disk's own counters: smartctl -a",
                 "node-%u: %" PRIu64 " places on its disk did not check, since its start", node->id,
                 scrub->faults);
        if (scrub->unread > 0)
            tell(looking, FINDING_ERROR, mend,
                 "node-%u: %" PRIu64 " files that its disk does not give", node->id, scrub->unread);
    }
    tell(looking, FINDING_OK, "", "no replicas differ, no damage found");
}

static uint32_t half_weight(const struct looking *looking, uint32_t i)
{
    uint32_t weight = member_at(looking, i)->weight;

    return weight > 1 ? weight / 2 : 1;
}

/* What helps a node that holds too much. Weights do not change while a plan is under way. */
static void mend_load(const struct looking *looking, uint32_t i, const char *what,
                      char mend[FINDING_TEXT_SIZE])
{
    if (ringmap_moving(&looking->view->map))
        snprintf(mend, FINDING_TEXT_SIZE,
                 "%s, or end the plan that gives it more: ring-admin abort", what);
    else
        snprintf(mend, FINDING_TEXT_SIZE, "%s, or give it less: ring-admin weight %u %u", what,
                 looking->view->nodes[i].id, half_weight(looking, i));
}

static void check_disks(struct looking *looking)
{
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];
        const struct wire_node_status *status = &node->status;
        char mend[FINDING_TEXT_SIZE];

        if (!is_there(looking, i))
            continue;
        mend_load(looking, i, "make room, add a node", mend);
        if (status->disk_full)
            tell(looking, FINDING_ERROR, mend, "node-%u: its disk is full, it takes no writes",
                 node->id);
        else if (status->disk_lacks > 0)
            tell(looking, FINDING_ERROR, mend,
                 "node-%u: its disk is full for what moves there: %" PRIu64 " MiB free, %" PRIu64
                 " MiB of them to be kept free, and %" PRIu64 " MiB would be taken",
                 node->id, status->disk_free >> 20, status->disk_reserve >> 20,
                 (status->disk_lacks >> 20) + 1);
        else if (wire_node_disk_room(status) < status->disk_bytes / FINDINGS_FREE_SHARE)
            tell(looking, FINDING_WARN, mend,
                 "node-%u: %" PRIu64 " MiB free beside %" PRIu64 " MiB stored, %" PRIu64
                 " MiB of them to be kept free",
                 node->id, status->disk_free >> 20, status->disk_bytes >> 20,
                 status->disk_reserve >> 20);
        if (looking->members[i].slow)
            tell(looking, FINDING_WARN,
                 "find out why: iostat -x 1, smartctl -a; it leads again half a minute after",
                 "node-%u: its disk takes far longer to sync than the others': it leads nothing",
                 node->id);
    }
    tell(looking, FINDING_OK, "", "room on all, none is slow");
}

static uint64_t keys_of(const struct view *view, uint16_t member)
{
    uint64_t keys = 0;

    for (uint32_t p = 0; p < view->map.partition_count; p++) {
        const struct view_replica *replica = view_replica(view, (uint16_t)p, member);

        keys += replica && replica->known ? replica->status.keys : 0;
    }
    return keys;
}

/* The index is in memory: what it takes when the disk is as full as it can be, of such records. */
static void check_memory(struct looking *looking)
{
    uint32_t told = 0;

    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];
        double keys, full, memory = (double)node->status.memory_bytes;
        char mend[FINDING_TEXT_SIZE];

        if (!is_there(looking, i) || node->status.memory_bytes == 0 || node->status.disk_bytes == 0)
            continue;
        told++;
        keys = (double)keys_of(looking->view, node->id);
        full = keys * FINDINGS_KEY_BYTES *
               (double)(node->status.disk_bytes + node->status.disk_free) /
               (double)node->status.disk_bytes;
        mend_load(looking, i, "more memory, add a node", mend);
        if (keys * FINDINGS_KEY_BYTES * 100 > memory * FINDINGS_RAM_PERCENT)
            tell(looking, FINDING_ERROR, mend,
                 "node-%u: the index of %.0f keys takes %.1f of %.1f GiB of memory", node->id, keys,
                 keys * FINDINGS_KEY_BYTES / (1u << 30), memory / (1u << 30));
        else if (full * 100 > memory * FINDINGS_RAM_PERCENT)
            tell(looking, FINDING_WARN, mend,
                 "node-%u: with its disk full of such keys the index takes %.1f of %.1f GiB of "
                 "memory",
                 node->id, full / (1u << 30), memory / (1u << 30));
    }
    tell(looking, FINDING_OK, "",
         "the index fits into memory on %u nodes, and will with full disks", told);
}

static int clock_compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* Answers of one round of questions are of about one moment. */
static void check_clocks(struct looking *looking)
{
    const struct view *view = looking->view;
    uint64_t *clocks = calloc(view->node_count, sizeof *clocks), median;
    uint32_t count = 0;

    for (uint32_t i = 0; clocks && i < view->node_count; i++)
        if (is_there(looking, i) && view->nodes[i].status.wall_ms > 0)
            clocks[count++] = view->nodes[i].status.wall_ms;
    if (count == 0) {
        free(clocks);
        return;
    }
    qsort(clocks, count, sizeof *clocks, clock_compare);
    median = clocks[count / 2];
    for (uint32_t i = 0; i < view->node_count; i++) {
        uint64_t clock = view->nodes[i].status.wall_ms;
        uint64_t off = clock > median ? clock - median : median - clock;

        if (is_there(looking, i) && clock > 0 && off > FINDINGS_CLOCK_MS)
            tell(looking, FINDING_WARN, "set it: systemctl restart chronyd, or timedatectl",
                 "node-%u: its clock is %" PRIu64 " ms %s of the others'", view->nodes[i].id, off,
                 clock > median ? "ahead" : "behind");
    }
    tell(looking, FINDING_OK, "", "%u clocks within %u ms", count, FINDINGS_CLOCK_MS);
    free(clocks);
}

static void check_versions(struct looking *looking)
{
    const char *newest = NULL;

    for (uint32_t i = 0; i < looking->view->node_count; i++)
        if (is_there(looking, i) &&
            (!newest || strverscmp(looking->view->nodes[i].status.version, newest) > 0))
            newest = looking->view->nodes[i].status.version;
    for (uint32_t i = 0; i < looking->view->node_count; i++) {
        const struct view_node *node = &looking->view->nodes[i];

        if (is_there(looking, i) && strcmp(node->status.version, newest) != 0)
            tell(looking, FINDING_WARN,
                 "one node after the other: SIGTERM, then start it with the newer version",
                 "node-%u runs version %s, others %s", node->id, node->status.version, newest);
    }
    tell(looking, FINDING_OK, "", "all run version %s", newest ? newest : "?");
}

static void check_keys(struct looking *looking)
{
    uint8_t newest = ringmap_key_current(&looking->view->map);

    for (uint32_t i = 0; i < looking->view->node_count && newest > 0; i++) {
        const struct view_node *node = &looking->view->nodes[i];

        if (is_there(looking, i) && serves(looking, i) && node->status.founded == 2 &&
            node->status.key_id < newest)
            tell(looking, FINDING_WARN,
                 "look at its log: event=data_key_missing says why it cannot open it",
                 "node-%u seals with data key %u, the newest is %u", node->id, node->status.key_id,
                 newest);
    }
    if (newest > 0)
        tell(looking, FINDING_OK, "", "all seal with data key %u", newest);
    else
        tell(looking, FINDING_OK, "", "the cluster was founded without encryption");
}

void findings_reach(struct findings *findings, const struct view *view,
                    const struct top_member *members, const struct moves *moves)
{
    static const struct {
        const char *name;
        void (*look)(struct looking *looking);
    } checks[] = {
        {"quorums", check_quorums},       {"meta group", check_meta},
        {"ring map", check_map},          {"plan", check_plan},
        {"leaders", check_leaders},       {"links", check_links},
        {"identities", check_identities}, {"zones", check_zones},
        {"divergence", check_divergence}, {"disks", check_disks},
        {"memory", check_memory},         {"clocks", check_clocks},
        {"versions", check_versions},     {"data keys", check_keys},
    };

    findings->count = 0;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct looking looking = {.findings = findings,
                                  .view = view,
                                  .members = members,
                                  .moves = moves,
                                  .check = checks[i].name};

        checks[i].look(&looking);
    }
}
