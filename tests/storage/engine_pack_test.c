/* Values that are compressed or sealed on their way to the disk. */
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/vfs.h"

#define KEYS 3000u

static const uint8_t secret[ENGINE_SECRET_SIZE] = "a secret of thirty-two bytes ...";

static int open_with(struct engine **engine, struct vfs *vfs, int level, const uint8_t *key)
{
    struct engine_options options = {
        .vfs = vfs, .segment_size = 64u << 10, .compress_level = level, .key = key};

    options.sync = ENGINE_SYNC_NONE;
    return engine_open(engine, "memory", &options);
}

static size_t value_of(uint32_t key, uint32_t version, char out[256])
{
    return (size_t)snprintf(
        out, 256,
        "{\"user\":%u,\"name\":\"Ada %u\",\"city\":\"Berlin\",\"state\":\"active\","
        "\"visits\":%u,\"tags\":[\"reader\",\"writer\"],\"plan\":\"basic\"}",
        key * 7919, key % 97, version);
}

static void put(struct engine *engine, uint32_t key, uint32_t version)
{
    char name[32], value[256];
    size_t name_size = (size_t)snprintf(name, sizeof name, "customer-%u", key);

    cr_assert_eq(engine_put(engine, name, name_size, value, value_of(key, version, value)), 0);
}

static void expect(struct engine *engine, uint32_t version)
{
    struct engine_value value = {0};

    for (uint32_t key = 0; key < KEYS; key++) {
        char name[32], wanted[256];
        size_t name_size = (size_t)snprintf(name, sizeof name, "customer-%u", key);
        size_t size = value_of(key, version, wanted);

        cr_assert_eq(engine_get(engine, name, name_size, &value), 0, "key %u", key);
        cr_assert_eq(value.size, size);
        cr_assert_eq(memcmp(value.bytes, wanted, size), 0);
    }
    engine_value_deinit(&value);
}

/* Every key once, its value whole. */
static void expect_scan(struct engine *engine, const struct engine_range *range, uint32_t version,
                        uint32_t wanted)
{
    struct engine_cursor *cursor;
    struct engine_item item;
    uint32_t count = 0;

    cr_assert_eq(engine_scan(engine, range, &cursor), 0);
    while (engine_cursor_next(cursor, &item) == 0) {
        char text[256];
        uint32_t key = (uint32_t)strtoul((const char *)item.key + 9, NULL, 10);
        size_t size = value_of(key, version, text);

        cr_assert_eq(item.value_size, size);
        cr_assert_eq(memcmp(item.value, text, size), 0);
        count++;
    }
    cr_assert_eq(count, wanted);
    engine_cursor_close(cursor);
}

static bool file_has(struct vfs *vfs, const char *path, const char *text)
{
    struct vfs_file *file;
    uint64_t size = 0;
    uint8_t *bytes;
    bool found;

    cr_assert_eq(vfs_open(vfs, path, 0, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    bytes = malloc(size + 1);
    cr_assert_eq(vfs_pread(file, bytes, size, 0), (int64_t)size);
    found = memmem(bytes, size, text, strlen(text));
    free(bytes);
    vfs_close(file);
    return found;
}

struct names {
    char items[200][64];
    unsigned count;
};

static int note(void *context, const char *name)
{
    struct names *names = context;

    cr_assert_lt(names->count, 200);
    snprintf(names->items[names->count++], 64, "shard-00/%.50s", name);
    return 0;
}

static unsigned files_with(struct vfs *vfs, const char *text, unsigned *files)
{
    struct names names = {.count = 0};
    unsigned found = 0;

    cr_assert_eq(vfs_list(vfs, "shard-00", note, &names), 0);
    for (unsigned i = 0; i < names.count; i++)
        found += file_has(vfs, names.items[i], text);
    *files = names.count;
    return found;
}

static void wait_for_dictionary(struct engine *engine)
{
    struct engine_stats stats = {0};

    for (int i = 0; i < 1000 && stats.dictionaries == 0; i++) {
        usleep(10000);
        engine_stats(engine, &stats);
    }
    cr_assert_eq(stats.dictionaries, 1);
}

static uint64_t fill(struct vfs *vfs, int level, const uint8_t *key, uint32_t lives)
{
    uint64_t appended = 0;

    for (uint32_t life = 1; life <= lives; life++) {
        struct engine_stats stats;
        struct engine *engine;

        cr_assert_eq(open_with(&engine, vfs, level, key), 0);
        if (life > 1)
            expect(engine, life - 1);
        for (uint32_t i = 0; i < KEYS; i++) {
            put(engine, i, life);
            if (level > 0 && !key && life == 1 && i == KEYS / 4)
                wait_for_dictionary(engine);
        }
        expect(engine, life);
        engine_stats(engine, &stats);
        appended = stats.appended_bytes;
        cr_assert_eq(engine_close(engine), 0);
    }
    return appended;
}

/* Half of them are written again, so that flush has work as soon as their segments are retired. */
static void move_into_casks(struct engine *engine, uint32_t version)
{
    struct engine_stats stats = {0};

    for (int i = 0; i < 200 && stats.casks == 0; i++) {
        for (uint32_t key = 0; key < KEYS; key += 2)
            put(engine, key, version);
        cr_assert_eq(engine_flush_queue(engine), 0);
        usleep(10000);
        cr_assert_eq(engine_flush(engine), 0);
        engine_stats(engine, &stats);
    }
    cr_assert_gt(stats.casks, 0);
}

Test(engine_pack, a_dictionary_is_taught_and_outlives_the_log_that_brought_it)
{
    struct vfs *plain = vfs_mem_new(), *packed = vfs_mem_new();
    struct engine *engine;
    struct engine_stats stats;
    uint64_t before = fill(plain, 0, NULL, 3), after = fill(packed, 1, NULL, 3);

    cr_assert_lt(after, before * 2 / 3, "%lu of %lu bytes", (unsigned long)after,
                 (unsigned long)before);
    cr_assert_eq(open_with(&engine, packed, 1, NULL), 0);
    engine_stats(engine, &stats);
    cr_assert_eq(stats.dictionaries, 1);
    cr_assert_eq(stats.compress_in, 0, "nothing was written");
    move_into_casks(engine, 3);
    engine_stats(engine, &stats);
    cr_assert_gt(stats.compress_in, 100);
    cr_assert_lt(stats.compress_out, stats.compress_in / 2);
    cr_assert_not(file_has(packed, "shard-00/MANIFEST", "Berlin"));
    expect(engine, 3);
    expect_scan(engine, NULL, 3, KEYS);
    cr_assert_eq(engine_close(engine), 0);
    cr_assert_eq(open_with(&engine, packed, 0, NULL), 0, "any level reads them");
    expect(engine, 3);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(plain);
    vfs_mem_free(packed);
}

Test(engine_pack, an_ordered_scan_gives_values_that_are_compressed)
{
    struct engine_range range = {.prefix = "customer-1", .prefix_size = 10};
    struct vfs *vfs = vfs_mem_new();
    struct engine_options options = {.vfs = vfs,
                                     .segment_size = 64u << 10,
                                     .sync = ENGINE_SYNC_NONE,
                                     .ordered = true,
                                     .compress_level = 1};
    struct engine *engine;

    fill(vfs, 1, NULL, 1);
    cr_assert_eq(engine_open(&engine, "memory", &options), 0);
    expect_scan(engine, &range, 1, 1111);
    cr_assert_eq(engine_flush(engine), 0);
    expect_scan(engine, &range, 1, 1111);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

/* Other threads do so between any two steps of a copy. */
Test(engine_pack, what_a_cursor_gave_stays_while_others_are_read_and_written)
{
    struct vfs *vfs = vfs_mem_new();
    struct engine_value other = {0};
    struct engine_cursor *cursor;
    struct engine_item item;
    struct engine *engine;

    fill(vfs, 1, secret, 1);
    cr_assert_eq(open_with(&engine, vfs, 1, secret), 0);
    cr_assert_eq(engine_scan(engine, NULL, &cursor), 0);
    for (uint32_t i = 0; i < 100; i++) {
        char key[32], value[256];
        uint32_t number;
        size_t size;

        cr_assert_eq(engine_cursor_next(cursor, &item), 0);
        cr_assert_geq(item.key_size, 10);
        number = (uint32_t)strtoul((const char *)item.key + 9, NULL, 10);
        size = (size_t)snprintf(key, sizeof key, "customer-%u", number);
        cr_assert_eq(engine_get(engine, "customer-77", 11, &other), 0);
        put(engine, KEYS - 1, 1);
        cr_assert_eq(item.key_size, size);
        cr_assert_eq(memcmp(item.key, key, size), 0, "the key of %s is another now", key);
        size = value_of(number, 1, value);
        cr_assert_eq(item.value_size, size);
        cr_assert_eq(memcmp(item.value, value, size), 0, "the value of %s is another now", key);
    }
    engine_cursor_close(cursor);
    engine_value_deinit(&other);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(vfs);
}

Test(engine_pack, sealed_files_tell_neither_keys_nor_values)
{
    struct vfs *plain = vfs_mem_new(), *sealed = vfs_mem_new();
    struct engine_range range = {.prefix = "customer-1", .prefix_size = 10};
    struct engine *engine;
    unsigned files;

    fill(plain, 0, NULL, 1);
    cr_assert_gt(files_with(plain, "customer-", &files), 0, "else the look means nothing");
    cr_assert_gt(files_with(plain, "Berlin", &files), 0);
    fill(sealed, 1, secret, 2);
    cr_assert_eq(open_with(&engine, sealed, 1, secret), 0);
    move_into_casks(engine, 2);
    expect(engine, 2);
    expect_scan(engine, NULL, 2, KEYS);
    expect_scan(engine, &range, 2, 1111);
    cr_assert_eq(engine_delete(engine, "customer-1", 10), 0);
    cr_assert_eq(engine_get(engine, "customer-1", 10, NULL), ENGINE_E_ABSENT);
    cr_assert_eq(engine_close(engine), 0);
    cr_assert_eq(files_with(sealed, "customer-", &files), 0);
    cr_assert_eq(files_with(sealed, "Berlin", &files), 0);
    cr_assert_gt(files, 3);
    cr_assert_eq(open_with(&engine, sealed, 0, secret), 0);
    cr_assert_eq(engine_get(engine, "customer-1", 10, NULL), ENGINE_E_ABSENT);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(plain);
    vfs_mem_free(sealed);
}

Test(engine_pack, another_key_opens_nothing)
{
    uint8_t other[ENGINE_SECRET_SIZE];
    struct vfs *sealed = vfs_mem_new(), *plain = vfs_mem_new();
    struct engine_options ordered = {.vfs = plain, .ordered = true, .key = secret};
    struct engine *engine;
    char text[ENGINE_TEXT_SIZE];

    memcpy(other, secret, sizeof other);
    other[31] ^= 1;
    fill(sealed, 0, secret, 1);
    fill(plain, 0, NULL, 1);
    cr_assert_eq(open_with(&engine, sealed, 0, other), ENGINE_E_KEY);
    cr_assert_null(engine);
    cr_assert_eq(open_with(&engine, sealed, 0, NULL), ENGINE_E_KEY);
    cr_assert_eq(open_with(&engine, plain, 0, secret), ENGINE_E_KEY);
    engine_error_text(ENGINE_E_KEY, "folder", text, sizeof text);
    cr_assert(strstr(text, "key"));
    cr_assert_eq(engine_open(&engine, "memory", &ordered), -EINVAL);
    cr_assert_eq(open_with(&engine, plain, 20, NULL), -EINVAL);
    cr_assert_eq(open_with(&engine, sealed, 0, secret), 0);
    expect(engine, 1);
    cr_assert_eq(engine_close(engine), 0);
    vfs_mem_free(sealed);
    vfs_mem_free(plain);
}

Test(engine_pack, a_copy_is_kept_as_its_source_is)
{
    char folder[] = "/tmp/engine_pack_XXXXXX", copy[64], command[160];
    struct engine_options options = {.key = secret, .compress_level = 3};
    struct engine *engine;

    cr_assert(mkdtemp(folder));
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(command, sizeof command, "%s/source", folder);
    options.sync = ENGINE_SYNC_NONE;
    cr_assert_eq(engine_open(&engine, command, &options), 0);
    for (uint32_t i = 0; i < KEYS; i++)
        put(engine, i, 5);
    cr_assert_eq(engine_snapshot(engine, copy), 0);
    cr_assert_eq(engine_close(engine), 0);
    options.key = NULL;
    cr_assert_eq(engine_open(&engine, copy, &options), ENGINE_E_KEY);
    options.key = secret;
    cr_assert_eq(engine_open(&engine, copy, &options), 0);
    expect(engine, 5);
    cr_assert_eq(engine_close(engine), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}
