#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 512u
#define ENTRIES_MAX  (SIM_TICKETS_MAX * SIM_TICKETS_KEYS)

struct registry {
    uint8_t *blob; /* NULL: nobody was seen with it */
    size_t size;
};

struct sim_check_tickets {
    struct registry versions[VERSIONS_MAX];
    uint64_t newest;
    uint64_t nodes[SIM_NODES_MAX]; /* the version that each goes by */
    struct {
        uint32_t id;
        uint64_t name;
        uint64_t revoked; /* the version that an admin was told of; 0: none */
    } told[SIM_TICKETS_MAX];
    uint32_t told_count;
    struct tickets_holder entries[ENTRIES_MAX]; /* who was let in, once each */
    uint32_t entry_count;
    struct tickets before, after; /* scratch */
};

void sim_check_tickets_free(struct sim_check *check)
{
    for (uint32_t i = 0; check->tickets && i < VERSIONS_MAX; i++)
        free(check->tickets->versions[i].blob);
    free(check->tickets);
}

static void decode(const struct registry *registry, struct tickets *tickets)
{
    int r = tickets_decode(registry->blob, registry->size, tickets);
    assert(r == 0);
}

/* --- one version and the next -------------------------------------------------------------- */

static bool holds(const struct tickets *tickets, const struct tickets_holder *holder)
{
    const struct tickets_record *record = tickets_find(tickets, holder->id);
    return record && record->uses_max > 0 &&
           tickets_redeemed(tickets, holder->id, holder->public_key);
}

static bool same_terms(const struct tickets_record *one, const struct tickets_record *other)
{
    return one->name == other->name && one->role == other->role &&
           one->generation == other->generation && one->uses_max == other->uses_max &&
           one->created_ms == other->created_ms && one->expires_ms == other->expires_ms;
}

/* There are too few tickets for any to be forgotten. */
static const char *record_problem(const struct tickets_record *before,
                                  const struct tickets_record *after)
{
    if (!after)
        return "has gone";
    if (!same_terms(before, after))
        return "is another";
    if (before->revoked_ms != 0 && after->revoked_ms != before->revoked_ms)
        return "is revoked no more";
    if (before->revoked_ms != 0 && after->uses != before->uses)
        return "was used after it had been revoked";
    if (after->uses < before->uses || after->uses > before->uses + 1)
        return "was not used once, or not at all";
    return after->uses_max > 0 && after->uses > after->uses_max ? "was used too often" : NULL;
}

static void check_step(struct sim_check *check, const struct tickets *before,
                       const struct tickets *after)
{
    for (uint32_t i = 0; i < before->count; i++) {
        const struct tickets_record *record = &before->records[i];
        const char *problem = record_problem(record, tickets_find(after, record->id));
        if (problem)
            sim_fail(check->sim, "ticket %u %s in version %" PRIu64, record->id, problem,
                     after->version);
    }
    for (uint32_t i = 0; i < before->holder_count; i++)
        if (!holds(after, &before->holders[i]))
            sim_fail(check->sim, "a use of ticket %u is forgotten in version %" PRIu64,
                     before->holders[i].id, after->version);
    for (uint32_t i = before->count; i < after->count; i++)
        if (after->records[i].id < before->next_id)
            sim_fail(check->sim, "ticket %u is made again in version %" PRIu64,
                     after->records[i].id, after->version);
}

/* A command makes one ticket, however often it comes, and what was told stays true. */
static void check_version(struct sim_check *check, const struct tickets *tickets)
{
    const struct sim_check_tickets *state = check->tickets;
    for (uint32_t i = 0; i < tickets->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (tickets->records[i].name == tickets->records[j].name)
                sim_fail(check->sim, "one command has made tickets %u and %u",
                         tickets->records[j].id, tickets->records[i].id);
    for (uint32_t i = 0; i < state->told_count; i++) {
        const struct tickets_record *record = tickets_find(tickets, state->told[i].id);
        if (record && state->told[i].revoked != 0 && tickets->version >= state->told[i].revoked &&
            record->revoked_ms == 0)
            sim_fail(check->sim, "ticket %u is not revoked in version %" PRIu64, record->id,
                     tickets->version);
    }
}

static void note(struct sim_check *check, const struct sim_node *node,
                 const struct tickets *tickets)
{
    struct sim_check_tickets *state = check->tickets;
    struct registry *registry = &state->versions[tickets->version], now;
    now.size = tickets_encoded_size(tickets);
    now.blob = malloc(now.size);
    assert(now.blob);
    tickets_encode(tickets, now.blob);
    if (registry->blob) {
        if (now.size != registry->size || memcmp(now.blob, registry->blob, now.size) != 0)
            sim_fail(check->sim, "node %u has other tickets of version %" PRIu64, node->endpoint,
                     tickets->version);
        free(now.blob);
        return;
    }
    *registry = now;
    if (tickets->version > state->newest)
        state->newest = tickets->version;
    check_version(check, tickets);
    if (registry[-1].blob) {
        decode(&registry[-1], &state->before);
        check_step(check, &state->before, tickets);
    }
    if (registry[1].blob) {
        decode(&registry[1], &state->after);
        check_step(check, tickets, &state->after);
    }
}

void sim_check_tickets(struct sim_check *check, const struct sim_node *node)
{
    const struct tickets *tickets = node_tickets(node->node);
    if (check->sim->swarm.tickets_ms == 0 || !tickets || tickets->version + 1 >= VERSIONS_MAX)
        return;
    if (!check->tickets)
        check->tickets = calloc(1, sizeof *check->tickets);
    assert(check->tickets);
    uint64_t *version = &check->tickets->nodes[node->endpoint - 1];
    if (tickets->version == *version)
        return;
    if (tickets->version < *version)
        sim_fail(check->sim, "node %u goes back from tickets %" PRIu64 " to %" PRIu64,
                 node->endpoint, *version, tickets->version);
    *version = tickets->version;
    note(check, node, tickets);
}

/* --- what is said and done ----------------------------------------------------------------- */

void sim_check_tickets_told(struct sim_check *check, const struct tickets_command *command,
                            const struct tickets_reply *reply)
{
    struct sim_check_tickets *state = check->tickets;
    bool is_new = command->kind == TICKETS_NEW;
    uint32_t i = 0;
    if (!state || (!is_new && command->kind != TICKETS_REVOKE))
        return;
    while (i < state->told_count &&
           (is_new ? state->told[i].name != command->terms.name : state->told[i].id != command->id))
        i++;
    if (i == SIM_TICKETS_MAX || (i == state->told_count && !is_new))
        return;
    if (i == state->told_count) {
        state->told[i].id = reply->id;
        state->told[state->told_count++].name = command->terms.name;
    }
    if (is_new && state->told[i].id != reply->id)
        sim_fail(check->sim, "one command is said to have made tickets %u and %u",
                 state->told[i].id, reply->id);
    if (is_new || (state->told[i].revoked != 0 && state->told[i].revoked <= reply->version))
        return;
    state->told[i].revoked = reply->version;
    for (uint64_t v = reply->version; v <= state->newest; v++)
        if (state->versions[v].blob) {
            decode(&state->versions[v], &state->after);
            check_version(check, &state->after);
        }
}

void sim_check_tickets_enter(struct sim_check *check, const struct sim_node *node, uint32_t id,
                             const uint8_t key[TICKETS_KEY_SIZE])
{
    struct sim_check_tickets *state = check->tickets;
    const struct tickets *tickets = node_tickets(node->node);
    const struct tickets_record *record = tickets_find(tickets, id);
    struct tickets_holder entry = {.id = id};
    uint32_t others = 0;
    for (uint32_t i = 0; i < state->told_count; i++)
        if (state->told[i].id == id && state->told[i].revoked != 0 &&
            state->told[i].revoked <= tickets->version)
            sim_fail(check->sim, "node %u lets in key %u of ticket %u, which is revoked",
                     node->endpoint, key[1], id);
    memcpy(entry.public_key, key, sizeof entry.public_key);
    for (uint32_t i = 0; i < state->entry_count; i++) {
        if (memcmp(&state->entries[i], &entry, sizeof entry) == 0)
            return;
        others += state->entries[i].id == id;
    }
    assert(state->entry_count < ENTRIES_MAX);
    state->entries[state->entry_count++] = entry;
    if (record->uses_max > 0 && others + 1 > record->uses_max)
        sim_fail(check->sim, "node %u lets in key %u of ticket %u, which had %u of %u uses",
                 node->endpoint, key[1], id, others, record->uses_max);
}

/* What a member is to have at the end: none before it takes part. */
static uint64_t version_of(const struct sim_check *check, const struct sim_node *node,
                           uint64_t latest)
{
    const struct ringmap *map = check->newest.members ? &check->newest : &check->cluster->map;
    const struct ringmap_member *member =
        ringmap_member(map, sim_cluster_member_in(map, node->endpoint));
    return member->state == RINGMAP_STATE_JOINING ? 0 : latest;
}

/* The end. */
bool sim_check_tickets_converged(const struct sim_check *check, char *why, size_t size)
{
    const struct sim_cluster *cluster = check->cluster;
    const struct sim_check_tickets *state = check->tickets;
    uint64_t latest = state ? state->newest : 0;
    if (!state)
        return true;
    if (cluster->tickets.confirmed > latest)
        latest = cluster->tickets.confirmed;
    for (uint8_t i = 1; i <= cluster->node_count; i++) {
        const struct sim_node *node = &cluster->nodes[i - 1];
        if (!sim_check_belongs(check, node) ||
            state->nodes[i - 1] == version_of(check, node, latest))
            continue;
        (void)snprintf(why, size, "node %u goes by tickets %" PRIu64 ", not %" PRIu64, i,
                       state->nodes[i - 1], version_of(check, node, latest));
        return false;
    }
    return true;
}
