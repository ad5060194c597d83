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

void hosting_arrive(struct host *host, uint16_t partition, uint32_t term)
{
    cr_assert_eq(hosting_begin(host, partition, term), 0);
    cr_assert_eq(store_hosting(host->store, partition), STORE_HOSTING_COMING);
    cr_assert_not(hosting_is(host, partition));
    cr_assert_eq(store_unhost(host->store, partition, 1), STORE_E_AGAIN);
    for (int i = 0; i < 4 && store_hosting(host->store, partition) != STORE_HOSTING_HERE; i++)
        host_settle(host);
    cr_assert_eq(store_hosting(host->store, partition), STORE_HOSTING_HERE);
    cr_assert(hosting_is(host, partition));
    host->parts[partition].gone = false;
    host->parts[partition].term = term;
}

void hosting_leave(struct host *host, uint16_t partition)
{
    cr_assert_eq(store_unhost(host->store, partition, 1), 0);
    host->parts[partition].gone = true;
    cr_assert_eq(store_hosting(host->store, partition), STORE_HOSTING_GOING);
    cr_assert_not(hosting_is(host, partition));
    store_check(host->store);
    host_settle(host);
    cr_assert_eq(store_hosting(host->store, partition), STORE_HOSTING_NONE);
    hosting_forget(host, partition);
}

void hosting_fill_casks(struct host *host)
{
    host->padding = 500;
    host_fill(host, HOST_KEYS);
    for (uint32_t i = 0; i < 200; i++)
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            if (host_append_next(host, p, i % 2) == STORE_E_FULL) {
                host_settle(host);
                host_commit_all(host);
                host_retain_none(host);
                cr_assert_eq(host_append_next(host, p, i % 2), 0);
            }
        }
    host_commit_all(host);
    host_settle(host);
    cr_assert_eq(store_flush(host->store), 0);
    for (int i = 0; i < 20; i++)
        host_settle(host);
}

void hosting_reopen(struct host *host)
{
    struct host again;
    uint64_t synced = store_synced(host->store);

    host_close(host);
    host_init(&again, host->vfs);
    again.options = host->options;
    again.now_ms = host->now_ms;
    again.value_next = host->value_next;
    cr_assert_eq(host_open(&again), 0);
    hosting_note(&again);
    host_compare(&again, host, synced);
    /* The visitor's context is an address: once more, in the place of the first. */
    host_close(&again);
    cr_assert_eq(host_open(host), 0);
    hosting_note(host);
    host_deinit(&again);
}
