#include "golden.h"
#include "ring/link_frame.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX 16384u
#define ALL_SIZE_MAX  (32u << 10)

static uint8_t bytes[FILE_SIZE_MAX + 1];

static size_t load(const char *name)
{
    char path[1024];
    FILE *file;
    size_t size;

    snprintf(path, sizeof path, "%s/tests/golden/files/%s", RINGCASK_SOURCE_DIR, name);
    file = fopen(path, "rb");
    cr_assert(file, "there is no %s: golden_make writes it", path);
    size = fread(bytes, 1, sizeof bytes, file);
    cr_assert(size > 0 && size <= FILE_SIZE_MAX, "%s: %zu bytes", name, size);
    fclose(file);
    return size;
}

static void check_all(const struct golden *goldens, size_t count)
{
    cr_assert_geq(sodium_init(), 0);
    for (size_t i = 0; i < count; i++) {
        size_t size = load(goldens[i].name);
        /* On the heap, so that a byte read too many is seen. */
        uint8_t *exact = malloc(size);
        const char *wrong;

        cr_assert(exact);
        memcpy(exact, bytes, size);
        wrong = goldens[i].check(exact, size);
        cr_assert_null(wrong, "%s: %s", goldens[i].name, wrong);
        free(exact);
    }
}

#define X(name)                                                                                    \
    Test(golden, name##_files_are_read_and_written_as_they_were)                                   \
    {                                                                                              \
        check_all(golden_##name, golden_##name##_count);                                           \
    }
GOLDEN_FILES(X)
#undef X

static bool is_listed(const char *name)
{
    bool found = false;

#define X(file)                                                                                    \
    for (size_t i = 0; i < golden_##file##_count; i++)                                             \
        found |= strcmp(golden_##file[i].name, name) == 0;
    GOLDEN_FILES(X)
#undef X
    return found;
}

/* A file that nothing reads any more is a format that has been given up in silence. */
Test(golden, every_file_is_read_and_they_are_small)
{
    DIR *folder = opendir(RINGCASK_SOURCE_DIR "/tests/golden/files");
    struct dirent *entry;
    size_t all = 0;

    cr_assert(folder);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        cr_assert(is_listed(entry->d_name), "nothing reads %s", entry->d_name);
        all += load(entry->d_name);
    }
    closedir(folder);
    cr_assert_lt(all, ALL_SIZE_MAX);
}

/* Marks the types of the messages in `bytes`. */
static void mark(bool seen[256], size_t size)
{
    struct link_frame frame;

    for (size_t at = 0; at < size; at += LINK_FRAME_HEADER_SIZE + frame.body_size) {
        cr_assert_leq(at + LINK_FRAME_HEADER_SIZE, size);
        link_frame_get(bytes + at, &frame);
        seen[frame.type] = true;
    }
}

/* A message that is new to the table has no frame yet. */
Test(golden, every_message_has_a_frame)
{
    bool seen[256] = {false};

    for (size_t i = 0; i < golden_wire_count; i++)
        mark(seen, load(golden_wire[i].name));
#define X(name, number, lane) cr_assert(seen[number], "no frame of %s", #name);
    WIRE_MESSAGES(X)
#undef X
}

static const struct golden *find(const char *name)
{
    for (size_t i = 0; i < golden_ring_count; i++)
        if (strcmp(golden_ring[i].name, name) == 0)
            return &golden_ring[i];
    cr_assert_fail("no %s", name);
    return NULL;
}

/* The checks see what they should: any flipped bit of a ticket. */
Test(golden, damage_is_seen)
{
    const struct golden *ticket = find("ticket-1");
    size_t size = load("ticket-1");

    cr_assert_geq(sodium_init(), 0);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not_null(ticket->check(bytes, size), "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_null(ticket->check(bytes, size));
}
