#include "cli/planning.h"

#include "cli/map_change.h"
#include "cli/standing.h"
#include "cli/text.h"
#include "ring/next_map.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What plan_make() is told of the nodes and partitions. */
struct measured {
    struct plan_node *nodes;
    bool *fit; /* of the same nodes: alive, and what they are given comes there */
    uint64_t *bytes;
    bool *unknown; /* by group: nobody says what it has */
    bool *sound;   /* by group and node: its replica counts (cli/standing.h) */
};

/* Who is JOINING has to say itself that it was let in. Members do not hear one that has yet to hear
 * of it, though it runs; were it ACTIVE by then, it could not be told from one that has lost what
 * it held, and would be refused for ever. */
bool planning_can_take_part(const struct view_node *node, uint8_t state)
{
    bool knows = node->reachable && node->status.founded == 2;

    if (state == RINGMAP_STATE_JOINING)
        return knows;
    return view_is_alive(node) && (!node->reachable || knows);
}

static void measure_sound(struct measured *measured, const struct view *view)
{
    uint32_t partitions = view->map.partition_count;

    for (uint32_t i = 0; i <= partitions; i++) {
        uint16_t group = i < partitions ? (uint16_t)i : WIRE_PARTITION_META;
        const struct view_replica *row = view_row(view, group);

        for (uint32_t j = 0; j < VIEW_PLACES && row[j].member != 0; j++) {
            const struct ringmap_member *member = ringmap_member(&view->map, row[j].member);

            if (member)
                measured
                    ->sound[i * (size_t)view->node_count + (size_t)(member - view->map.members)] =
                    standing_lack(view, group, row[j].member) == STANDING_SOUND;
        }
    }
}

static int measure(struct measured *measured, const struct view *view, const struct moves *moves)
{
    measured->nodes = calloc(view->node_count, sizeof *measured->nodes);
    measured->fit = calloc(view->node_count, sizeof *measured->fit);
    measured->bytes = calloc(view->map.partition_count, sizeof *measured->bytes);
    measured->unknown = calloc(view->map.partition_count + 1u, sizeof *measured->unknown);
    measured->sound =
        calloc((view->map.partition_count + 1u) * (size_t)view->node_count, sizeof(bool));
    if (!measured->nodes || !measured->fit || !measured->bytes || !measured->unknown ||
        !measured->sound)
        return -ENOMEM;
    measure_sound(measured, view);
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];

        measured->nodes[i].alive = planning_can_take_part(node, view->map.members[i].state);
        measured->nodes[i].lost = view_is_lost(node);
        measured->fit[i] = measured->nodes[i].alive && !measured->nodes[i].lost;
        measured->nodes[i].disk_room =
            node->reachable ? wire_node_disk_room(&node->status) : UINT64_MAX;
    }
    for (uint32_t p = 0; p < view->map.partition_count; p++)
        measured->bytes[p] = moves_group(moves, (uint16_t)p)->move.bytes;
    for (uint32_t i = 0; i <= view->map.partition_count; i++)
        measured->unknown[i] = ringmap_moving(&view->map) && !moves->groups[i].known;
    return 0;
}

static bool know_sizes(const struct plan *plan, const struct moves *moves)
{
    for (uint32_t i = 0; i < plan->move_count; i++)
        if (plan->moves[i].to != 0 && !moves_group(moves, plan->moves[i].partition)->known)
            return false;
    return true;
}

/* Whether the cluster is as `wanted` has it. */
static bool is_there(const struct ringmap *now, const struct ringmap *wanted)
{
    struct ringmap same = *wanted;

    same.epoch = now->epoch;
    return now->replica_count == wanted->replica_count && map_change_holds(now, &same);
}

/* The map whose `replicas` are what the groups have. */
static const struct ringmap *from_of(const struct planning *planning, const struct view *view)
{
    return planning->from.members ? &planning->from : &view->map;
}

static int find_from(struct planning *planning, const struct ringmap *now,
                     const struct moves *moves)
{
    struct next_map_held *held;
    int r;

    if (!ringmap_moving(now))
        return 0;
    held = calloc(now->partition_count + 1u, sizeof *held);
    if (!held)
        return -ENOMEM;
    moves_held(moves, held);
    r = next_map_from(now, held, &planning->from);
    free(held);
    return r;
}

int planning_make(struct planning *planning, const struct view *view, const struct moves *moves,
                  const struct staged *staged)
{
    const struct ringmap *now = &view->map;
    uint32_t rate = now->move_rate > 0 ? now->move_rate : RINGMAP_MOVE_RATE_DEFAULT;
    struct measured measured = {0};
    struct plan_input input = {.rate_bytes = (uint64_t)rate << 20,
                               .moves_per_node_max = PLANNING_MOVES_PER_NODE,
                               .shares_zones = staged->shares_zones};
    int r;

    *planning = (struct planning){0};
    r = measure(&measured, view, moves);
    if (r == 0)
        r = find_from(planning, now, moves);
    if (r == 0) {
        input.now = from_of(planning, view);
        r = staged_wanted(staged, input.now, measured.fit, &planning->wanted, &planning->cost);
        assert(r <= 0); /* somebody is active: staged_add() sees to that */
    }
    if (r == 0) {
        input.wanted = &planning->wanted;
        input.nodes = measured.nodes;
        input.partition_bytes = measured.bytes;
        input.unknown = measured.unknown;
        input.sound = measured.sound;
        r = plan_make(&input, &planning->plan);
    }
    if (r == 0) {
        for (uint32_t i = 0; i < PLAN_HASH_SIZE; i++)
            snprintf(planning->hash + 2 * (size_t)i, 3, "%02x", planning->plan.hash[i]);
        planning->sizes_known = know_sizes(&planning->plan, moves);
        planning->is_empty = is_there(now, &planning->wanted);
        if (!planning->is_empty && !plan_refused(&planning->plan))
            r = next_map_commit(now, &planning->wanted, &planning->next);
    }
    free(measured.nodes);
    free(measured.fit);
    free(measured.bytes);
    free(measured.unknown);
    free(measured.sound);
    return r;
}

void planning_deinit(struct planning *planning)
{
    if (planning->from.members)
        ringmap_deinit(&planning->from);
    if (planning->wanted.members)
        ringmap_deinit(&planning->wanted);
    if (planning->next.members)
        ringmap_deinit(&planning->next);
    if (planning->plan.members)
        plan_deinit(&planning->plan);
    *planning = (struct planning){0};
}

bool planning_is(const struct planning *planning, const char *hash)
{
    size_t size = strlen(hash);

    return size >= PLANNING_HASH_MIN && size < sizeof planning->hash &&
           strncasecmp(planning->hash, hash, size) == 0;
}

/* Whether the partition can be changed now. */
static bool has_majority(const struct view *view, const struct ringmap *map, uint16_t partition)
{
    const uint16_t *row = ringmap_row(map, partition);

    return standing_of_row(view, partition, row, ringmap_row_count(map, row)).spare >= 0;
}

/* Who of the group's row does not count, and why; one that is to get it only has to live. */
static void add_lacking(struct text *out, const struct view *view, uint16_t group,
                        const uint16_t *row, uint32_t count)
{
    uint32_t named = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct view_node *node = view_node(view, row[i]);
        const char *why = standing_why(view, group, row[i]);

        if (group != WIRE_PARTITION_META && !ringmap_holds(&view->map, group, row[i]) &&
            view_is_alive(node))
            continue;
        if (why)
            text_add(out, "%s node-%u (%s), which %s", named++ == 0 ? "; it lacks" : ",", node->id,
                     node->address, why);
    }
}

void planning_note_text(const struct view *view, const struct planning *planning,
                        const struct plan_note *note, char *text, size_t size)
{
    const struct ringmap *map = from_of(planning, view); /* whose row it tells of */
    struct text out = {text, size, 0};
    const uint16_t *row;

    if (note->code == PLAN_NOTE_QUORUM && has_majority(view, map, note->partition)) {
        map = &planning->wanted;
        row = ringmap_row(map, note->partition);
        text_add(&out,
                 "partition %u would have %llu of %u replicas alive and up to date and needs %llu; "
                 "start a node that it lacks, or remove it with the change",
                 note->partition, (unsigned long long)note->have, ringmap_row_count(map, row),
                 (unsigned long long)note->need);
    } else {
        char sentence[PLAN_NOTE_SIZE];

        plan_note_text(note, sentence);
        text_add(&out, "%s", sentence);
    }
    if (note->code == PLAN_NOTE_META)
        add_lacking(&out, view, WIRE_PARTITION_META, map->meta_voters, map->meta_voter_count);
    if (note->partition == PLAN_PARTITION_ANY || note->code == PLAN_NOTE_UNKNOWN)
        return; /* what it lacks is not known either */
    row = ringmap_row(map, note->partition);
    add_lacking(&out, view, note->partition, row, ringmap_row_count(map, row));
}

bool planning_can_commit(const struct view *view, char *text, size_t size)
{
    const struct ringmap *map = &view->map;
    struct standing standing =
        standing_of_row(view, WIRE_PARTITION_META, map->meta_voters, map->meta_voter_count);
    struct plan_note note = {.code = PLAN_NOTE_META,
                             .partition = PLAN_PARTITION_ANY,
                             .need = standing.members / 2 + 1,
                             .have = standing.good};

    if (standing.spare >= 0 || (ringmap_moving(map) && view_meta_leader(view) != 0))
        return true; /* while a plan is under way, who votes now may be others */
    planning_note_text(view, &(struct planning){0}, &note, text, size);
    return false;
}
