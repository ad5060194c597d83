#include "cli/progress.h"

#include "cli/output.h"
#include "cli/remedy.h"
#include "cli/text.h"
#include "replication/transfer.h"

#include <inttypes.h>
#include <string.h>

#define STEPS_MAX 16u

void progress_take(struct progress *progress, const struct moves_sum *sum, uint64_t now_ms)
{
    struct progress_sample *samples = progress->samples;
    uint32_t old = 0;

    /* One sample older than the window stays, so that the window is full. */
    while (old + 1 < progress->sample_count &&
           samples[old + 1].at_ms + PROGRESS_WINDOW_MS <= now_ms)
        old++;
    if (old == 0 && progress->sample_count == PROGRESS_SAMPLES_MAX)
        old = 1;
    memmove(samples, samples + old, (progress->sample_count - old) * sizeof *samples);
    progress->sample_count -= old;
    samples[progress->sample_count++] = (struct progress_sample){now_ms, sum->bytes_done};
    progress->sum = *sum;
}

unsigned progress_percent(const struct progress *progress)
{
    const struct moves_sum *sum = &progress->sum;

    if (sum->groups_done == sum->groups)
        return sum->waiting == 0 ? 100 : 99;
    if (sum->bytes > 0 && sum->groups_unknown == 0)
        return (unsigned)(99.0 * (double)sum->bytes_done / (double)sum->bytes);
    return (unsigned)(99.0 * sum->groups_done / sum->groups);
}

uint64_t progress_rate(const struct progress *progress)
{
    const struct progress_sample *first = &progress->samples[0];
    const struct progress_sample *last;

    if (progress->sample_count < 2)
        return 0;
    last = &progress->samples[progress->sample_count - 1];
    /* Another leader counts anew what it sends. */
    if (last->bytes_done <= first->bytes_done || last->at_ms <= first->at_ms)
        return 0;
    return (last->bytes_done - first->bytes_done) * 1000 / (last->at_ms - first->at_ms);
}

uint64_t progress_left_ms(const struct progress *progress)
{
    uint64_t rate = progress_rate(progress);
    uint64_t left = progress->sum.bytes - progress->sum.bytes_done;

    return rate > 0 && progress->sum.groups_unknown == 0
               ? (uint64_t)((double)left * 1000 / (double)rate)
               : UINT64_MAX;
}

/* " (node-3, node-4)": whom groups in this step wait for. */
static void add_members(const struct moves *moves, const struct ringmap *map, uint8_t step,
                        struct text *text)
{
    uint16_t named[3] = {0};
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->partition_count && count < 3; i++) {
        const struct moves_group *group = &moves->groups[i];
        bool is_named = false;

        if (!group->known || group->move.step != step || group->move.member == 0 ||
            !moves_is_waiting(moves, map, (uint16_t)i))
            continue;
        for (uint32_t k = 0; k < count; k++)
            is_named |= named[k] == group->move.member;
        if (is_named)
            continue;
        text_add(text, "%snode-%u", count == 0 ? " (" : ", ", group->move.member);
        named[count++] = group->move.member;
    }
    text_add(text, "%s", count > 0 ? ")" : "");
}

static void add_meta(const struct moves *moves, const struct ringmap *map, struct text *text)
{
    const struct moves_group *group = moves_group(moves, WIRE_PARTITION_META);

    if (!moves_is_waiting(moves, map, WIRE_PARTITION_META) ||
        (group->known && group->move.step == TRANSFER_DONE))
        return;
    text_add(text, "%sthe meta group %s", text->size > 0 ? ", " : "",
             group->known ? transfer_step_name(group->move.step) : "without a leader that answers");
    if (group->known && group->move.member != 0)
        text_add(text, " (node-%u)", group->move.member);
}

void progress_waits(const struct moves *moves, const struct ringmap *map, char *text, size_t size)
{
    struct text out = {text, size, 0};
    uint32_t counts[STEPS_MAX] = {0}, unknown = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < map->partition_count; i++) {
        const struct moves_group *group = &moves->groups[i];

        if (!moves_is_waiting(moves, map, (uint16_t)i))
            continue;
        unknown += !group->known;
        /* Done with the map before: it has not heard of this one yet. */
        if (group->known && group->move.step != TRANSFER_DONE && group->move.step < STEPS_MAX)
            counts[group->move.step]++;
    }
    for (uint8_t step = 0; step < STEPS_MAX; step++) {
        if (counts[step] == 0)
            continue;
        text_add(&out, "%s%u %s", out.size > 0 ? ", " : "", counts[step], transfer_step_name(step));
        add_members(moves, map, step, &out);
    }
    if (unknown > 0)
        text_add(&out, "%s%u without a leader that answers", out.size > 0 ? ", " : "", unknown);
    add_meta(moves, map, &out);
}

void progress_missing(const struct view *view, const struct moves *moves,
                      const struct view_node *node, char *text, size_t size)
{
    char remedy[REMEDY_TEXT_SIZE];
    struct text out = {text, size, 0};

    if (view_is_lost(node))
        remedy_lost_text(view, moves, node, remedy, sizeof remedy);
    else
        remedy_text(view, moves, node, remedy, sizeof remedy);
    text_add(&out, "node-%u (%s) %s: %s", node->id, node->address,
             view_is_lost(node) ? "has a shard that is damaged beyond repair" : "is not alive",
             remedy);
}

static void add_size(struct text *text, uint64_t bytes)
{
    char size[OUTPUT_CELL_SIZE];

    output_size(bytes, size);
    text_add(text, "%s", size);
}

void progress_text(const struct progress *progress, char *text, size_t size)
{
    const struct moves_sum *sum = &progress->sum;
    uint64_t left_ms = progress_left_ms(progress);
    struct text out = {text, size, 0};

    text_add(&out, "%u of %u partitions, ", sum->groups_done, sum->groups);
    if (sum->going_back > 0)
        text_add(&out, "%u going back, ", sum->going_back);
    text_add(&out, "%u retr%s", sum->retries, sum->retries == 1 ? "y" : "ies");
    if (sum->bytes == 0)
        return;
    text_add(&out, "; ");
    add_size(&out, sum->bytes_done);
    text_add(&out, " of ");
    add_size(&out, sum->bytes);
    text_add(&out, ", ");
    add_size(&out, progress_rate(progress));
    text_add(&out, "/s, ");
    if (left_ms == UINT64_MAX)
        text_add(&out, "time left unknown");
    else
        text_add(&out, "%02" PRIu64 ":%02" PRIu64 " left", left_ms / 60000, left_ms / 1000 % 60);
}
