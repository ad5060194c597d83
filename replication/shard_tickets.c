/* The tickets that are committed: a record of the meta group, under the key `tickets`. Before the
 * first change there is none: version 1 follows from the founding's psk, which nodes have. */
#include "replication/shard_internal.h"

#include "ring/tickets.h"

#include <errno.h>
#include <stdlib.h>

static int take(struct shard *shard, const uint8_t *value, size_t size, uint64_t *version)
{
    struct tickets *tickets = malloc(sizeof *tickets);
    int r;

    (void)shard;
    if (!tickets)
        return -ENOMEM;
    r = tickets_decode(value, size, tickets);
    if (r == 0) {
        *version = tickets->version;
        tickets_wipe(tickets);
    }
    free(tickets);
    return r;
}

/* What is committed decoded when it was taken. */
static const char *follow_problem(const struct shard_record *record, const struct tickets *next,
                                  struct tickets *before)
{
    const char *problem;

    if (!record->value)
        return NULL;
    problem = tickets_decode(record->value, record->size, before) == 0
                  ? tickets_follows_problem(next, before)
                  : "the tickets that are there do not decode";
    tickets_wipe(before);
    return problem;
}

static int judge(const struct shard *shard, const struct wire_bytes *next, uint64_t *version,
                 const char **problem)
{
    struct tickets *pair = calloc(2, sizeof *pair);
    int r;

    if (!pair)
        return -ENOMEM;
    r = tickets_decode(next->data, next->size, &pair[0]);
    if (r == 0) {
        *version = pair[0].version;
        *problem = follow_problem(&shard->tickets, &pair[0], &pair[1]);
        tickets_wipe(&pair[0]);
    } else {
        *problem = "the tickets do not decode";
    }
    free(pair);
    return r;
}

static const struct shard_record_kind kind = {.key = "tickets",
                                              .newer = "the tickets are of a newer version",
                                              .told = WIRE_TICKETS_VERSION,
                                              .given = WIRE_TICKETS,
                                              .answered = WIRE_TICKETS_CHANGE_REPLY,
                                              .size_max = TICKETS_ENCODED_MAX,
                                              .take = take,
                                              .judge = judge};

int shard_tickets_init(struct shard *shard)
{
    return shard_record_init(&shard->tickets, &kind, NULL, 0);
}
