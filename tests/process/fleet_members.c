/* Nodes that come and go while the fleet runs. */
#include "tests/process/fleet.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

uint32_t fleet_join_node(struct fleet *fleet)
{
    uint32_t k = fleet->node_count;

    REQUIRE(k < FLEET_NODES_MAX, "too many nodes");
    child_init(&fleet->nodes[k]);
    fleet->joins[k] = true;
    fleet_start_node(fleet, k);
    fleet->node_count++;
    return k;
}

void fleet_wait_left(struct fleet *fleet, uint32_t k, uint32_t timeout_ms)
{
    struct child *node = &fleet->nodes[k];
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;

    while (!child_reap(node)) {
        REQUIRE(now_ns() < until_ns, "node-%u does not end, see %s/node-%u.log", k + 1,
                fleet->folder, k + 1);
        pause_ms(5);
    }
    REQUIRE(WIFEXITED(node->status) && WEXITSTATUS(node->status) == 0,
            "node-%u ended with status %d, see %s/node-%u.log", k + 1, node->status, fleet->folder,
            k + 1);
    fleet->left[k] = true;
}

struct json_t *fleet_ask(struct fleet *fleet, int want, const char *const *words)
{
    static char text[256u << 10];
    const char *all[16] = {NULL};
    size_t count = 0;
    json_error_t error;
    json_t *root;
    int code;

    for (; words[count]; count++) {
        REQUIRE(count + 3 < sizeof all / sizeof *all, "too many words");
        all[count] = words[count];
    }
    all[count++] = "-o";
    all[count++] = "json";
    code = fleet_admin(fleet, text, sizeof text, all);
    REQUIRE(code == want, "ring-admin %s: exit code %d: %s", words[0], code, text);
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, text);
    return root;
}

uint32_t fleet_meta_leader(struct fleet *fleet)
{
    json_t *root = fleet_ask(fleet, 0, (const char *[]){"status", NULL});
    json_int_t member = json_integer_value(json_object_get(root, "meta_leader"));

    json_decref(root);
    return (uint32_t)member;
}

uint32_t fleet_wait_meta_leader(struct fleet *fleet, uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;
    uint32_t member;

    while ((member = fleet_meta_leader(fleet)) == 0) {
        REQUIRE(now_ns() < until_ns, "the meta group has no leader");
        pause_ms(50);
    }
    return member;
}

void fleet_admin_start(struct fleet *fleet, struct child *admin, const char *name,
                       const char *const *words)
{
    char program[PATH_MAX], log[PATH_MAX], text[512];
    const char *first[] = {"/bin/sh",
                           "-c",
                           "exec \"$0\" \"$@\" 1>&2",
                           program_path("ring-admin", program),
                           "--ticket",
                           fleet->ticket,
                           "--seeds",
                           fleet_seeds(fleet, text)};

    child_init(admin);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        REQUIRE(child_add(admin, first[i]) == 0, "no memory");
    for (; *words; words++)
        REQUIRE(child_add(admin, *words) == 0, "no memory");
    REQUIRE(child_start(admin, fleet_path(fleet, name, ".log", log)) == 0, "%s", log);
}

int fleet_admin_end(struct fleet *fleet, struct child *admin, uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;
    int status;

    while (!child_reap(admin)) {
        REQUIRE(now_ns() < until_ns, "ring-admin %s does not end, see %s", admin->argv[8],
                fleet->folder);
        pause_ms(5);
    }
    status = admin->status;
    child_deinit(admin);
    REQUIRE(WIFEXITED(status), "ring-admin ended with status %d, see %s", status, fleet->folder);
    return WEXITSTATUS(status);
}

void fleet_state(struct fleet *fleet, const char *address, char state[16])
{
    static char text[64u << 10];
    json_t *root, *members, *row;
    json_error_t error;
    size_t i;

    state[0] = 0;
    if (fleet_admin(fleet, text, sizeof text, (const char *[]){"members", "-o", "json", NULL}) != 0)
        return;
    root = json_loads(text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, text);
    members = json_object_get(root, "members");
    json_array_foreach(members, i, row)
    {
        const char *is = json_string_value(json_object_get(row, "state"));
        const char *at = json_string_value(json_object_get(row, "address"));

        if (is && at && strcmp(at, address) == 0 && strcmp(is, "removed") != 0)
            snprintf(state, 16, "%s", is);
    }
    json_decref(root);
}

void fleet_wait_state(struct fleet *fleet, const char *address, const char *state,
                      uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;
    char is[16];

    for (;;) {
        fleet_state(fleet, address, is);
        if (strcmp(is, state) == 0)
            return;
        REQUIRE(now_ns() < until_ns, "%s is \"%s\", not %s, see %s", address, is, state,
                fleet->folder);
        pause_ms(20);
    }
}

bool fleet_log_says(const struct fleet *fleet, const char *name, const char *words)
{
    char path[PATH_MAX], line[2048];
    FILE *file = fopen(fleet_path(fleet, name, ".log", path), "re");
    bool says = false;

    REQUIRE(file, "%s", path);
    while (!says && fgets(line, sizeof line, file))
        says = strstr(line, words) != NULL;
    fclose(file);
    return says;
}

void fleet_wait_log(const struct fleet *fleet, const char *name, const char *words,
                    uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;

    while (!fleet_log_says(fleet, name, words)) {
        REQUIRE(now_ns() < until_ns, "no \"%s\" in %s/%s.log", words, fleet->folder, name);
        pause_ms(1);
    }
}
