#include "cli/map_change.h"

#include <errno.h>
#include <string.h>

static const struct wire_map_reply NO_ANSWER = {.outcome = WIRE_MAP_AGAIN,
                                                .why = "no node answers"};

/* False: no answer from this one. */
static bool ask(struct admin *admin, const struct wire_buffer *body, const struct view_node *node,
                struct wire_map_reply *reply)
{
    struct cluster_request request = {.node = cluster_dial(admin->cluster, node->address, NULL),
                                      .type = WIRE_MAP_CHANGE,
                                      .partition = WIRE_PARTITION_NODE,
                                      .body = body->data,
                                      .body_size = body->size};
    struct wire_cursor cursor;
    bool answered;

    cluster_ask(admin->cluster, &request, 1, CLUSTER_CHANGE_TIMEOUT_MS);
    wire_cursor_init(&cursor, request.reply, request.reply_size);
    answered = request.answered && wire_get_map_reply(&cursor, reply);
    cluster_request_deinit(&request);
    return answered;
}

/* --- is it there? -------------------------------------------------------------------------- */

static bool same_ids(const struct ringmap *a, const uint16_t *row_a, const struct ringmap *b,
                     const uint16_t *row_b)
{
    uint32_t count = ringmap_row_count(a, row_a);

    return count == ringmap_row_count(b, row_b) && memcmp(row_a, row_b, count * sizeof *row_a) == 0;
}

static bool same_row(const struct ringmap *now, const struct ringmap *next, uint16_t partition)
{
    return same_ids(now, ringmap_wanted(now, partition), next, ringmap_wanted(next, partition));
}

/* Who was leaving may be gone meanwhile. */
static bool same_member(const struct ringmap_member *now, const struct ringmap_member *next)
{
    return now && now->weight == next->weight && strcmp(now->zone, next->zone) == 0 &&
           (now->state == next->state ||
            (next->state == RINGMAP_STATE_LEAVING && now->state == RINGMAP_STATE_REMOVED));
}

/* Those that an admin leaves out are made by the node that it asks. */
static bool same_box(const uint8_t *now, const uint8_t *next)
{
    return !next || (now && memcmp(now, next, RINGMAP_BOX_SIZE) == 0);
}

static bool same_keys(const struct ringmap *now, const struct ringmap *next)
{
    if (now->key_count < next->key_count ||
        memcmp(now->key_ids, next->key_ids, next->key_count) != 0)
        return false;
    for (uint32_t key = 0; key < next->key_count; key++)
        for (uint32_t i = 0; i < next->member_count; i++)
            if (!same_box(ringmap_box(now, key, next->members[i].id),
                          ringmap_box(next, key, next->members[i].id)))
                return false;
    return true;
}

bool map_change_holds(const struct ringmap *now, const struct ringmap *next)
{
    if (now->epoch < next->epoch || now->partition_count != next->partition_count ||
        now->meta_voter_count != next->meta_voter_count ||
        memcmp(now->meta_voters, next->meta_voters, sizeof now->meta_voters) != 0)
        return false;
    for (uint32_t i = 0; i < next->member_count; i++)
        if (!same_member(ringmap_member(now, next->members[i].id), &next->members[i]))
            return false;
    for (uint32_t p = 0; p < next->partition_count; p++)
        if (!same_row(now, next, (uint16_t)p))
            return false;
    return true;
}

/* Who was to leave has left, and nobody was removed by force since. */
static bool same_gone(const struct ringmap *now, const struct ringmap *next)
{
    for (uint32_t i = 0; i < next->member_count; i++) {
        const struct ringmap_member *member = ringmap_member(now, next->members[i].id);
        bool goes = next->members[i].state == RINGMAP_STATE_LEAVING ||
                    next->members[i].state == RINGMAP_STATE_REMOVED;

        if (!member || goes != (member->state == RINGMAP_STATE_REMOVED))
            return false;
    }
    return true;
}

/* `replicas` become the wanted rows when a plan ends, and at no other time: so those of a map that
 * is on its way tell where it goes out from, if they were others before. */
bool map_change_ended(const struct ringmap *now, const struct ringmap *next)
{
    bool changes = !ringmap_moving(now);

    if (now->epoch < next->epoch || now->partition_count != next->partition_count)
        return false;
    if (!ringmap_moving(next))
        return true; /* it was in effect with the commit */
    if (!same_gone(now, next))
        return false;
    for (uint32_t i = 0; i < next->partition_count; i++) {
        uint16_t p = (uint16_t)i;
        const uint16_t *wanted = ringmap_wanted(next, p);

        if (!same_ids(now, ringmap_row(now, p), next, wanted))
            return false;
        changes |= !same_ids(next, ringmap_row(next, p), next, wanted);
    }
    return changes;
}

bool map_change_is_in(const struct ringmap *now, const struct ringmap *next)
{
    return map_change_holds(now, next) && now->paused == next->paused &&
           now->move_rate == next->move_rate && same_keys(now, next);
}

/* One map is committed an epoch. Of an earlier one that was lost from sight, as an attempt whose
 * answer never came, nobody can tell. */
const char *map_change_conflict(uint64_t epoch, const struct ringmap *next)
{
    if (epoch == next->epoch)
        return "another change of the ring map came first: nothing was changed by this one";
    return "other changes of the ring map came: this one is not in the newest, and whether it was "
           "in one before is unknown; see `ring-admin members` and `ring-admin moves`";
}

/* --- send ---------------------------------------------------------------------------------- */

static enum exit_code tell(struct admin *admin, const struct ringmap *next,
                           const struct wire_map_reply *reply)
{
    if (reply->outcome == WIRE_MAP_DONE)
        return EXIT_CODE_OK;
    if (reply->outcome == WIRE_MAP_REFUSED) {
        arguments_error(admin->arguments, "refused: %s", reply->why);
        return EXIT_CODE_FAILED;
    }
    if (reply->outcome == WIRE_MAP_UNSENT) {
        arguments_error(admin->arguments, "nothing was changed: no node that answers could send "
                                          "it on; start one that can, and say it again");
        return EXIT_CODE_FAILED;
    }
    /* An attempt whose answer was lost may have come first. */
    if (view_refresh(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS) == 0 &&
        map_change_is_in(&admin->view.map, next))
        return EXIT_CODE_OK;
    if (reply->outcome == WIRE_MAP_CONFLICT) {
        arguments_error(admin->arguments, "%s", map_change_conflict(reply->epoch, next));
        return EXIT_CODE_CONFLICT;
    }
    arguments_error(admin->arguments,
                    "%s; whether the change comes is unknown: see `ring-admin status`", reply->why);
    return EXIT_CODE_UNREACHABLE;
}

/* One node after the other until one has sent it on. Whoever was asked and did not answer may have.
 */
static void ask_each(struct admin *admin, const struct wire_buffer *body,
                     struct wire_map_reply *reply)
{
    bool silent = false, ended = false;

    for (uint32_t i = 0; i < admin->view.node_count && !ended; i++) {
        const struct view_node *node = &admin->view.nodes[i];

        if (!node->reachable || node->told)
            continue;
        if (!ask(admin, body, node, reply)) {
            silent = true;
            continue;
        }
        ended = reply->outcome != WIRE_MAP_UNSENT;
        if (!ended)
            arguments_error(admin->arguments, "node %u (%s): %s", node->id, node->address,
                            reply->why);
    }
    if (silent && reply->outcome == WIRE_MAP_UNSENT)
        *reply = NO_ANSWER;
}

enum exit_code map_change_send(struct admin *admin, const struct ringmap *next)
{
    struct wire_map_reply reply = NO_ANSWER;
    struct wire_buffer body = {0};
    uint8_t *out = wire_put_bin_space(&body, ringmap_encoded_size(next));
    enum exit_code code;

    if (!out) {
        arguments_error(admin->arguments, "%s", strerror(ENOMEM));
        wire_buffer_deinit(&body);
        return EXIT_CODE_FAILED;
    }
    ringmap_encode(next, out);
    ask_each(admin, &body, &reply);
    code = tell(admin, next, &reply);
    wire_buffer_deinit(&body);
    return code;
}
