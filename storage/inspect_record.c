#include "storage/inspect.h"

#include <inttypes.h>

#include "storage/journal_format.h"
#include "storage/vault.h"

static const char *const kind_names[] = {
    [RECORD_KIND_PUT] = "put",
    [RECORD_KIND_DELETE] = "delete",
    [RECORD_KIND_NOOP] = "noop",
    [RECORD_KIND_CONFIG] = "config",
    [RECORD_KIND_META] = "meta",
    [RECORD_KIND_HARD_STATE] = "hard-state",
    [RECORD_KIND_CHECKPOINT] = "checkpoint",
    [RECORD_KIND_DICTIONARY] = "dictionary",
};

static void print_special(FILE *out, bool json, const struct record *record)
{
    struct store_checkpoint checkpoint;
    struct store_hard_state state;
    bool fenced;

    if (record->kind == RECORD_KIND_HARD_STATE &&
        journal_hard_state_decode(record->value, record->value_size, &state)) {
        fprintf(out,
                json ? ",\"vote\":%" PRIu32 ",\"commit\":%" PRIu64
                     : " vote %" PRIu32 " commit %" PRIu64,
                state.vote, state.commit);
    } else if (record->kind == RECORD_KIND_CHECKPOINT &&
               journal_checkpoint_decode(record->value, record->value_size, &checkpoint, &fenced)) {
        fprintf(out,
                json ? ",\"vote\":%" PRIu32 ",\"applied\":%" PRIu64 ",\"first_index\":%" PRIu64
                       ",\"fenced\":%s,\"state_size\":%zu"
                     : " vote %" PRIu32 " applied %" PRIu64 " first %" PRIu64 "%s, state %zu B",
                checkpoint.vote, checkpoint.applied, checkpoint.first_index,
                json ? (fenced ? "true" : "false") : (fenced ? " FENCED" : ""),
                checkpoint.state_size);
    }
}

void inspect_record(FILE *out, bool json, const struct record *record, uint32_t offset,
                    uint64_t count, bool good)
{
    if (json)
        fprintf(out,
                "%s{\"offset\":%" PRIu32
                ",\"size\":%zu,\"kind\":\"%s\",\"flags\":%u,\"term\":%" PRIu32 ",\"index\":%" PRIu64
                ",\"sub_index\":%u,\"sub_count\":%u,\"value_size\":%zu,"
                "\"good\":%s",
                count > 0 ? "," : "", offset, record_size(record), kind_names[record->kind],
                record->flags, record->term, record->index, record->sub_index, record->sub_count,
                record->value_size, good ? "true" : "false");
    else
        fprintf(out, "    at %" PRIu32 ": %s term %" PRIu32 " index %" PRIu64 " (%u of %u), %zu B",
                offset, kind_names[record->kind], record->term, record->index,
                record->sub_index + 1u, record->sub_count, record_size(record));
    if (record->key_size > 0) {
        struct keydir_digest digest;

        if (vault_digest(record, &digest)) {
            fprintf(out,
                    json ? ",\"key_id\":%u,\"digest\":\"%016" PRIx64 "%016" PRIx64 "\""
                         : ", sealed with data key %u, digest %016" PRIx64 "%016" PRIx64,
                    record->key_id, digest.high, digest.low);
        } else {
            fputs(json ? ",\"key\":" : ", key ", out);
            inspect_bytes(out, json, record->key, record->key_size);
        }
        if (!json)
            fprintf(out, ", value %zu B%s", record->value_size,
                    record->flags & RECORD_FLAG_COMPRESSED ? " of zstd" : "");
    }
    if (record->flags & RECORD_FLAG_EXPIRES)
        fprintf(out, json ? ",\"expiry_ms\":%" PRIu64 : ", expires %" PRIu64 " ms",
                record->expiry_ms);
    if (record->flags & RECORD_FLAG_REQUEST)
        fprintf(out,
                json ? ",\"session\":%" PRIu64 ",\"sequence\":%" PRIu64
                     : ", request %" PRIu64 "/%" PRIu64,
                record->request.session, record->request.sequence);
    print_special(out, json, record);
    fputs(json ? "}" : good ? "\n" : " DAMAGED VALUE\n", out);
}
