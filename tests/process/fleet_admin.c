/* What scenarios ask of ring-admin, and what they require of its answers. */
#include "tests/process/fleet.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#define TEXT_SIZE (256u << 10)
#define WORDS_MAX 8u
#define SOON_MS   30000u

static char text[TEXT_SIZE], errors[TEXT_SIZE];

/* It changes nothing, and tells of what may still be on its way to those who are asked. */
static bool only_looks(const char *const *words)
{
    return (strcmp(words[0], "moves") == 0 && !words[1]) || strcmp(words[0], "doctor") == 0;
}

const char *fleet_expect(struct fleet *fleet, int code, const char *said, ...)
{
    const char *words[WORDS_MAX + 1] = {NULL};
    uint64_t until_ns = now_ns() + (uint64_t)SOON_MS * 1000000;
    size_t count = 0;
    bool does_say;
    va_list list;
    int r;

    va_start(list, said);
    while (count < WORDS_MAX && (words[count] = va_arg(list, const char *)))
        count++;
    va_end(list);
    for (;;) {
        r = fleet_admin_both(fleet, text, errors, sizeof text, words);
        does_say = strstr(text, said) || strstr(errors, said);
        if ((r == code && does_say) || !only_looks(words) || now_ns() > until_ns)
            break;
        pause_ms(200);
    }
    REQUIRE(r == code, "ring-admin %s: exit code %d, not %d: %s%s", words[0], r, code, text,
            errors);
    REQUIRE(does_say, "ring-admin %s does not say \"%s\": %s%s", words[0], said, text, errors);
    return text;
}

uint32_t fleet_replicas(struct fleet *fleet, uint32_t id)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"status", NULL}), *row;
    uint32_t replicas = 0;
    size_t i;

    json_array_foreach(json_object_get(root, "nodes"), i, row)
    {
        if (json_integer_value(json_object_get(row, "id")) == (json_int_t)id)
            replicas = (uint32_t)json_integer_value(json_object_get(row, "replicas"));
    }
    json_decref(root);
    return replicas;
}

static bool is_dead(struct fleet *fleet, uint32_t id)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"members", NULL}), *row;
    bool dead = false;
    size_t i;

    json_array_foreach(json_object_get(root, "members"), i, row)
    {
        const char *standing = json_string_value(json_object_get(row, "liveness"));

        dead |= json_integer_value(json_object_get(row, "id")) == (json_int_t)id && standing &&
                strcmp(standing, "dead") == 0;
    }
    json_decref(root);
    return dead;
}

void fleet_wait_dead(struct fleet *fleet, uint32_t id, uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;

    while (!is_dead(fleet, id)) {
        REQUIRE(now_ns() < until_ns, "node %u is never held dead, see %s", id, fleet->folder);
        pause_ms(100);
    }
}
