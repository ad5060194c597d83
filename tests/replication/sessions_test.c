#include "replication/sessions.h"

#include "tests/replication/allocation.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define IDS       12u
#define SEQUENCES 400u

static const struct sessions_options options = {.sessions_max = 4, .window_max = 8};

/* The model: every session ever seen with every sequence ever applied; nothing clever. */
struct model_session {
    bool present;
    uint64_t floor, last_index;
    uint64_t index[SEQUENCES + 1]; /* 0: nothing kept */
    int64_t result[SEQUENCES + 1];
};

struct model {
    struct model_session sessions[IDS];
    uint64_t session_floor;
};

static enum sessions_e model_check(const struct model *model, uint32_t id, uint32_t sequence,
                                   uint64_t floor)
{
    const struct model_session *session = &model->sessions[id];

    if (sequence == 0 || sequence < floor)
        return SESSIONS_UNKNOWN;
    if (!session->present)
        return id <= model->session_floor               ? SESSIONS_EXPIRED
               : sequence - floor >= options.window_max ? SESSIONS_FULL
                                                        : SESSIONS_NEW;
    if (sequence < session->floor)
        return SESSIONS_UNKNOWN;
    if (session->index[sequence])
        return SESSIONS_DONE;
    floor = floor > session->floor ? floor : session->floor;
    return sequence - floor >= options.window_max ? SESSIONS_FULL : SESSIONS_NEW;
}

static void model_drop(struct model *model)
{
    uint32_t count = 0;
    uint32_t oldest = 0;

    for (uint32_t id = 1; id < IDS; id++) {
        if (!model->sessions[id].present)
            continue;
        if (count++ == 0 || model->sessions[id].last_index < model->sessions[oldest].last_index)
            oldest = id;
    }
    if (count <= options.sessions_max)
        return;
    model->sessions[oldest] = (struct model_session){0};
    if (oldest > model->session_floor)
        model->session_floor = oldest;
}

static enum sessions_e model_apply(struct model *model, const struct record_request *request,
                                   uint64_t index)
{
    struct model_session *session = &model->sessions[request->session];

    if (!session->present && request->session <= model->session_floor)
        return SESSIONS_EXPIRED;
    if (session->index[request->sequence])
        return SESSIONS_DONE;
    session->present = true;
    session->last_index = index;
    if (request->floor > session->floor)
        session->floor = request->floor;
    for (uint64_t i = 0; i < session->floor && i <= SEQUENCES; i++)
        session->index[i] = 0;
    if (request->sequence >= session->floor) {
        session->index[request->sequence] = index;
        session->result[request->sequence] = request->result;
    }
    model_drop(model);
    return request->sequence >= session->floor ? SESSIONS_NEW : SESSIONS_UNKNOWN;
}

static void compare(const struct sessions *sessions, const struct model *model)
{
    sessions_check_invariants(sessions);
    cr_assert_eq(sessions_floor(sessions), model->session_floor);
    for (uint32_t id = 1; id < IDS; id++) {
        for (uint32_t sequence = 0; sequence <= SEQUENCES; sequence++) {
            uint64_t floor = sequence > 5 && (id + sequence) % 2 ? sequence - 5 : 0;
            struct sessions_answer answer;
            enum sessions_e e = sessions_check(sessions, id, sequence, floor, &answer);

            cr_assert_eq(e, model_check(model, id, sequence, floor));
            if (e != SESSIONS_DONE)
                continue;
            cr_assert_eq(answer.index, model->sessions[id].index[sequence]);
            cr_assert_eq(answer.result, model->sessions[id].result[sequence]);
        }
    }
}

static uint8_t *save(const struct sessions *sessions, size_t *size)
{
    uint8_t *bytes;

    *size = sessions_save_size(sessions);
    bytes = malloc(*size);
    cr_assert_not_null(bytes);
    sessions_save(sessions, bytes);
    return bytes;
}

/* A replica that restarts from its checkpoint, or one that gets a snapshot. */
static void reload(struct sessions *to, const struct sessions *from)
{
    size_t size, again_size;
    uint8_t *bytes = save(from, &size);
    uint8_t *again;

    cr_assert_eq(sessions_load(to, bytes, size), 0);
    again = save(to, &again_size);
    cr_assert_eq(again_size, size);
    cr_assert_arr_eq(again, bytes, size);
    free(again);
    free(bytes);
}

Test(sessions, agree_with_a_plain_model_and_across_replicas)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct dice dice = {.state = seed};
        static struct model model;
        struct sessions leader, follower;

        model = (struct model){0};
        sessions_init(&leader, &options);
        sessions_init(&follower, &options);
        for (uint64_t index = 1; index <= 500; index++) {
            uint32_t id = 1 + dice_pick(&dice, (uint32_t)(index * (IDS - 1) / 500) + 1);
            uint64_t near = model.sessions[id % IDS].floor + dice_pick(&dice, 12);
            struct record_request request = {
                .session = id % IDS ? id : 1,
                .sequence = near < 1           ? 1
                            : near > SEQUENCES ? SEQUENCES
                                               : near,
                .result = (int64_t)dice_next(&dice),
            };
            enum sessions_e expected;

            request.floor = request.sequence - dice_pick(&dice, 9) % request.sequence;
            if (dice_pick(&dice, 30) == 0)
                request.floor = request.sequence + 1;
            expected = model_apply(&model, &request, index);
            cr_assert_eq(sessions_apply(&leader, &request, index), (int)expected);
            cr_assert_eq(sessions_apply(&follower, &request, index), (int)expected);
            if (dice_pick(&dice, 20) == 0)
                reload(&follower, dice_pick(&dice, 2) ? &leader : &follower);
            cr_assert_eq(sessions_digest(&leader), sessions_digest(&follower));
            if (index % 10 == 0) {
                compare(&leader, &model);
                compare(&follower, &model);
            }
        }
        sessions_deinit(&leader);
        sessions_deinit(&follower);
    }
}

/* One router, one counter a partition: increments go out up to five at once, replies and requests
 * get lost, leaders change. Whatever happens each increment counts once, with one answer. */
Test(sessions, a_retried_increment_counts_once)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct dice dice = {.state = seed};
        struct sessions sessions;
        int64_t first_answer[301] = {0};
        int64_t counter = 0;
        uint64_t index = 0;
        uint64_t floor = 1;
        bool answered[301] = {false};

        sessions_init(&sessions, &options);
        while (floor <= 300) {
            uint64_t sequence = floor + dice_pick(&dice, 5);
            struct sessions_answer answer = {0};
            struct record_request request = {
                .session = 9, .sequence = sequence, .floor = floor, .result = counter + 1};

            if (sequence > 300 || answered[sequence])
                continue;
            switch (sessions_check(&sessions, 9, sequence, floor, &answer)) {
            case SESSIONS_NEW:
                cr_assert_eq(sessions_apply(&sessions, &request, ++index), SESSIONS_NEW);
                answer.result = ++counter;
                first_answer[sequence] = counter;
                break;
            case SESSIONS_DONE:
                cr_assert_eq(answer.result, first_answer[sequence]);
                break;
            default:
                cr_assert_fail("an unanswered request is new or done");
            }
            answered[sequence] = dice_pick(&dice, 3) > 0; /* else the reply was lost */
            while (floor <= 300 && answered[floor])
                floor++;
            if (dice_pick(&dice, 10) == 0)
                reload(&sessions, &sessions);
        }
        cr_assert_eq(counter, 300);
        sessions_deinit(&sessions);
    }
}

Test(sessions, a_full_window_refuses_and_forgets_nothing)
{
    struct sessions sessions;
    uint64_t index = 0;

    sessions_init(&sessions, &options);
    for (uint64_t sequence = 1; sequence <= 8; sequence++) {
        struct record_request request = {.session = 1, .sequence = sequence, .floor = 1};

        cr_assert_eq(sessions_check(&sessions, 1, sequence, 1, NULL), SESSIONS_NEW);
        cr_assert_eq(sessions_apply(&sessions, &request, ++index), SESSIONS_NEW);
    }
    cr_assert_eq(sessions_check(&sessions, 1, 9, 1, NULL), SESSIONS_FULL);
    for (uint64_t sequence = 1; sequence <= 8; sequence++)
        cr_assert_eq(sessions_check(&sessions, 1, sequence, 1, NULL), SESSIONS_DONE);
    cr_assert_eq(sessions_check(&sessions, 1, 9, 2, NULL), SESSIONS_NEW, "its floor makes room");
    cr_assert_eq(sessions_check(&sessions, 2, 9, 1, NULL), SESSIONS_FULL, "a new session too");
    sessions_deinit(&sessions);
}

/* Its last request was on the way when the session was dropped. Made again it would take a retry
 * of an older one for new. */
Test(sessions, a_dropped_session_is_never_made_again)
{
    struct record_request request = {.session = 1, .sequence = 1, .floor = 1};
    struct sessions sessions;

    sessions_init(&sessions, &options);
    cr_assert_eq(sessions_apply(&sessions, &request, 1), SESSIONS_NEW);
    for (uint64_t id = 2; id <= 5; id++) {
        request.session = id;
        cr_assert_eq(sessions_apply(&sessions, &request, id), SESSIONS_NEW);
    }
    cr_assert_eq(sessions_floor(&sessions), 1);
    request = (struct record_request){.session = 1, .sequence = 2, .floor = 1};
    cr_assert_eq(sessions_apply(&sessions, &request, 6), SESSIONS_EXPIRED);
    cr_assert_eq(sessions_check(&sessions, 1, 1, 1, NULL), SESSIONS_EXPIRED);
    cr_assert_eq(sessions_check(&sessions, 6, 1, 1, NULL), SESSIONS_NEW);
    sessions_check_invariants(&sessions);
    sessions_deinit(&sessions);
}

Test(sessions, ids_in_flight_are_known_until_they_end)
{
    struct sessions_answer answer;
    struct sessions sessions;
    int operation;

    sessions_init(&sessions, &options);
    cr_assert_eq(sessions_begin(&sessions, 7, 1, &operation), 0);
    cr_assert_eq(sessions_check(&sessions, 7, 1, 1, &answer), SESSIONS_IN_FLIGHT);
    cr_assert_eq(answer.operation, &operation);
    cr_assert_eq(sessions_check(&sessions, 7, 2, 1, &answer), SESSIONS_NEW);
    cr_assert_eq(sessions_check(&sessions, 8, 1, 1, &answer), SESSIONS_NEW);
    sessions_end(&sessions, 7, 1);
    cr_assert_eq(sessions_check(&sessions, 7, 1, 1, &answer), SESSIONS_NEW);
    cr_assert_eq(sessions_begin(&sessions, 7, 1, &operation), 0);
    cr_assert_eq(sessions_in_flight(&sessions), 1);
    sessions_forget_in_flight(&sessions);
    cr_assert_eq(sessions_in_flight(&sessions), 0);
    cr_assert_eq(sessions_check(&sessions, 7, 1, 1, &answer), SESSIONS_NEW);
    sessions_deinit(&sessions);
}

Test(sessions, ids_in_flight_are_no_part_of_the_replicated_state)
{
    struct sessions_options two = options;
    struct sessions a, b;

    sessions_init(&a, &two);
    sessions_init(&b, &two);
    cr_assert_eq(sessions_begin(&a, 7, 1, NULL), 0);
    cr_assert_eq(sessions_digest(&a), sessions_digest(&b));
    cr_assert_eq(sessions_save_size(&a), sessions_save_size(&b));
    sessions_deinit(&a);
    sessions_deinit(&b);
}

Test(sessions, a_span_beyond_the_limit_raises_the_floor)
{
    struct record_request request = {.session = 1, .sequence = 1, .floor = 1};
    struct sessions sessions;

    sessions_init(&sessions, &options);
    cr_assert_eq(sessions_apply(&sessions, &request, 1), SESSIONS_NEW);
    request.sequence = UINT64_MAX;
    cr_assert_eq(sessions_apply(&sessions, &request, 2), SESSIONS_NEW);
    sessions_check_invariants(&sessions);
    cr_assert_eq(sessions_check(&sessions, 1, 1, 1, NULL), SESSIONS_UNKNOWN);
    cr_assert_eq(sessions_check(&sessions, 1, UINT64_MAX, 1, NULL), SESSIONS_DONE);
    reload(&sessions, &sessions);
    sessions_deinit(&sessions);
}

static void fill(struct sessions *sessions)
{
    sessions_init(sessions, &options);
    for (uint64_t index = 1; index <= 30; index++) {
        struct record_request request = {.session = 1 + index % 6,
                                         .sequence = 1 + index / 6,
                                         .floor = 1 + index / 12,
                                         .result = INT64_MIN + (int64_t)index};

        cr_assert_geq(sessions_apply(sessions, &request, index), 0);
    }
}

Test(sessions, load_refuses_a_sequence_that_comes_twice)
{
    struct sessions sessions;
    uint8_t *bytes;
    size_t size;

    sessions_init(&sessions, &options);
    for (uint64_t index = 1; index <= 2; index++) {
        struct record_request request = {.session = 1, .sequence = index, .floor = 1};

        cr_assert_eq(sessions_apply(&sessions, &request, index), SESSIONS_NEW);
    }
    bytes = save(&sessions, &size);
    cr_assert_eq(sessions_load(&sessions, bytes, size), 0);
    memcpy(bytes + size - 40, bytes + size - 20, 4); /* results are the last 20 B each */
    cr_assert_eq(sessions_load(&sessions, bytes, size), SESSIONS_MALFORMED);
    free(bytes);
    sessions_deinit(&sessions);
}

/* Whatever the bytes are: refused and unchanged, or loaded into a sound state. */
Test(sessions, load_survives_damaged_bytes)
{
    struct dice dice = {.state = 3};
    struct sessions sessions, other;
    size_t size;
    uint8_t *bytes;
    uint64_t digest;
    uint32_t refused = 0;

    fill(&sessions);
    bytes = save(&sessions, &size);
    digest = sessions_digest(&sessions);
    for (size_t cut = 0; cut < size; cut++) {
        cr_assert_eq(sessions_load(&sessions, bytes, cut), SESSIONS_MALFORMED);
        cr_assert_eq(sessions_digest(&sessions), digest);
    }
    sessions_init(&other, &options);
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t *damaged = malloc(size);

        memcpy(damaged, bytes, size);
        for (uint32_t flips = 1 + dice_pick(&dice, 3); flips > 0; flips--)
            damaged[dice_pick(&dice, (uint32_t)size)] = (uint8_t)dice_next(&dice);
        refused += sessions_load(&other, damaged, size) == SESSIONS_MALFORMED;
        sessions_check_invariants(&other);
        free(damaged);
    }
    cr_assert_gt(refused, 100);
    free(bytes);
    sessions_deinit(&sessions);
    sessions_deinit(&other);
}

Test(sessions, out_of_memory_changes_nothing)
{
    uint32_t failures = 0;

    for (long fails_in = 0; fails_in < 8; fails_in++) {
        struct record_request request = {.session = 50, .sequence = 9, .floor = 1};
        const struct sessions_options wide = {.sessions_max = 100, .window_max = 64};
        struct sessions sessions;
        uint64_t digest;
        int r;

        fill(&sessions);
        sessions.options = wide;
        digest = sessions_digest(&sessions);
        for (uint64_t index = 31; index < 60; index++, request.session++) {
            allocation_fails_in = fails_in;
            r = sessions_apply(&sessions, &request, index);
            allocation_fails_in = -1;
            sessions_check_invariants(&sessions);
            if (r == -ENOMEM) {
                failures++;
                cr_assert_eq(sessions_digest(&sessions), digest);
                cr_assert_eq(sessions_apply(&sessions, &request, index), SESSIONS_NEW);
            }
            digest = sessions_digest(&sessions);
        }
        sessions_deinit(&sessions);
    }
    cr_assert_gt(failures, 20);
}

Test(sessions, load_without_memory_changes_nothing)
{
    struct sessions sessions, other;
    size_t size;
    uint8_t *bytes;
    long fails_in = 0;
    int r;

    fill(&sessions);
    bytes = save(&sessions, &size);
    sessions_init(&other, &options);
    do {
        allocation_fails_in = fails_in++;
        r = sessions_load(&other, bytes, size);
        allocation_fails_in = -1;
        sessions_check_invariants(&other);
        cr_assert_eq(sessions_digest(&other) == sessions_digest(&sessions), r == 0);
    } while (r == -ENOMEM);
    cr_assert_eq(r, 0);
    cr_assert_gt(fails_in, 3);
    free(bytes);
    sessions_deinit(&sessions);
    sessions_deinit(&other);
}

Test(sessions, apply_out_of_order_asserts, .signal = SIGABRT)
{
    struct record_request request = {.session = 1, .sequence = 1, .floor = 1};
    struct sessions sessions;

    sessions_init(&sessions, &options);
    sessions_apply(&sessions, &request, 5);
    request.sequence = 2;
    sessions_apply(&sessions, &request, 5);
}
