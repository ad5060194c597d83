#include "tests/sim/judge.h"

#include "tests/sim/judge_history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 64u

/* known and unknown: which open operations have taken effect, by slot. */
struct configuration {
    uint64_t known;
    uint64_t unknown;
    uint32_t state;
    uint32_t next; /* with the same hash; HISTORY_NONE: last */
    bool dead;     /* another dominates it */
};

struct configuration_set {
    struct configuration *items;
    uint32_t count, capacity;
    uint32_t *heads;
    uint32_t head_count; /* a power of two */
};

struct moment {
    uint64_t time;
    uint32_t op;
    bool is_return;
};

struct search {
    struct history *history;
    const struct judge_options *options;
    struct configuration_set sets[2]; /* [current] holds; the other is filled by a return */
    uint32_t current;
    uint32_t known[SLOTS_MAX]; /* op in the slot, HISTORY_NONE: free */
    uint32_t unknown[SLOTS_MAX];
    uint64_t known_used, unknown_used;
    uint64_t now; /* time of the moment that is looked at */
    uint64_t steps;
    uint32_t peak;
    const char *why;
};

struct judge {
    struct judge_options options;
    struct history history;
};

void judge_options_default(struct judge_options *options)
{
    *options = (struct judge_options){.configurations_max = 1u << 20, .steps_max = 1u << 25};
}

struct judge *judge_new(const struct judge_options *options)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (!judge)
        return NULL;
    judge->options = *options;
    if (history_init(&judge->history))
        return judge_free(judge);
    return judge;
}

struct judge *judge_free(struct judge *judge)
{
    if (judge)
        history_deinit(&judge->history);
    free(judge);
    return NULL;
}

int judge_call(struct judge *judge, const struct judge_call *call, uint32_t *op)
{
    return history_call(&judge->history, call, op);
}

int judge_return(struct judge *judge, uint32_t op, uint64_t time, const struct judge_reply *reply)
{
    return history_return(&judge->history, op, time, reply);
}

void judge_fail(struct judge *judge, uint32_t op, uint64_t time)
{
    struct history_op *o = &judge->history.ops[op];
    assert(o->outcome == HISTORY_UNKNOWN);
    o->outcome = HISTORY_FAILED;
    o->return_time = time;
}

uint32_t judge_op_count(const struct judge *judge)
{
    return judge->history.op_count;
}

uint32_t judge_object_count(const struct judge *judge)
{
    return judge->history.object_count;
}

static uint32_t configuration_hash(uint32_t state, uint64_t known)
{
    uint64_t x = (known ^ ((uint64_t)state << 32) ^ state) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static void set_clear(struct configuration_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct configuration *c = &set->items[i];
        set->heads[configuration_hash(c->state, c->known) & (set->head_count - 1)] = HISTORY_NONE;
    }
    set->count = 0;
}

static int set_grow(struct configuration_set *set)
{
    uint32_t capacity = set->capacity ? set->capacity * 2 : 256;
    struct configuration *items = realloc(set->items, capacity * sizeof *items);
    if (!items)
        return -ENOMEM;
    set->items = items;
    uint32_t *heads = malloc((size_t)capacity * 2 * sizeof *heads);
    if (!heads)
        return -ENOMEM;
    free(set->heads);
    set->heads = heads;
    set->capacity = capacity;
    set->head_count = capacity * 2;
    for (uint32_t i = 0; i < set->head_count; i++)
        heads[i] = HISTORY_NONE;
    for (uint32_t i = 0; i < set->count; i++) {
        struct configuration *c = &items[i];
        uint32_t *head = &heads[configuration_hash(c->state, c->known) & (set->head_count - 1)];
        c->next = *head;
        *head = i;
    }
    return 0;
}

/* Keeps only configurations that no other of the same state and known operations dominates. */
static int set_put(struct search *search, struct configuration_set *set, struct configuration new)
{
    uint32_t hash = configuration_hash(new.state, new.known);
    if (set->count)
        for (uint32_t i = set->heads[hash & (set->head_count - 1)]; i != HISTORY_NONE;
             i = set->items[i].next) {
            struct configuration *c = &set->items[i];
            if (c->dead || c->state != new.state || c->known != new.known)
                continue;
            if ((c->unknown & ~new.unknown) == 0)
                return 0;
            if ((new.unknown & ~c->unknown) == 0)
                c->dead = true;
        }
    if (set->count == search->options->configurations_max) {
        search->why = "too many configurations";
        return JUDGE_E_UNDECIDED;
    }
    if (set->count == set->capacity && set_grow(set))
        return -ENOMEM;
    uint32_t *head = &set->heads[hash & (set->head_count - 1)];
    new.dead = false;
    new.next = *head;
    *head = set->count;
    set->items[set->count++] = new;
    if (set->count > search->peak)
        search->peak = set->count;
    return 0;
}

/* Its result says that it has changed nothing, whenever it happened: only then is it no loss to
 * take it early. (SET of a value that is there already could be wanted later, after a delete.) */
static bool op_effectless(const struct history_op *op)
{
    switch (op->kind) {
    case JUDGE_GET:
    case JUDGE_MGET:
        return true;
    case JUDGE_SETNX:
    case JUDGE_DEL:
    case JUDGE_PERSIST:
        return op->integer == 0;
    case JUDGE_GETDEL:
        return op->results[0] == 0;
    case JUDGE_INCR:
        return op->error;
    default:
        return false;
    }
}

/* Takes every open operation that is known to have changed nothing and that the state explains. */
static int take_effectless(struct search *search, struct configuration *c)
{
    bool failed = false;
    for (uint64_t open = search->known_used & ~c->known; open; open &= open - 1) {
        uint32_t slot = (uint32_t)__builtin_ctzll(open);
        const struct history_op *op = &search->history->ops[search->known[slot]];
        if (!op_effectless(op))
            continue;
        search->steps++;
        if (history_apply(search->history, op, c->state, &failed) == c->state)
            c->known |= UINT64_C(1) << slot;
    }
    return failed ? -ENOMEM : 0;
}

static bool op_same(const struct history_op *a, const struct history_op *b)
{
    if (a->kind != b->kind || a->key_count != b->key_count || a->delta != b->delta ||
        a->goes_from != b->goes_from)
        return false;
    for (uint8_t i = 0; i < a->key_count; i++)
        if (a->keys[i] != b->keys[i] || a->values[i] != b->values[i])
            return false;
    return true;
}

/* An identical unknown operation with an older call waits in this configuration. */
static bool older_twin_waits(const struct search *search, const struct configuration *c,
                             uint32_t slot)
{
    uint32_t number = search->unknown[slot];
    for (uint64_t open = search->unknown_used & ~c->unknown; open; open &= open - 1) {
        uint32_t other = search->unknown[__builtin_ctzll(open)];
        if (other < number && op_same(&search->history->ops[other], &search->history->ops[number]))
            return true;
    }
    return false;
}

/* Adds the configurations in which one more value has gone by itself. */
static int expand_expiry(struct search *search, struct configuration_set *set,
                         const struct configuration *c)
{
    for (uint32_t place = 0; place < JUDGE_OBJECT_KEYS_MAX; place++) {
        if (history_goes_from(search->history, c->state, place) > search->now)
            continue;
        bool failed = false;
        struct configuration further = *c;
        further.state = history_expire(search->history, c->state, place, &failed);
        search->steps++;
        if (failed)
            return -ENOMEM;
        int r = take_effectless(search, &further);
        r = r ? r : set_put(search, set, further);
        if (r)
            return r;
    }
    return 0;
}

/* Adds all configurations one operation further. *c is a copy: the set may move. */
static int expand(struct search *search, struct configuration_set *set, struct configuration c)
{
    int e = expand_expiry(search, set, &c);
    if (e)
        return e;
    for (uint32_t pass = 0; pass < 2; pass++) {
        uint64_t open = pass ? search->unknown_used & ~c.unknown : search->known_used & ~c.known;
        for (; open; open &= open - 1) {
            uint32_t slot = (uint32_t)__builtin_ctzll(open);
            if (pass && older_twin_waits(search, &c, slot))
                continue;
            uint32_t number = pass ? search->unknown[slot] : search->known[slot];
            bool failed = false;
            uint32_t state =
                history_apply(search->history, &search->history->ops[number], c.state, &failed);
            search->steps++;
            if (failed)
                return -ENOMEM;
            if (state == HISTORY_NONE || (pass && state == c.state))
                continue;
            struct configuration further = c;
            further.state = state;
            *(pass ? &further.unknown : &further.known) |= UINT64_C(1) << slot;
            int r = take_effectless(search, &further);
            r = r ? r : set_put(search, set, further);
            if (r)
                return r;
        }
    }
    if (search->steps <= search->options->steps_max)
        return 0;
    search->why = "too many steps";
    return JUDGE_E_UNDECIDED;
}

/* Unknown operations that every configuration has taken need no slot any more. */
static void unknown_settle(struct search *search)
{
    struct configuration_set *set = &search->sets[search->current];
    uint64_t settled = search->unknown_used;
    for (uint32_t i = 0; i < set->count; i++)
        if (!set->items[i].dead)
            settled &= set->items[i].unknown;
    for (uint32_t i = 0; i < set->count; i++)
        set->items[i].unknown &= ~settled;
    search->unknown_used &= ~settled;
}

static int on_call(struct search *search, uint32_t number)
{
    bool known = search->history->ops[number].outcome == HISTORY_KNOWN;
    uint64_t *used = known ? &search->known_used : &search->unknown_used;
    if (~*used == 0 && !known)
        unknown_settle(search);
    if (~*used == 0) {
        search->why = known ? "too many operations open at once" : "too many unknown outcomes";
        return JUDGE_E_UNDECIDED;
    }
    uint32_t slot = (uint32_t)__builtin_ctzll(~*used);
    *used |= UINT64_C(1) << slot;
    (known ? search->known : search->unknown)[slot] = number;
    if (!known)
        return 0;
    struct configuration_set *set = &search->sets[search->current];
    struct configuration_set *kept = &search->sets[1 - search->current];
    set_clear(kept);
    for (uint32_t i = 0; i < set->count; i++) {
        struct configuration c = set->items[i];
        if (c.dead)
            continue;
        int r = take_effectless(search, &c);
        r = r ? r : set_put(search, kept, c);
        if (r)
            return r;
    }
    search->current = 1 - search->current;
    return 0;
}

static int on_return(struct search *search, uint32_t number)
{
    uint32_t slot = 0;
    while (!(search->known_used >> slot & 1) || search->known[slot] != number)
        slot++;
    uint64_t bit = UINT64_C(1) << slot;
    struct configuration_set *set = &search->sets[search->current];
    struct configuration_set *kept = &search->sets[1 - search->current];
    set_clear(kept);
    for (uint32_t i = 0; i < set->count; i++) {
        struct configuration c = set->items[i];
        if (c.dead)
            continue;
        int r;
        if (c.known & bit) {
            c.known &= ~bit;
            r = set_put(search, kept, c);
        } else {
            r = expand(search, set, c);
        }
        if (r)
            return r;
    }
    search->known_used &= ~bit;
    search->current = 1 - search->current;
    return kept->count ? 0 : JUDGE_E_VIOLATION;
}

static int moment_compare(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->is_return != b->is_return)
        return a->is_return ? 1 : -1;
    return a->op < b->op ? -1 : a->op > b->op;
}

/* Calls and returns of the operations that matter, in the order of time. */
static uint32_t moments_collect(const struct history *history, const struct history_object *object,
                                struct moment *moments)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < object->op_count; i++) {
        uint32_t number = object->ops[i];
        const struct history_op *op = &history->ops[number];
        bool reads = op->kind == JUDGE_GET || op->kind == JUDGE_MGET;
        if (op->outcome == HISTORY_FAILED || (op->outcome == HISTORY_UNKNOWN && reads))
            continue;
        moments[count++] = (struct moment){op->call_time, number, false};
        if (op->outcome == HISTORY_KNOWN)
            moments[count++] = (struct moment){op->return_time, number, true};
    }
    qsort(moments, count, sizeof *moments, moment_compare);
    return count;
}

static int search_object(struct search *search, const struct history_object *object,
                         struct moment *moments, uint32_t *op)
{
    search->known_used = search->unknown_used = 0;
    search->steps = 0;
    search->current = 0;
    set_clear(&search->sets[0]);
    uint32_t empty = history_state_empty(search->history);
    if (empty == HISTORY_NONE)
        return -ENOMEM;
    int r = set_put(search, &search->sets[0], (struct configuration){.state = empty});
    uint32_t count = moments_collect(search->history, object, moments);
    for (uint32_t i = 0; i < count && r == 0; i++) {
        *op = moments[i].op;
        search->now = moments[i].time;
        r = moments[i].is_return ? on_return(search, *op) : on_call(search, *op);
    }
    if (r == JUDGE_E_VIOLATION)
        search->why = "no order of the operations explains this result";
    return r;
}

int judge_run(struct judge *judge, struct judge_verdict *verdict)
{
    struct history *history = &judge->history;
    struct search search = {.history = history, .options = &judge->options};
    memset(verdict, 0, sizeof *verdict);
    struct moment *moments = calloc((size_t)history->op_count * 2 + 1, sizeof *moments);
    int r = moments ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < 2 && r == 0; i++)
        r = set_grow(&search.sets[i]);
    for (uint32_t i = 0; i < history->object_count && r == 0; i++) {
        verdict->object = i;
        r = search_object(&search, &history->objects[i], moments, &verdict->op);
        verdict->steps += search.steps;
    }
    verdict->peak = search.peak;
    verdict->why = search.why;
    verdict->op_count = history->op_count;
    for (uint32_t i = 0; i < history->op_count; i++)
        verdict->unresolved += history->ops[i].outcome == HISTORY_UNKNOWN;
    for (uint32_t i = 0; i < 2; i++) {
        free(search.sets[i].items);
        free(search.sets[i].heads);
    }
    free(moments);
    return r;
}

void judge_explain(const struct judge *judge, const struct judge_verdict *verdict, FILE *out)
{
    const struct history *history = &judge->history;
    if (!verdict->why || verdict->object >= history->object_count)
        return;
    const struct history_object *object = &history->objects[verdict->object];
    const struct history_op *failed = &history->ops[verdict->op];
    size_t size;
    const char *name = intern_at(&history->values, object->name, &size);
    (void)fprintf(out, "object %.*s: %s\n", (int)size, name, verdict->why);
    uint32_t first = 0;
    for (uint32_t i = 0; i < object->op_count; i++)
        if (object->ops[i] == verdict->op)
            first = i > 60 ? i - 60 : 0;
    for (uint32_t i = first; i < object->op_count; i++) {
        if (history->ops[object->ops[i]].call_time > failed->return_time)
            break;
        (void)fputs(object->ops[i] == verdict->op ? ">>> " : "    ", out);
        history_print_op(history, object->ops[i], out);
    }
    (void)fputs("    Unknown outcomes before that:\n", out);
    for (uint32_t i = 0; i < first; i++)
        if (history->ops[object->ops[i]].outcome == HISTORY_UNKNOWN) {
            (void)fputs("    ", out);
            history_print_op(history, object->ops[i], out);
        }
}
