/* Snapshots: a cursor's records put into an engine of their own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/engine_state.h"

#define PATH_SIZE 4096u

static int copy_all(struct engine *engine, struct engine *target)
{
    struct engine_cursor *cursor;
    struct engine_item item;
    int r = engine_scan_unordered(engine, &cursor);

    if (r != 0)
        return r;
    while ((r = engine_cursor_next(cursor, &item)) == 0) {
        r = engine_put(target, item.key, item.key_size, item.value, item.value_size);
        if (r != 0)
            break;
    }
    engine_cursor_close(cursor);
    return r == ENGINE_E_ABSENT ? 0 : r;
}

/* The whole copy, as a folder that nobody opens by accident. */
static int copy_make(struct engine *engine, const char *folder)
{
    struct engine_options options = {.sync = ENGINE_SYNC_NONE};
    struct engine *target;
    int closed, r;

    engine_pack_options(engine, &options);
    r = engine_open(&target, folder, &options);
    if (r != 0)
        return r;
    r = copy_all(engine, target);
    closed = engine_close(target);
    return r == 0 ? closed : r;
}

int engine_snapshot(struct engine *engine, const char *path)
{
    char part[PATH_SIZE], unfinished[PATH_SIZE];
    int lock, r;

    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part ||
        (size_t)snprintf(unfinished, sizeof unfinished, "%s.part/unfinished-snapshot", path) >=
            sizeof unfinished)
        return -ENAMETOOLONG;
    r = engine_part_open(path, part, unfinished, &lock);
    if (r != 0)
        return r;
    r = copy_make(engine, unfinished);
    if (r == 0)
        r = engine_folder_move(unfinished, path);
    engine_part_close(part, unfinished, lock);
    return r;
}
