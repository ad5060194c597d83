#include "store_hosting.h"

#include <criterion/criterion.h>
#include <string.h>

bool hosting_is(const struct host *host, uint16_t partition)
{
    const uint16_t *hosted;
    size_t count = store_partitions(host->store, &hosted);

    for (size_t i = 0; i < count; i++)
        if (hosted[i] == partition)
            return true;
    return false;
}

int hosting_begin(struct host *host, uint16_t partition, uint32_t term)
{
    uint8_t state[1024];
    struct store_checkpoint checkpoint = {
        .term = term, .first_index = 1, .state = state, .state_size = 5 + partition * 100u};

    memset(state, partition, sizeof(state));
    return store_host(host->store, partition, &checkpoint);
}

void hosting_note(struct host *host)
{
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
        host->parts[p].gone = !hosting_is(host, p);
        cr_assert(!host->parts[p].gone || (host->parts[p].last == 0 && host->parts[p].commit == 0 &&
                                           host->parts[p].term == 0 && !host->parts[p].fenced));
    }
}

void hosting_forget(struct host *host, uint16_t partition)
{
    struct host_partition *part = &host->parts[partition];
    size_t kept = 0;

    memset(part->log, 0, (part->log_used + 1) * sizeof(*part->log));
    *part = (struct host_partition){.first = 1, .log = part->log, .gone = part->gone};
    for (size_t i = 0; i < host->op_count; i++)
        if (host->ops[i].partition != partition)
            host->ops[kept++] = host->ops[i];
    host->op_count = kept;
}
