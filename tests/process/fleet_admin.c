/* What scenarios ask of ring-admin, and what they require of its answers. */
#include "tests/process/fleet.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE (256u << 10)
#define WORDS_MAX 8u

static char text[TEXT_SIZE], errors[TEXT_SIZE];

const char *fleet_expect(struct fleet *fleet, int code, const char *said, ...)
{
    const char *words[WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    va_list list;
    int r;

    va_start(list, said);
    while (count < WORDS_MAX && (words[count] = va_arg(list, const char *)))
        count++;
    va_end(list);
    r = fleet_admin_both(fleet, text, errors, sizeof text, words);
    REQUIRE(r == code, "ring-admin %s: exit code %d, not %d: %s%s", words[0], r, code, text,
            errors);
    REQUIRE(strstr(text, said) || strstr(errors, said), "ring-admin %s does not say \"%s\": %s%s",
            words[0], said, text, errors);
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
