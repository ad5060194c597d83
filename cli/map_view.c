#include "cli/map_view.h"

#include "cli/view.h"
#include "replication/node_file.h"
#include "ring/ringmap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct output_column fields[] = {
    {"epoch", "epoch", OUTPUT_NUMBER},
    {"founding", "founding", OUTPUT_TEXT},
    {"partitions", "partitions", OUTPUT_NUMBER},
    {"replicas", "replicas", OUTPUT_NUMBER},
    {"meta_voters", "meta voters", OUTPUT_LIST},
    {"data_keys", "data keys", OUTPUT_LIST},
    {"plan", "plan", OUTPUT_TEXT},
    {"paused", "paused", OUTPUT_BOOL},
    {"move_rate_mib", "move rate MiB", OUTPUT_NUMBER},
};
static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},     {"address", "ADDRESS", OUTPUT_TEXT},
    {"zone", "ZONE", OUTPUT_TEXT},   {"weight", "WEIGHT", OUTPUT_NUMBER},
    {"state", "STATE", OUTPUT_TEXT}, {"data_keys", "DATA KEYS", OUTPUT_NUMBER},
};

static const struct node_file_kind *kind_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (strcmp(name, node_file_map.name) == 0)
        return &node_file_map;
    return strcmp(name, node_file_genesis.name) == 0 ? &node_file_genesis : NULL;
}

bool map_view_is_for(const char *path)
{
    return kind_of(path) != NULL;
}

/* 0, -EBADMSG, -EPROTO or -errno. */
static int load(const char *path, struct ringmap *map, uint16_t *state)
{
    const struct node_file_kind *kind = kind_of(path);
    char folder[PATH_MAX];
    struct node_file file;
    struct vfs *vfs;
    size_t length = strlen(path) - strlen(kind->name);
    int r;

    if (length + 2 > sizeof folder)
        return -ENAMETOOLONG;
    snprintf(folder, sizeof folder, "%.*s.", (int)length, path);
    r = vfs_posix_open(&vfs, folder);
    if (r != 0)
        return r;
    r = node_file_read(vfs, kind, &file);
    vfs_posix_close(vfs);
    if (r != 0)
        return r;
    *state = file.state;
    r = ringmap_decode(file.blob, file.size, map);
    free(file.blob);
    return r > 0 ? -EBADMSG : r;
}

static void put_fields(struct output *output, const struct ringmap *map, uint16_t state)
{
    static const char *const founding[] = {"",     "prepared",          "committed",
                                           "done", "committed, joined", "done, joined"};
    struct output_value voters = {.list_count = map->meta_voter_count};
    struct output_value keys = {.list_count = map->key_count};

    for (uint32_t i = 0; i < map->meta_voter_count; i++)
        voters.list[i] = map->meta_voters[i];
    for (uint32_t i = 0; i < map->key_count; i++)
        keys.list[i] = map->key_ids[i];
    output_field(output, &fields[0], (struct output_value){.number = map->epoch});
    if (state > 0 && state < sizeof founding / sizeof *founding)
        output_field(output, &fields[1], (struct output_value){.text = founding[state]});
    output_field(output, &fields[2], (struct output_value){.number = map->partition_count});
    output_field(output, &fields[3], (struct output_value){.number = ringmap_copies(map)});
    output_field(output, &fields[4], voters);
    if (map->key_count > 0)
        output_field(output, &fields[5], keys);
    if (ringmap_moving(map))
        output_field(output, &fields[6], (struct output_value){.text = "under way"});
    if (map->paused)
        output_field(output, &fields[7], (struct output_value){.number = 1});
    if (map->move_rate > 0)
        output_field(output, &fields[8], (struct output_value){.number = map->move_rate});
}

/* For which the member has a box. */
static struct output_value keys_of(const struct ringmap *map, uint16_t id)
{
    struct output_value value = {.absent = map->key_count == 0};

    for (uint32_t key = 0; key < map->key_count; key++)
        value.number += ringmap_box(map, key, id) != NULL;
    return value;
}

static void put_members(struct output *output, const struct ringmap *map)
{
    output_table(output, "members", columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        output_row(output, (const struct output_value[]){{.number = member->id},
                                                         {.text = member->address},
                                                         {.text = member->zone},
                                                         {.number = member->weight},
                                                         {.text = view_state_name(member->state)},
                                                         keys_of(map, member->id)});
    }
}

static enum exit_code print(const struct arguments *arguments, const struct ringmap *map,
                            uint16_t state, enum output_format format)
{
    struct output *output = output_new(format);
    int r = output ? 0 : -ENOMEM;

    if (r == 0) {
        put_fields(output, map, state);
        put_members(output, map);
        r = output_print(output, stdout);
    }
    output_free(output);
    if (r == 0)
        return EXIT_CODE_OK;
    arguments_error(arguments, "%s", strerror(-r));
    return EXIT_CODE_FAILED;
}

enum exit_code map_view(const struct arguments *arguments, const char *path,
                        enum output_format format)
{
    struct ringmap map;
    uint16_t state = 0;
    enum exit_code code;
    int r = load(path, &map, &state);

    if (r == 0) {
        code = print(arguments, &map, state, format);
        ringmap_deinit(&map);
        return code;
    }
    if (r == -EPROTO) {
        arguments_error(arguments, "%s: of a newer format; use the newer version", path);
        return EXIT_CODE_CONFLICT;
    }
    if (r == -EBADMSG)
        arguments_error(arguments, "%s is damaged", path);
    else
        arguments_error(arguments, "%s: %s", path, strerror(-r));
    return EXIT_CODE_FAILED;
}
