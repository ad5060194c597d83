#include "replication/sessions.h"

#include "ring/mix.h"
#include "storage/codec.h"
#include "storage/mutant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define NONE              UINT32_MAX
#define POOL_MIN          4u
#define WINDOW_MIN        4u

#define SAVE_VERSION      1u
#define SAVE_HEAD_SIZE    21u
#define SAVE_SESSION_SIZE 28u
#define SAVE_RESULT_SIZE  20u

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void sessions_init(struct sessions *sessions, const struct sessions_options *options)
{
    assert(options->sessions_max >= 1);
    assert(options->sessions_max < NONE / 2);
    assert(options->window_max >= 1);
    assert(options->window_max <= SESSIONS_WINDOW_LIMIT);
    *sessions = (struct sessions){
        .options = *options,
        .free_first = NONE,
        .oldest = NONE,
        .newest = NONE,
    };
}

void sessions_deinit(struct sessions *sessions)
{
    for (uint32_t i = 0; i < sessions->pool_capacity; i++)
        free(sessions->pool[i].window);
    free(sessions->pool);
    free(sessions->buckets);
    inflight_deinit(&sessions->inflight);
    *sessions = (struct sessions){.free_first = NONE, .oldest = NONE, .newest = NONE};
}

/* Sessions: a pool with a hash chain a bucket and a list in order of last index. */

static uint32_t *bucket_of(const struct sessions *sessions, uint64_t id)
{
    return &sessions->buckets[mix_word(id) & (sessions->bucket_count - 1)];
}

static struct sessions_session *session_find(const struct sessions *sessions, uint64_t id)
{
    if (sessions->count == 0)
        return NULL;
    for (uint32_t i = *bucket_of(sessions, id); i != NONE; i = sessions->pool[i].chain) {
        if (sessions->pool[i].id == id)
            return &sessions->pool[i];
    }
    return NULL;
}

static void list_append(struct sessions *sessions, struct sessions_session *session)
{
    uint32_t number = (uint32_t)(session - sessions->pool);

    session->older = sessions->newest;
    session->newer = NONE;
    if (sessions->newest != NONE)
        sessions->pool[sessions->newest].newer = number;
    else
        sessions->oldest = number;
    sessions->newest = number;
}

static void list_remove(struct sessions *sessions, const struct sessions_session *session)
{
    if (session->older != NONE)
        sessions->pool[session->older].newer = session->newer;
    else
        sessions->oldest = session->newer;
    if (session->newer != NONE)
        sessions->pool[session->newer].older = session->older;
    else
        sessions->newest = session->older;
}

/* Room for one more session. 0 or -ENOMEM. */
static int pool_reserve(struct sessions *sessions)
{
    uint32_t capacity = sessions->pool_capacity ? 2 * sessions->pool_capacity : POOL_MIN;
    struct sessions_session *pool;
    uint32_t *buckets;

    if (sessions->free_first != NONE)
        return 0;
    buckets = malloc(capacity * sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    pool = realloc(sessions->pool, capacity * sizeof *pool);
    if (!pool) {
        free(buckets);
        return -ENOMEM;
    }
    free(sessions->buckets);
    sessions->pool = pool;
    sessions->buckets = buckets;
    sessions->bucket_count = capacity;
    for (uint32_t i = 0; i < capacity; i++)
        buckets[i] = NONE;
    /* The pool was full, so every old place is a session. */
    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t *link =
            i < sessions->pool_capacity ? bucket_of(sessions, pool[i].id) : &sessions->free_first;

        if (i >= sessions->pool_capacity)
            pool[i] = (struct sessions_session){0};
        pool[i].chain = *link;
        *link = i;
    }
    sessions->pool_capacity = capacity;
    return 0;
}

/* Room was reserved. */
static struct sessions_session *session_new(struct sessions *sessions, uint64_t id, uint64_t floor)
{
    uint32_t number = sessions->free_first;
    struct sessions_session *session = &sessions->pool[number];
    uint32_t *bucket = bucket_of(sessions, id);

    assert(number != NONE);
    sessions->free_first = session->chain;
    *session = (struct sessions_session){.id = id, .floor = floor, .chain = *bucket};
    *bucket = number;
    sessions->count++;
    list_append(sessions, session);
    return session;
}

static void session_drop(struct sessions *sessions, struct sessions_session *session)
{
    uint32_t number = (uint32_t)(session - sessions->pool);
    uint32_t *link = bucket_of(sessions, session->id);

    while (*link != number)
        link = &sessions->pool[*link].chain;
    *link = session->chain;
    list_remove(sessions, session);
    free(session->window);
    *session = (struct sessions_session){.chain = sessions->free_first};
    sessions->free_first = number;
    sessions->count--;
}

/* Windows: a ring of results by sequence, all of them in floor … floor + capacity - 1. */

static struct sessions_result *window_slot(const struct sessions_session *session,
                                           uint64_t sequence)
{
    return &session->window[sequence & (session->capacity - 1)];
}

static const struct sessions_result *window_find(const struct sessions_session *session,
                                                 uint64_t sequence)
{
    const struct sessions_result *result;

    if (sequence < session->floor || sequence - session->floor >= session->capacity)
        return NULL;
    result = window_slot(session, sequence);
    return result->index ? result : NULL;
}

/* Room for a span of sequences, from the session's floor or a higher one it is raised to next. */
static int window_reserve(struct sessions_session *session, uint32_t span)
{
    uint32_t capacity = session->capacity ? session->capacity : WINDOW_MIN;
    struct sessions_result *window;

    if (span <= session->capacity)
        return 0;
    while (capacity < span)
        capacity *= 2;
    window = calloc(capacity, sizeof *window);
    if (!window)
        return -ENOMEM;
    for (uint64_t i = 0; i < session->capacity; i++) {
        uint64_t sequence = session->floor + i;

        window[sequence & (capacity - 1)] = *window_slot(session, sequence);
    }
    free(session->window);
    session->window = window;
    session->capacity = capacity;
    return 0;
}

static void window_raise(struct sessions_session *session, uint64_t floor)
{
    for (uint64_t i = 0; session->count > 0 && i < session->capacity; i++) {
        uint64_t sequence = session->floor + i;
        struct sessions_result *slot = window_slot(session, sequence);

        if (sequence >= floor)
            break;
        if (slot->index) {
            *slot = (struct sessions_result){0};
            session->count--;
        }
    }
    session->floor = max_u64(session->floor, floor);
}

/* Room was reserved. */
static void window_put(struct sessions_session *session, uint64_t sequence, uint64_t index,
                       int64_t result)
{
    struct sessions_result *slot;

    assert(sequence >= session->floor);
    assert(sequence - session->floor < session->capacity);
    slot = window_slot(session, sequence);
    assert(slot->index == 0);
    assert(index != 0);
    *slot = (struct sessions_result){.index = index, .result = result};
    session->count++;
}

int sessions_begin(struct sessions *sessions, uint64_t session, uint64_t sequence, void *operation)
{
    int r = inflight_add(&sessions->inflight, session, sequence, operation);

    if (r < 0)
        return r;
    assert(r == INFLIGHT_E_OK || mutant(MUTANT_RETRY_APPLIED_TWICE));
    return 0;
}

void sessions_end(struct sessions *sessions, uint64_t session, uint64_t sequence)
{
    int r = inflight_remove(&sessions->inflight, session, sequence);

    assert(r == INFLIGHT_E_OK || mutant(MUTANT_RETRY_APPLIED_TWICE));
}

void sessions_forget_in_flight(struct sessions *sessions)
{
    inflight_clear(&sessions->inflight);
}

uint32_t sessions_in_flight(const struct sessions *sessions)
{
    return sessions->inflight.count;
}

uint64_t sessions_floor(const struct sessions *sessions)
{
    return sessions->session_floor;
}

bool sessions_knows(const struct sessions *sessions, uint64_t session)
{
    return session_find(sessions, session) != NULL;
}

static enum sessions_e check_id(const struct sessions *sessions, uint64_t id, uint64_t sequence,
                                uint64_t floor, struct sessions_answer *answer)
{
    const struct sessions_session *session;
    const struct sessions_result *result;

    if (sequence == 0 || sequence < floor)
        return SESSIONS_UNKNOWN;
    if (inflight_find(&sessions->inflight, id, sequence, &answer->operation) == INFLIGHT_E_OK)
        return SESSIONS_IN_FLIGHT;
    session = session_find(sessions, id);
    if (!session && id <= sessions->session_floor)
        return SESSIONS_EXPIRED;
    if (session) {
        if (sequence < session->floor)
            return SESSIONS_UNKNOWN;
        result = window_find(session, sequence);
        if (result) {
            answer->result = result->result;
            answer->index = result->index;
            return SESSIONS_DONE;
        }
        floor = max_u64(floor, session->floor);
    }
    return sequence - floor < sessions->options.window_max ? SESSIONS_NEW : SESSIONS_FULL;
}

enum sessions_e sessions_check(const struct sessions *sessions, uint64_t session, uint64_t sequence,
                               uint64_t floor, struct sessions_answer *answer)
{
    struct sessions_answer found = {0};
    enum sessions_e e = check_id(sessions, session, sequence, floor, &found);

    if (answer)
        *answer = found;
    if ((e == SESSIONS_DONE || e == SESSIONS_IN_FLIGHT) && mutant(MUTANT_RETRY_APPLIED_TWICE))
        return SESSIONS_NEW;
    return e;
}

static void drop_over_max(struct sessions *sessions)
{
    while (sessions->count > sessions->options.sessions_max) {
        struct sessions_session *session = &sessions->pool[sessions->oldest];

        sessions->session_floor = max_u64(sessions->session_floor, session->id);
        session_drop(sessions, session);
    }
}

int sessions_apply(struct sessions *sessions, const struct record_request *request, uint64_t index)
{
    struct sessions_session *session = session_find(sessions, request->session);
    const uint64_t sequence = request->sequence;
    uint64_t floor = max_u64(request->floor, session ? session->floor : 0);
    int r;

    assert(index > sessions->applied_index);
    if (session && window_find(session, sequence)) {
        sessions->applied_index = index;
        return SESSIONS_DONE;
    }
    if (!session && request->session <= sessions->session_floor) {
        sessions->applied_index = index;
        return SESSIONS_EXPIRED;
    }
    if (sequence >= floor && sequence - floor >= SESSIONS_WINDOW_LIMIT)
        floor = sequence - SESSIONS_WINDOW_LIMIT + 1;
    if (!session) {
        r = pool_reserve(sessions);
        if (r < 0)
            return r;
        session = session_new(sessions, request->session, floor);
    }
    if (sequence >= floor) {
        r = window_reserve(session, (uint32_t)(sequence - floor) + 1);
        if (r < 0) {
            if (session->last_index == 0)
                session_drop(sessions, session);
            return r;
        }
    }
    window_raise(session, floor);
    if (sequence >= floor)
        window_put(session, sequence, index, request->result);
    session->last_index = index;
    list_remove(sessions, session);
    list_append(sessions, session);
    sessions->applied_index = index;
    drop_over_max(sessions);
    return sequence >= floor ? SESSIONS_NEW : SESSIONS_UNKNOWN;
}

size_t sessions_save_size(const struct sessions *sessions)
{
    size_t size = SAVE_HEAD_SIZE + (size_t)sessions->count * SAVE_SESSION_SIZE;

    for (uint32_t i = sessions->oldest; i != NONE; i = sessions->pool[i].newer)
        size += (size_t)sessions->pool[i].count * SAVE_RESULT_SIZE;
    return size;
}

static uint8_t *save_session(const struct sessions_session *session, uint8_t *out)
{
    codec_put_u64(out, session->id);
    codec_put_u64(out + 8, session->floor);
    codec_put_u64(out + 16, session->last_index);
    codec_put_u32(out + 24, session->count);
    out += SAVE_SESSION_SIZE;
    for (uint32_t i = 0; session->count > 0 && i < session->capacity; i++) {
        const struct sessions_result *result = window_slot(session, session->floor + i);

        if (!result->index)
            continue;
        codec_put_u32(out, i);
        codec_put_u64(out + 4, result->index);
        codec_put_u64(out + 12, (uint64_t)result->result);
        out += SAVE_RESULT_SIZE;
    }
    return out;
}

void sessions_save(const struct sessions *sessions, uint8_t *out)
{
    const uint8_t *end = out + sessions_save_size(sessions);

    codec_put_u8(out, SAVE_VERSION);
    codec_put_u64(out + 1, sessions->session_floor);
    codec_put_u64(out + 9, sessions->applied_index);
    codec_put_u32(out + 17, sessions->count);
    out += SAVE_HEAD_SIZE;
    for (uint32_t i = sessions->oldest; i != NONE; i = sessions->pool[i].newer)
        out = save_session(&sessions->pool[i], out);
    assert(out == end);
}

/* Reads the results of one session; *bytes moves behind them. */
static int load_results(struct sessions_session *session, const uint8_t **bytes, size_t size,
                        uint32_t count)
{
    uint32_t next = 0;
    uint32_t last;
    int r;

    if (count == 0)
        return 0;
    if (count > size / SAVE_RESULT_SIZE)
        return SESSIONS_MALFORMED;
    last = codec_get_u32(*bytes + (size_t)(count - 1) * SAVE_RESULT_SIZE);
    if (last >= SESSIONS_WINDOW_LIMIT || session->floor > UINT64_MAX - last)
        return SESSIONS_MALFORMED;
    r = window_reserve(session, last + 1);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t offset = codec_get_u32(*bytes);
        uint64_t index = codec_get_u64(*bytes + 4);

        if (offset < next || offset > last || index == 0 || index > session->last_index)
            return SESSIONS_MALFORMED;
        window_put(session, session->floor + offset, index, (int64_t)codec_get_u64(*bytes + 12));
        next = offset + 1;
        *bytes += SAVE_RESULT_SIZE;
    }
    return 0;
}

static int load_session(struct sessions *sessions, const uint8_t **bytes, const uint8_t *end)
{
    const uint8_t *at = *bytes;
    struct sessions_session *session;
    uint64_t index_min = sessions->newest == NONE ? 0 : sessions->pool[sessions->newest].last_index;
    int r;

    if ((size_t)(end - at) < SAVE_SESSION_SIZE || session_find(sessions, codec_get_u64(at)) ||
        codec_get_u64(at + 16) <= index_min || codec_get_u64(at + 16) > sessions->applied_index)
        return SESSIONS_MALFORMED;
    r = pool_reserve(sessions);
    if (r < 0)
        return r;
    session = session_new(sessions, codec_get_u64(at), codec_get_u64(at + 8));
    session->last_index = codec_get_u64(at + 16);
    *bytes += SAVE_SESSION_SIZE;
    return load_results(session, bytes, (size_t)(end - *bytes), codec_get_u32(at + 24));
}

int sessions_load(struct sessions *sessions, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size;
    struct sessions loaded;
    uint32_t count;
    int r = 0;

    if (size < SAVE_HEAD_SIZE || codec_get_u8(bytes) != SAVE_VERSION)
        return SESSIONS_MALFORMED;
    sessions_init(&loaded, &sessions->options);
    loaded.session_floor = codec_get_u64(bytes + 1);
    loaded.applied_index = codec_get_u64(bytes + 9);
    count = codec_get_u32(bytes + 17);
    bytes += SAVE_HEAD_SIZE;
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = load_session(&loaded, &bytes, end);
    if (r == 0 && bytes != end)
        r = SESSIONS_MALFORMED;
    if (r != 0) {
        sessions_deinit(&loaded);
        return r;
    }
    sessions_deinit(sessions);
    *sessions = loaded;
    return 0;
}

static uint64_t digest_add(uint64_t digest, uint64_t word)
{
    return mix_word(digest ^ word) + UINT64_C(0x9E3779B97F4A7C15);
}

uint64_t sessions_digest(const struct sessions *sessions)
{
    uint64_t digest = digest_add(0, sessions->session_floor);

    for (uint32_t i = sessions->oldest; i != NONE; i = sessions->pool[i].newer) {
        const struct sessions_session *session = &sessions->pool[i];

        digest = digest_add(digest, session->id);
        digest = digest_add(digest, session->floor);
        digest = digest_add(digest, session->last_index);
        for (uint32_t j = 0; session->count > 0 && j < session->capacity; j++) {
            const struct sessions_result *result = window_slot(session, session->floor + j);

            if (!result->index)
                continue;
            digest = digest_add(digest, j);
            digest = digest_add(digest, result->index);
            digest = digest_add(digest, (uint64_t)result->result);
        }
    }
    return digest;
}

static void check_session(const struct sessions *sessions, const struct sessions_session *session)
{
    uint32_t count = 0;

    assert(session_find(sessions, session->id) == session);
    assert(session->last_index >= 1);
    assert(session->last_index <= sessions->applied_index);
    assert(session->capacity <= SESSIONS_WINDOW_LIMIT);
    for (uint32_t i = 0; i < session->capacity; i++) {
        assert(session->window[i].index <= session->last_index);
        count += session->window[i].index != 0;
    }
    assert(count == session->count);
}

void sessions_check_invariants(const struct sessions *sessions)
{
    uint32_t count = 0;
    uint32_t free_count = 0;
    uint32_t older = NONE;

    for (uint32_t i = sessions->oldest; i != NONE; i = sessions->pool[i].newer) {
        assert(sessions->pool[i].older == older);
        assert(older == NONE || sessions->pool[older].last_index < sessions->pool[i].last_index);
        check_session(sessions, &sessions->pool[i]);
        older = i;
        count++;
    }
    assert(older == sessions->newest);
    assert(count == sessions->count);
    for (uint32_t i = sessions->free_first; i != NONE; i = sessions->pool[i].chain)
        free_count++;
    assert(count + free_count == sessions->pool_capacity);
    inflight_check(&sessions->inflight);
}
