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

int engine_snapshot(struct engine *engine, const char *path)
{
    struct engine_options options = {.sync = ENGINE_SYNC_NONE};
    struct engine *target = NULL;
    char part[PATH_SIZE];
    int r;

    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return -ENAMETOOLONG;
    r = engine_folder_new(path, part);
    if (r != 0)
        return r;
    r = engine_open(&target, part, &options);
    if (r == 0)
        r = copy_all(engine, target);
    if (target) {
        int closed = engine_close(target);

        r = r == 0 ? closed : r;
    }
    if (r == 0)
        r = engine_folder_move(part, path);
    if (r != 0)
        engine_folder_remove(part);
    return r;
}
