#include "replication/shard_internal.h"

/* Does the record go on with what came before it: the next record of an entry that is not whole
 * yet, or the first of the next entry? */
static bool record_follows(const struct record *record, const struct record *before, uint64_t index)
{
    bool open = before && before->sub_index + 1 < before->sub_count;

    if (record->kind > RECORD_KIND_META && record->kind != RECORD_KIND_DICTIONARY)
        return false;
    if (!open)
        return record->sub_index == 0 && record->index == index + 1;
    return record->index == index && record->sub_index == before->sub_index + 1 &&
           record->sub_count == before->sub_count && record->term == before->term;
}

/* The record's configuration, behind the others of its message. */
static bool config_take(struct shard *shard, const struct record *record, size_t count)
{
    return record->sub_count == 1 && GROW(shard->configs, shard->config_capacity, count + 1) == 0 &&
           raft_config_decode(record->value, record->value_size, &shard->configs[count]) == 0;
}

bool shard_entries_decode(struct shard *shard, const struct replica *replica,
                          const struct wire_raft *wire, size_t *record_count)
{
    const struct record *before = NULL;
    const uint8_t *at = wire->entries.data;
    size_t left = wire->entries.size, count = 0, config_count = 0;
    uint64_t index = wire->index;

    while (left > 0) {
        struct record *record = &shard->records[count];
        struct keydir_digest digest = {0};
        size_t size;

        if (count == shard->records_max || record_decode(at, left, record) != 0 ||
            record->partition != replica->partition || record->term > wire->term ||
            !record_follows(record, before, index))
            return false;
        size = record_size_padded(record);
        if (size > left)
            return false;
        if (record->sub_index == 0) {
            if (++index - wire->index > wire->entry_count)
                return false;
            shard->entries[index - wire->index - 1] = (struct raft_entry){.term = record->term};
        }
        if (record->kind == RECORD_KIND_CONFIG) {
            if (!config_take(shard, record, config_count++))
                return false;
            shard->entries[index - wire->index - 1].config = true;
        }
        shard->entries[index - wire->index - 1].size += (uint32_t)size;
        if (record->key_size > 0)
            digest = shard_record_digest(shard, record);
        shard->record_digests[count++] = digest;
        before = record;
        at += size;
        left -= size;
    }
    *record_count = count;
    return index - wire->index == wire->entry_count &&
           (!before || before->sub_index + 1 == before->sub_count);
}
