#include "storage/journal_segment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"

static void segment_free(struct journal_segment *segment)
{
    vfs_close(segment->base.file);
    free(segment->index_max);
    free(segment->index_min);
    free(segment->index_last);
    free(segment->spans);
    free(segment);
}

void journal_segments_deinit(struct journal_segments *segments)
{
    for (size_t i = 0; i < segments->count; i++)
        segment_free(segments->items[i]);
    free(segments->items);
    *segments = (struct journal_segments){0};
}

int journal_segments_add(struct journal_segments *segments, struct data_files *files,
                         uint64_t number, uint64_t epoch, struct vfs_file *file, size_t slots,
                         struct journal_segment **out)
{
    struct journal_segment *segment;
    int r;

    assert(segments->count == 0 || segments->items[segments->count - 1]->base.number < number);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    r = GROW(segments->items, segments->capacity, segments->count + 1);
    if (r != 0)
        return r;
    segment = calloc(1, sizeof(*segment));
    if (!segment)
        return -ENOMEM;
    segment->index_max = calloc(slots, sizeof(*segment->index_max));
    segment->index_min = calloc(slots, sizeof(*segment->index_min));
    segment->index_last = calloc(slots, sizeof(*segment->index_last));
    r = segment->index_max && segment->index_min && segment->index_last
            ? data_files_add(files, &segment->base)
            : -ENOMEM;
    if (r != 0) {
        free(segment->index_max);
        free(segment->index_min);
        free(segment->index_last);
        free(segment);
        return r;
    }
    segment->base.number = number;
    segment->epoch = epoch;
    segment->base.file = file;
    segments->items[segments->count++] = segment;
    *out = segment;
    return 0;
}

void journal_segments_remove(struct journal_segments *segments, struct data_files *files,
                             struct journal_segment *segment)
{
    size_t i = 0;

    while (segments->items[i] != segment)
        i++;
    for (segments->count--; i < segments->count; i++)
        segments->items[i] = segments->items[i + 1];
    data_files_remove(files, &segment->base);
    segment_free(segment);
}

int journal_segments_truncate(const struct journal_segments *segments,
                              struct journal_segment *segment, uint32_t offset, uint16_t partition,
                              size_t slot, uint64_t first)
{
    bool older = false;

    if (GROW(segment->spans, segment->span_capacity, segment->span_count + 1) != 0)
        return -ENOMEM;
    /* index_max stays as it is: the append is not durable yet, and a crash may bring back what it
     * truncates. */
    for (size_t i = 0; i < segments->count && !older; i++)
        older = segments->items[i] != segment && segments->items[i]->index_max[slot] >= first;
    if (older)
        segment->spans[segment->span_count++] = (struct manifest_span){
            .segment = segment->base.number,
            .offset = offset,
            .partition = partition,
            .first = first,
        };
    return 0;
}
