#include "cli/top_view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void top_view_init(struct top_view *view, struct top_member *members, size_t member_count)
{
    *view = (struct top_view){.members = members, .member_count = member_count};
}

void top_view_deinit(struct top_view *view)
{
    free(view->partitions);
    free(view->keys);
    *view = (struct top_view){0};
}

static int add_partition(struct top_view *view, struct top_member *member,
                         const struct wire_top_partition *told)
{
    struct top_partition *grown =
        realloc(view->partitions, (view->partition_count + 1) * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    view->partitions = grown;
    grown[view->partition_count++] = (struct top_partition){.partition = told->partition,
                                                            .leader = member->id,
                                                            .operations = told->operations,
                                                            .bytes = told->bytes};
    member->leaders++;
    member->operations += told->operations;
    member->bytes += told->bytes;
    return 0;
}

static int add_key(struct top_view *view, const struct wire_top_key *told)
{
    struct top_key *grown = realloc(view->keys, (view->key_count + 1) * sizeof *grown);
    struct top_key *key;

    if (!grown)
        return -ENOMEM;
    view->keys = grown;
    key = &grown[view->key_count++];
    *key = (struct top_key){.size = told->key.size,
                            .key_size = told->key_size,
                            .count = told->count,
                            .error = told->error};
    memcpy(key->bytes, told->key.data, told->key.size);
    return 0;
}

static void take_head(struct top_view *view, struct top_member *member, const struct wire_top *top)
{
    member->may_lead = top->may_lead && (!member->heard || member->may_lead);
    member->drained |= top->drained;
    member->slow |= top->slow;
    member->sync_us = top->sync_us > member->sync_us ? top->sync_us : member->sync_us;
    member->heard = true;
    view->seen += top->seen;
}

int top_view_take(struct top_view *view, size_t member, const uint8_t *reply, size_t size)
{
    struct wire_top_partition partition;
    struct wire_top_key key;
    struct wire_cursor cursor;
    struct wire_top top;
    int r = 0;

    assert(member < view->member_count);
    wire_cursor_init(&cursor, reply, size);
    if (!wire_get_top_reply(&cursor, &top))
        return TOP_VIEW_E_MALFORMED;
    take_head(view, &view->members[member], &top);
    for (uint32_t i = 0; i < top.partition_count && r == 0; i++)
        r = wire_get_top_partition(&cursor, &partition)
                ? add_partition(view, &view->members[member], &partition)
                : TOP_VIEW_E_MALFORMED;
    while (r == 0 && !wire_cursor_done(&cursor))
        r = wire_get_top_key(&cursor, &key) ? add_key(view, &key) : TOP_VIEW_E_MALFORMED;
    return r;
}

static int partition_compare(const void *left, const void *right)
{
    const struct top_partition *a = left, *b = right;

    if (a->operations != b->operations)
        return a->operations < b->operations ? 1 : -1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

static int key_compare(const void *left, const void *right)
{
    const struct top_key *a = left, *b = right;

    return (a->count < b->count) - (a->count > b->count);
}

void top_view_sort(struct top_view *view)
{
    if (view->partition_count > 0)
        qsort(view->partitions, view->partition_count, sizeof *view->partitions, partition_compare);
    if (view->key_count > 0)
        qsort(view->keys, view->key_count, sizeof *view->keys, key_compare);
}

const char *top_member_state(const struct top_member *member)
{
    if (!member->heard)
        return "unreachable";
    if (member->drained)
        return "drained";
    if (member->slow)
        return "slow disk";
    return member->may_lead ? "leads" : "leads nothing";
}

void top_key_text(const struct top_key *key, char text[TOP_KEY_TEXT_SIZE])
{
    size_t at = text_escape(key->bytes, key->size, false, text);

    strcpy(text + at, key->size < key->key_size ? "..." : "");
}
