/* The store inside a program: counts how often it was started, and what it was told.
 *
 *   cc embed.c $(pkg-config --cflags --libs ringcask-storage) -o embed && ./embed /tmp/words a b a
 */
#include <ringcask/engine.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;

/* Ends the program with one line when something went wrong. */
static int check(int r)
{
    char text[ENGINE_TEXT_SIZE];

    if (r == 0 || r == ENGINE_E_ABSENT)
        return r;
    engine_error_text(r, folder, text, sizeof text);
    fprintf(stderr, "embed: %s\n", text);
    exit(1);
}

int main(int argc, char **argv)
{
    struct engine_options options = {.ordered = true}; /* durable when a call returns */
    struct engine_value value = {0};
    struct engine_cursor *cursor;
    struct engine_item item;
    struct engine *engine;

    if (argc < 2)
        return 2;
    folder = argv[1];
    check(engine_open(&engine, folder, &options));
    for (int i = 2; i < argc; i++) {
        unsigned count = 0;

        if (check(engine_get(engine, argv[i], strlen(argv[i]), &value)) == 0)
            memcpy(&count, value.bytes, sizeof count);
        count++;
        /* On the disk when it returns: a power cut right behind it does no harm. */
        check(engine_put(engine, argv[i], strlen(argv[i]), &count, sizeof count));
    }
    check(engine_scan(engine, NULL, &cursor)); /* the state of this moment, by key */
    while (check(engine_cursor_next(cursor, &item)) == 0) {
        unsigned count;

        memcpy(&count, item.value, sizeof count);
        printf("%.*s %u\n", (int)item.key_size, (const char *)item.key, count);
    }
    engine_cursor_close(cursor);
    engine_value_deinit(&value);
    return check(engine_close(engine));
}
