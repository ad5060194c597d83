/* What a plan's notes say to people, and which of them refuse it. */
#include "ring/plan.h"

#include <assert.h>
#include <stdio.h>

static void text_of_refusal(const struct plan_note *note, char *text, size_t size)
{
    unsigned long long need = note->need, have = note->have;
    unsigned member = note->member, partition = note->partition;
    char whose[32];

    switch (note->code) {
    case PLAN_NOTE_NODES:
        snprintf(text, size,
                 "%llu replicas need %llu nodes, %llu would be active; add nodes or set fewer "
                 "replicas",
                 need, need, have);
        break;
    case PLAN_NOTE_META:
        snprintf(
            text, size,
            "the meta group has %llu voters alive and up to date and needs %llu to change the ring "
            "map; bring one of them back, or wait for one that catches up",
            have, need);
        break;
    case PLAN_NOTE_QUORUM:
        snprintf(text, size,
                 "partition %u has %llu replicas alive and up to date and needs %llu to change; "
                 "bring a node of it back, or wait for one that catches up",
                 partition, have, need);
        break;
    case PLAN_NOTE_UNKNOWN:
        if (partition == PLAN_PARTITION_ANY)
            snprintf(whose, sizeof whose, "the meta group");
        else
            snprintf(whose, sizeof whose, "partition %u", partition);
        snprintf(text, size,
                 "no leader of %s says which nodes have it now, with a plan under way; try again, "
                 "or start nodes that are down",
                 whose);
        break;
    case PLAN_NOTE_ZONES_LOST:
        snprintf(
            text, size,
            "%llu replicas need %llu zones, %llu would have active nodes; add a node in another "
            "zone, or let replicas share one: share-zones",
            need, need, have);
        break;
    case PLAN_NOTE_TARGET_DEAD:
        snprintf(
            text, size,
            "node %u is not alive, and would be taken in or be given more; start it, or remove "
            "it by force",
            member);
        break;
    case PLAN_NOTE_TARGET_LOST:
        snprintf(text, size,
                 "node %u has a shard that is damaged beyond repair, and would be given more; let "
                 "it leave first, or replace it",
                 member);
        break;
    default:
        assert(note->code == PLAN_NOTE_DISK);
        snprintf(text, size,
                 "node %u has room for %llu bytes beside what its disk is to keep free, and is to "
                 "receive %llu; make room there, or give it less weight",
                 member, have, need);
        break;
    }
}

static void text_of_warning(const struct plan_note *note, char *text, size_t size)
{
    unsigned long long need = note->need, have = note->have;
    unsigned member = note->member, partition = note->partition;

    switch (note->code) {
    case PLAN_NOTE_ZONES:
        snprintf(text, size,
                 "%llu replicas in %llu zones: some share a zone, and the loss of one zone may "
                 "stop partitions",
                 need, have);
        break;
    case PLAN_NOTE_OVERWEIGHT:
        snprintf(text, size,
                 "node %u will hold %llu replicas, %llu by its weight, as its zone has few nodes",
                 member, have, need);
        break;
    case PLAN_NOTE_TOLERANCE:
        snprintf(text, size, "on the way only %llu failures are survived, now it is %llu", have,
                 need);
        break;
    case PLAN_NOTE_DEAD:
        snprintf(text, size, "node %u keeps its partitions and is not alive", member);
        break;
    default:
        assert(note->code == PLAN_NOTE_QUORUM_KEPT);
        snprintf(text, size,
                 "partition %u has %llu replicas alive and up to date and needs %llu; not changed",
                 partition, have, need);
        break;
    }
}

void plan_note_text(const struct plan_note *note, char text[PLAN_NOTE_SIZE])
{
    if (plan_note_refuses(note->code))
        text_of_refusal(note, text, PLAN_NOTE_SIZE);
    else
        text_of_warning(note, text, PLAN_NOTE_SIZE);
}

bool plan_note_refuses(uint8_t code)
{
    static const bool refuses[] = {
#define PLAN_NOTE_REFUSES(name, refuses) refuses,
        PLAN_NOTE_TABLE(PLAN_NOTE_REFUSES)
#undef PLAN_NOTE_REFUSES
    };

    assert(code < PLAN_NOTE_COUNT);
    return refuses[code];
}

bool plan_refused(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->note_count; i++) {
        if (plan_note_refuses(plan->notes[i].code))
            return true;
    }
    return false;
}
