#include "cli/founding.h"

#include "cli/data_key.h"
#include "cli/text.h"
#include "ring/placement.h"
#include "ring/voters.h"
#include "ring/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define PARTITIONS_DEFAULT 256u
#define REPLICAS_DEFAULT   3u
#define UNHEARD            0u
#define COMMITTED          2u
#define REASON_SIZE        160u
#define FIRST_KEY_ID       1u

struct candidate {
    const char *address;
    int node;
    struct wire_node_status status;
};

struct founding {
    struct cluster *cluster;
    const struct founding_options *options;
    const struct ticket *ticket;
    const char *prefix;
    struct candidate candidates[ADDRESS_LIST_MAX];
    uint32_t count, committed;
    struct ringmap map;
    bool map_made;
    uint8_t *blob;
    size_t blob_size;
    uint8_t hash[RINGMAP_HASH_SIZE];
};

static bool unreachable(const struct founding *founding, const struct candidate *candidate)
{
    char why[REASON_SIZE];

    if (cluster_is_up(founding->cluster, candidate->node))
        snprintf(why, sizeof why, "no answer in time");
    else
        cluster_why(founding->cluster, candidate->node, why, sizeof why);
    fprintf(stderr, "%s: %s is unreachable: %s\n", founding->prefix, candidate->address, why);
    return false;
}

/* One request to all candidates; false when one did not answer. */
static bool ask_all(struct founding *founding, uint8_t type, const struct wire_buffer *body,
                    struct cluster_request *requests)
{
    bool all = true;

    for (uint32_t i = 0; i < founding->count; i++)
        requests[i] = (struct cluster_request){.node = founding->candidates[i].node,
                                               .type = type,
                                               .partition = WIRE_PARTITION_NODE,
                                               .body = body ? body->data : NULL,
                                               .body_size = body ? body->size : 0};
    cluster_ask(founding->cluster, requests, founding->count, founding->options->timeout_ms);
    for (uint32_t i = 0; i < founding->count; i++)
        if (!requests[i].answered)
            all = unreachable(founding, &founding->candidates[i]);
    return all;
}

static void forget(const struct founding *founding, struct cluster_request *requests)
{
    for (uint32_t i = 0; i < founding->count; i++)
        cluster_request_deinit(&requests[i]);
}

static enum exit_code meet(struct founding *founding, const struct address_list *nodes)
{
    struct cluster_request requests[ADDRESS_LIST_MAX];
    bool all;

    founding->count = (uint32_t)nodes->count;
    for (uint32_t i = 0; i < founding->count; i++) {
        struct candidate *candidate = &founding->candidates[i];

        candidate->address = nodes->items[i];
        candidate->node = cluster_dial(founding->cluster, candidate->address, NULL);
        if (candidate->node < 0) {
            fprintf(stderr, "%s: %s: %s\n", founding->prefix, candidate->address,
                    strerror(-candidate->node));
            return EXIT_CODE_FAILED;
        }
    }
    cluster_wait(founding->cluster, founding->options->timeout_ms);
    all = ask_all(founding, WIRE_NODE_STATUS, NULL, requests);
    for (uint32_t i = 0; i < founding->count && all; i++) {
        struct wire_cursor cursor;

        wire_cursor_init(&cursor, requests[i].reply, requests[i].reply_size);
        if (!wire_get_node_status(&cursor, &founding->candidates[i].status)) {
            fprintf(stderr, "%s: %s answers in another version's words\n", founding->prefix,
                    founding->candidates[i].address);
            all = false;
        }
        founding->committed += founding->candidates[i].status.founded == COMMITTED;
    }
    forget(founding, requests);
    return all ? EXIT_CODE_OK : EXIT_CODE_UNREACHABLE;
}

static enum exit_code check_distinct(const struct founding *founding)
{
    for (uint32_t i = 0; i < founding->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct candidate *a = &founding->candidates[i], *b = &founding->candidates[j];

            if (memcmp(a->status.public_key, b->status.public_key, sizeof a->status.public_key) !=
                0)
                continue;
            fprintf(stderr, "%s: %s and %s are the same node\n", founding->prefix, b->address,
                    a->address);
            return EXIT_CODE_USAGE;
        }
    return EXIT_CODE_OK;
}

static void fill_members(struct founding *founding)
{
    for (uint32_t i = 0; i < founding->count; i++) {
        const struct candidate *candidate = &founding->candidates[i];
        struct ringmap_member *member = &founding->map.members[i];

        member->id = (uint16_t)(i + 1);
        member->state = RINGMAP_STATE_ACTIVE;
        member->weight = candidate->status.weight;
        memcpy(member->public_key, candidate->status.public_key, sizeof member->public_key);
        snprintf(member->address, sizeof member->address, "%s", candidate->address);
        snprintf(member->zone, sizeof member->zone, "%s", candidate->status.zone);
    }
}

static enum exit_code make_genesis(struct founding *founding)
{
    const struct founding_options *options = founding->options;
    uint32_t partitions = options->partitions ? options->partitions : PARTITIONS_DEFAULT;
    uint32_t replicas = options->replicas ? options->replicas : REPLICAS_DEFAULT;
    int r;

    if (options->replicas == 0 && replicas > founding->count)
        replicas = founding->count;
    if (replicas > founding->count) {
        fprintf(stderr, "%s: %u replicas need %u nodes, %u are given\n", founding->prefix, replicas,
                replicas, founding->count);
        return EXIT_CODE_USAGE;
    }
    r = ringmap_init(&founding->map, founding->count, partitions, replicas);
    if (r == 0) {
        founding->map_made = true;
        founding->map.epoch = 1;
        memcpy(founding->map.cluster, founding->ticket->cluster, sizeof founding->map.cluster);
        randombytes_buf(founding->map.hash_secret, sizeof founding->map.hash_secret);
        fill_members(founding);
        r = placement_solve(&founding->map);
    }
    if (r == 0)
        r = voters_choose(&founding->map, NULL);
    if (r == 0 && options->encrypt)
        r = data_key_add(&founding->map, FIRST_KEY_ID);
    if (r == 0) {
        ringmap_check(&founding->map);
        founding->blob_size = ringmap_encoded_size(&founding->map);
        founding->blob = malloc(founding->blob_size);
    }
    if (r != 0 || !founding->blob) {
        fprintf(stderr, "%s: %s\n", founding->prefix, strerror(r < 0 ? -r : 12));
        return EXIT_CODE_FAILED;
    }
    ringmap_encode(&founding->map, founding->blob);
    ringmap_hash(founding->blob, founding->blob_size, founding->hash);
    return EXIT_CODE_OK;
}

static enum exit_code take_genesis(struct founding *founding, const struct candidate *candidate,
                                   const struct cluster_request *request)
{
    struct wire_cursor cursor;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, request->reply, request->reply_size);
    blob = wire_get_bin(&cursor, request->reply_size, &size);
    if (cursor.failed || ringmap_decode(blob, size, &founding->map) != 0) {
        fprintf(stderr, "%s: the map of %s does not decode\n", founding->prefix,
                candidate->address);
        return EXIT_CODE_FAILED;
    }
    founding->map_made = true;
    founding->blob = malloc(size);
    if (!founding->blob)
        return EXIT_CODE_FAILED;
    memcpy(founding->blob, blob, size);
    founding->blob_size = size;
    memcpy(founding->hash, candidate->status.genesis_hash, sizeof founding->hash);
    if (founding->map.epoch > 1 && founding->committed < founding->count) {
        fprintf(stderr, "%s: the cluster of %s has changed since its founding\n", founding->prefix,
                candidate->address);
        return EXIT_CODE_CONFLICT;
    }
    return EXIT_CODE_OK;
}

/* Somebody is founded already: its genesis is the one, if it names exactly these nodes. Where the
 * ring map has changed since, nobody has the genesis to give, and nobody may need it. */
static enum exit_code fetch_genesis(struct founding *founding)
{
    const struct candidate *candidate = founding->candidates;
    struct cluster_request request;
    enum exit_code code;

    while (candidate->status.founded != COMMITTED)
        candidate++;
    request = (struct cluster_request){
        .node = candidate->node, .type = WIRE_MAP_GET, .partition = WIRE_PARTITION_NODE};
    cluster_ask(founding->cluster, &request, 1, founding->options->timeout_ms);
    if (!request.answered) {
        unreachable(founding, candidate);
        return EXIT_CODE_UNREACHABLE;
    }
    code = take_genesis(founding, candidate, &request);
    cluster_request_deinit(&request);
    return code;
}

/* All are prepared before any is told to commit: who is not has lost that, and maybe its votes. */
static const char *why_refused(const struct founding *founding, const struct candidate *candidate)
{
    if (!ringmap_member_by_key(&founding->map, candidate->status.public_key))
        return "is no member of the cluster that the others are in already; start it empty, with "
               "--join";
    if (candidate->status.founded == UNHEARD)
        return "has lost its GENESIS, and must not come back as if empty: put the file back, or "
               "replace the node by one that joins";
    if (candidate->status.founded == COMMITTED &&
        memcmp(candidate->status.genesis_hash, founding->hash, sizeof founding->hash) != 0)
        return "belongs to another founding";
    return NULL;
}

static enum exit_code check_same(const struct founding *founding)
{
    const struct founding_options *options = founding->options;

    for (uint32_t i = 0; i < founding->count; i++) {
        const struct candidate *candidate = &founding->candidates[i];
        const char *why = why_refused(founding, candidate);

        if (!why)
            continue;
        fprintf(stderr, "%s: %s %s\n", founding->prefix, candidate->address, why);
        return EXIT_CODE_CONFLICT;
    }
    if (founding->map.member_count != founding->count) {
        fprintf(stderr, "%s: these nodes are in a cluster of %u nodes already; name all of them\n",
                founding->prefix, founding->map.member_count);
        return EXIT_CODE_CONFLICT;
    }
    if ((options->partitions && options->partitions != founding->map.partition_count) ||
        (options->replicas && options->replicas != ringmap_copies(&founding->map))) {
        fprintf(stderr, "%s: the cluster was founded with %u partitions and %u replicas\n",
                founding->prefix, founding->map.partition_count, ringmap_copies(&founding->map));
        return EXIT_CODE_CONFLICT;
    }
    if (options->encrypt && !founding->map.boxes) {
        fprintf(stderr,
                "%s: the cluster was founded without --encrypt; copy its data into a new one\n",
                founding->prefix);
        return EXIT_CODE_CONFLICT;
    }
    return EXIT_CODE_OK;
}

/* PREPARE or COMMIT on all; every one must accept. */
static enum exit_code tell_all(struct founding *founding, uint8_t type, const void *bytes,
                               size_t size)
{
    struct cluster_request requests[ADDRESS_LIST_MAX];
    enum exit_code code = EXIT_CODE_OK;
    struct wire_buffer body = {0};

    wire_put_bin(&body, bytes, size);
    if (body.failed)
        return EXIT_CODE_FAILED;
    if (!ask_all(founding, type, &body, requests))
        code = EXIT_CODE_UNREACHABLE;
    for (uint32_t i = 0; i < founding->count; i++) {
        struct wire_cursor cursor;
        char why[TEXT_ESCAPED_MAX * REASON_SIZE + 1] = "?";
        const char *said;
        size_t said_size;
        bool accepted;

        if (!requests[i].answered)
            continue;
        wire_cursor_init(&cursor, requests[i].reply, requests[i].reply_size);
        accepted = wire_get_array(&cursor, 3) == 3 && wire_get_bool(&cursor);
        said = wire_get_string(&cursor, REASON_SIZE, &said_size);
        if (accepted)
            continue;
        if (said)
            text_escape((const uint8_t *)said, said_size, true, why);
        fprintf(stderr, "%s: %s refuses: %s\n", founding->prefix, founding->candidates[i].address,
                why);
        code = EXIT_CODE_CONFLICT;
    }
    forget(founding, requests);
    wire_buffer_deinit(&body);
    return code;
}

static enum exit_code found(struct founding *founding, const struct address_list *nodes)
{
    enum exit_code code = meet(founding, nodes);

    if (code == EXIT_CODE_OK)
        code = check_distinct(founding);
    if (code == EXIT_CODE_OK)
        code = founding->committed > 0 ? fetch_genesis(founding) : make_genesis(founding);
    if (code == EXIT_CODE_OK && founding->committed > 0)
        code = check_same(founding);
    if (code == EXIT_CODE_OK && founding->committed == founding->count)
        return code;
    if (code == EXIT_CODE_OK)
        code = tell_all(founding, WIRE_PREPARE, founding->blob, founding->blob_size);
    if (code == EXIT_CODE_OK)
        code = tell_all(founding, WIRE_COMMIT, founding->hash, sizeof founding->hash);
    return code;
}

enum exit_code founding_run(struct cluster *cluster, const struct address_list *nodes,
                            const struct founding_options *options, const struct ticket *ticket,
                            const char *prefix, struct founding_result *result)
{
    struct founding *founding = calloc(1, sizeof *founding);
    enum exit_code code;

    if (!founding)
        return EXIT_CODE_FAILED;
    founding->cluster = cluster;
    founding->options = options;
    founding->ticket = ticket;
    founding->prefix = prefix;
    code = found(founding, nodes);
    if (code == EXIT_CODE_OK)
        *result = (struct founding_result){.already = founding->committed == founding->count,
                                           .nodes = founding->count,
                                           .partitions = founding->map.partition_count,
                                           .replicas = ringmap_copies(&founding->map),
                                           .encrypted = founding->map.boxes != NULL};
    if (founding->map_made)
        ringmap_deinit(&founding->map);
    free(founding->blob);
    free(founding);
    return code;
}
