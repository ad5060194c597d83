#include "cli/changes.h"

#include "cli/options.h"
#include "cli/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const struct view *view;
    char *const *words;
    unsigned count;
    unsigned at; /* the next word */
    struct staged *staged;
    char *why;
};

static int refuse(struct parser *parser, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct parser *parser, int result, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(parser->why, CHANGES_WHY_SIZE, format, list);
    va_end(list);
    return result;
}

/* What STAGED_E_* means for this change. */
static int refuse_staged(struct parser *parser, int result, const struct staged_change *change)
{
    const struct ringmap_member *member = ringmap_member(&parser->view->map, change->member);
    const char *word = staged_op_name(change->op);

    if (result == STAGED_E_FULL)
        return refuse(parser, CHANGES_E_REFUSED, "%s: at most %u changes at once", word,
                      STAGED_MAX);
    if (result == STAGED_E_NOBODY)
        return refuse(parser, CHANGES_E_REFUSED, "%s: no node would be left", word);
    if (result == STAGED_E_VALUE)
        return refuse(parser, CHANGES_E_USAGE, "%s: this value cannot be", word);
    if (member->state == RINGMAP_STATE_REMOVED && change->op == STAGED_LEAVE)
        return refuse(parser, CHANGES_E_REFUSED,
                      "leave: node %u was removed; whether it can be missed: ring-admin leave %u",
                      member->id, member->id);
    if (member->state == RINGMAP_STATE_REMOVED)
        return refuse(parser, CHANGES_E_REFUSED, "%s: node %u was removed", word, member->id);
    if (change->op == STAGED_JOIN)
        return refuse(parser, CHANGES_E_REFUSED,
                      "%s: node %u is a member already, and takes what it is to hold with any plan",
                      word, member->id);
    return refuse(parser, CHANGES_E_REFUSED, "%s: node %u is leaving already", word, member->id);
}

static int stage(struct parser *parser, const struct staged_change *change)
{
    int r = staged_add(parser->staged, &parser->view->map, change);

    return r == 0 ? CHANGES_E_OK : refuse_staged(parser, r, change);
}

static const char *next(struct parser *parser)
{
    return parser->at < parser->count ? parser->words[parser->at++] : NULL;
}

static uint8_t state_of(const struct parser *parser, const struct view_node *node)
{
    return ringmap_member(&parser->view->map, node->id)->state;
}

/* The next word names a member, or several at one address. */
static int take_found(struct parser *parser, const char *verb, struct view_found *found)
{
    const char *word = next(parser);

    if (!word)
        return refuse(parser, CHANGES_E_USAGE, "%s: NODE is missing", verb);
    if (view_find(parser->view, word, found) == VIEW_FIND_E_NONE)
        return refuse(parser, CHANGES_E_USAGE,
                      "%s %s: no node has this id or address; see `ring-admin members`", verb,
                      word);
    return CHANGES_E_OK;
}

/* Of several at an address the first that is joining, or that is not. */
static uint16_t likely(const struct parser *parser, const struct view_found *found, bool joining)
{
    for (uint32_t i = 0; i < found->count; i++)
        if ((state_of(parser, found->nodes[i]) == RINGMAP_STATE_JOINING) == joining)
            return found->nodes[i]->id;
    return found->nodes[0]->id;
}

static int refuse_several(struct parser *parser, const char *verb, const struct view_found *found,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Nothing is guessed, as a wrong guess would remove the wrong one for ever; but the command that is
 * likely to be meant is named. */
static int refuse_several(struct parser *parser, const char *verb, const struct view_found *found,
                          const char *format, ...)
{
    char text[VIEW_FOUND_TEXT_SIZE], command[64];
    va_list list;

    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    view_found_text(parser->view, found, text, sizeof text);
    return refuse(parser, CHANGES_E_USAGE,
                  "%s: %s have one address; say which by its id: ring-admin %s", verb, text,
                  command);
}

/* As people type it; what is behind the node is left to them. */
static const char *command_of(const char *verb)
{
    if (strcmp(verb, "join") == 0)
        return "commit --auto join";
    return strcmp(verb, "remove") == 0 ? "remove --force" : verb;
}

/* The next word names a member. */
static int take_node(struct parser *parser, const char *verb, const struct view_node **node)
{
    struct view_found found;
    int r = take_found(parser, verb, &found);

    if (r == 0 && found.count > 1)
        r = refuse_several(parser, verb, &found, "%s %u", command_of(verb),
                           likely(parser, &found, strcmp(verb, "join") == 0));
    if (r == 0)
        *node = found.nodes[0];
    return r;
}

static int take_number(struct parser *parser, const char *verb, const char *name, uint32_t max,
                       uint32_t *number)
{
    const char *word = next(parser);
    char *end;
    unsigned long value;

    if (!word)
        return refuse(parser, CHANGES_E_USAGE, "%s: %s is missing", verb, name);
    errno = 0;
    value = strtoul(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != 0 || errno != 0 || value < 1 || value > max)
        return refuse(parser, CHANGES_E_USAGE, "%s: %s is no number from 1 to %u", verb, word, max);
    *number = (uint32_t)value;
    return CHANGES_E_OK;
}

/* --- the changes --------------------------------------------------------------------------- */

static int is_verb(const char *word);

static int parse_join(struct parser *parser)
{
    do {
        const struct view_node *node;
        int r = take_node(parser, "join", &node);

        if (r == 0)
            r = stage(parser, &(struct staged_change){.op = STAGED_JOIN, .member = node->id});
        if (r != 0)
            return r;
    } while (parser->at < parser->count && is_verb(parser->words[parser->at]) < 0);
    return CHANGES_E_OK;
}

static int stage_leave(struct parser *parser, const struct view_node *node)
{
    bool holds = state_of(parser, node) != RINGMAP_STATE_JOINING;

    return stage(parser, &(struct staged_change){.op = holds ? STAGED_LEAVE : STAGED_REMOVE,
                                                 .member = node->id});
}

static bool is_removed(const struct parser *parser, const struct view_node *node)
{
    return state_of(parser, node) == RINGMAP_STATE_REMOVED;
}

static int parse_leave(struct parser *parser)
{
    const struct view_node *node;
    int r = take_node(parser, "leave", &node);

    if (r != 0)
        return r;
    r = stage_leave(parser, node);
    if (r != 0 || node->reachable)
        return r;
    /* Who was killed a moment ago is still thought alive by others, and hands nothing over. */
    *parser->staged = (struct staged){
        .changes = {{.op = STAGED_LEAVE, .member = node->id}},
        .count = 1,
    };
    return refuse(parser, CHANGES_E_DOWN, "leave: node %u (%s) %s", node->id, node->address,
                  view_is_alive(node) ? "does not answer, though others have heard of it lately"
                                      : "is not alive, and can hand nothing over");
}

static int parse_replace(struct parser *parser)
{
    struct view_found olds, news;
    const struct view_node *old, *new;
    int r = take_found(parser, "replace", &olds);

    if (r == 0)
        r = take_found(parser, "replace", &news);
    if (r == 0 && (olds.count > 1 || news.count > 1))
        r = refuse_several(parser, "replace", olds.count > 1 ? &olds : &news, "replace %u %u",
                           likely(parser, &olds, false), likely(parser, &news, true));
    if (r != 0)
        return r;
    old = olds.nodes[0];
    new = news.nodes[0];
    if (is_removed(parser, old) || is_removed(parser, new))
        return refuse(parser, CHANGES_E_REFUSED, "replace: node %u was removed",
                      is_removed(parser, old) ? old->id : new->id);
    if (old == new)
        r = refuse(parser, CHANGES_E_USAGE, "replace: node %u cannot replace itself", old->id);
    if (r == 0 && ringmap_takes_part(state_of(parser, new)))
        r = refuse(parser, CHANGES_E_REFUSED,
                   "replace: node %u is a member already, and NEW is one that is joining; without "
                   "one the members share what node %u holds: ring-admin %s %u",
                   new->id, old->id, view_is_alive(old) ? "leave" : "remove --force", old->id);
    if (r == 0)
        r = stage(parser, &(struct staged_change){.op = STAGED_JOIN, .member = new->id});
    if (r == 0 && view_is_alive(old))
        r = stage_leave(parser, old);
    else if (r == 0)
        r = stage(parser, &(struct staged_change){.op = STAGED_REMOVE, .member = old->id});
    return r;
}

static int parse_remove(struct parser *parser)
{
    const struct view_node *node;
    int r = take_node(parser, "remove", &node);

    if (r != 0)
        return r;
    if (view_is_alive(node) && state_of(parser, node) != RINGMAP_STATE_REMOVED)
        return refuse(
            parser, CHANGES_E_REFUSED,
            node->reachable
                ? "remove: node %u (%s) answers: let it leave (`ring-admin leave %u`), or "
                  "stop it before it is removed by force"
                : "remove: node %u (%s) is heard of by others: if it was lost just now, "
                  "ask again in some seconds; else stop node %u before it is removed by "
                  "force",
            node->id, node->address, node->id);
    return stage(parser, &(struct staged_change){.op = STAGED_REMOVE, .member = node->id});
}

static int parse_weight(struct parser *parser)
{
    const struct view_node *node;
    uint32_t weight = 0;
    int r = take_node(parser, "weight", &node);

    if (r == 0 && parser->at < parser->count && strcmp(parser->words[parser->at], "0") == 0)
        return refuse(parser, CHANGES_E_USAGE,
                      "weight: 0 is no number from 1 to %u; a node that is to hold nothing leaves: "
                      "ring-admin leave %u",
                      RINGMAP_WEIGHT_MAX, node->id);
    if (r == 0)
        r = take_number(parser, "weight", "W", RINGMAP_WEIGHT_MAX, &weight);
    return r == 0 ? stage(parser, &(struct staged_change){.op = STAGED_WEIGHT,
                                                          .member = node->id,
                                                          .value = weight})
                  : r;
}

static int parse_zone(struct parser *parser)
{
    struct staged_change change = {.op = STAGED_ZONE};
    const struct view_node *node;
    const char *zone;
    int r = take_node(parser, "zone", &node);

    if (r != 0)
        return r;
    zone = next(parser);
    if (!zone)
        return refuse(parser, CHANGES_E_USAGE, "zone: Z is missing");
    change.member = node->id;
    if (strcmp(zone, "-") == 0)
        return stage(parser, &change);
    if (!ringmap_is_zone(zone))
        return refuse(parser, CHANGES_E_USAGE,
                      "zone: Z is 1 to %u printable characters of ASCII, as rack-a; or -: no zone",
                      RINGMAP_ZONE_SIZE - 1);
    memcpy(change.zone, zone, strlen(zone));
    return stage(parser, &change);
}

static int parse_replicas(struct parser *parser)
{
    uint32_t replicas = 0;
    int r = take_number(parser, "replicas", "N", RINGMAP_REPLICAS_MAX, &replicas);

    return r == 0 ? stage(parser, &(struct staged_change){.op = STAGED_REPLICAS, .value = replicas})
                  : r;
}

static int parse_share_zones(struct parser *parser)
{
    parser->staged->shares_zones = true;
    return CHANGES_E_OK;
}

static const struct verb {
    const char *word;
    int (*parse)(struct parser *parser);
} verbs[] = {{"join", parse_join},         {"leave", parse_leave},
             {"replace", parse_replace},   {"remove", parse_remove},
             {"weight", parse_weight},     {"zone", parse_zone},
             {"replicas", parse_replicas}, {"share-zones", parse_share_zones}};
#define VERB_COUNT (sizeof verbs / sizeof *verbs)

/* Its index, -1: none. */
static int is_verb(const char *word)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].word, word) == 0)
            return (int)i;
    return -1;
}

static int refuse_word(struct parser *parser, const char *word)
{
    const char *names[VERB_COUNT], *meant;

    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i].word;
    meant = options_nearest(word, names, VERB_COUNT);
    return refuse(parser, CHANGES_E_USAGE, "%s: no change; %s%s%s", word,
                  meant ? "did you mean "
                        : "join, leave, replace, remove, weight, zone, replicas or share-zones",
                  meant ? meant : " is needed", meant ? "?" : "");
}

static int join_all(struct parser *parser)
{
    const struct ringmap *map = &parser->view->map;
    int r = CHANGES_E_OK;

    for (uint32_t i = 0; i < map->member_count && r == 0; i++)
        if (map->members[i].state == RINGMAP_STATE_JOINING)
            r = stage(parser,
                      &(struct staged_change){.op = STAGED_JOIN, .member = map->members[i].id});
    return r;
}

/* One that a plan may wait for in vain: who is dead, or has a shard that nothing arrives in. */
static bool takes_out_broken(const struct parser *parser, const struct staged_change *change)
{
    const struct view_node *node;

    if (change->op != STAGED_REMOVE && change->op != STAGED_LEAVE)
        return false;
    node = view_node(parser->view, change->member);
    return view_is_lost(node) || (change->op == STAGED_REMOVE && !view_is_alive(node));
}

/* Of what was parsed so: whether it may take the place of a plan under way. What is refused is told
 * for its own sake when it would have removed somebody. */
static bool may_overtake(const struct parser *parser, int result)
{
    const struct staged *staged = parser->staged;

    for (uint32_t i = 0; result == CHANGES_E_OK && i < staged->count; i++)
        if (takes_out_broken(parser, &staged->changes[i]))
            return true;
    for (unsigned i = 0; result == CHANGES_E_REFUSED && i < parser->count; i++)
        if (strcmp(parser->words[i], "remove") == 0 || strcmp(parser->words[i], "replace") == 0)
            return true;
    return false;
}

int changes_parse(const struct view *view, char *const *words, unsigned count,
                  struct staged *staged, char why[CHANGES_WHY_SIZE])
{
    struct parser parser = {.view = view, .words = words, .count = count, .why = why};
    struct staged asked = {.count = 0};
    int r = CHANGES_E_OK;

    parser.staged = &asked;
    while (r == 0 && parser.at < count) {
        const char *word = next(&parser);
        int verb = is_verb(word);

        r = verb < 0 ? refuse_word(&parser, word) : verbs[verb].parse(&parser);
    }
    if (r == 0 && asked.count == 0)
        r = join_all(&parser);
    if ((r == CHANGES_E_OK || r == CHANGES_E_REFUSED || r == CHANGES_E_DOWN) &&
        ringmap_moving(&view->map) && !may_overtake(&parser, r))
        return CHANGES_E_MOVING;
    if (r == CHANGES_E_OK || r == CHANGES_E_DOWN)
        *staged = asked;
    return r;
}

void changes_words(char *const *words, unsigned count, char text[CHANGES_WORDS_SIZE])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:@%+=,-";
    struct text out = {text, CHANGES_WORDS_SIZE, 0};

    text[0] = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *word = words[i];

        text_add(&out, "%s", i > 0 ? " " : "");
        if (word[0] != 0 && word[strspn(word, plain)] == 0) {
            text_add(&out, "%s", word);
            continue;
        }
        text_add(&out, "'");
        for (; *word; word++) {
            if (*word == '\'')
                text_add(&out, "'\\''");
            else
                text_add(&out, "%c", *word);
        }
        text_add(&out, "'");
    }
}

void changes_joined(const struct staged *staged, char text[CHANGES_WORDS_SIZE])
{
    struct text out = {text, CHANGES_WORDS_SIZE, 0};

    if (text[0] != 0 || staged->count == 0)
        return;
    text_add(&out, "join");
    for (uint32_t i = 0; i < staged->count; i++)
        text_add(&out, " %u", staged->changes[i].member);
}
