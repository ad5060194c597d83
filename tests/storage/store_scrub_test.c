#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_state.h"
#include "store_host.h"
#include "vfs_crash.h"

#define FILES_MAX 64u
#define SLOTS_MAX 512u

static void start(struct host *host, struct vfs *vfs)
{
    host_init(host, vfs);
    host->options.segment_size = 8u << 10;
    host->options.zero_ahead_size = 8u << 10;
    host->options.flush_size_max = 8u << 10;
    host->options.scrub_rate = 0;
    host->padding = 200;
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

static void settle(struct host *host)
{
    for (int i = 0; i < 4; i++)
        host_settle(host);
}

/* Casks, retired segments with dead and live records, segments that are log. */
static void fill(struct host *host)
{
    uint32_t padding = host->padding;

    for (unsigned i = 0; i < 66; i++) {
        /* What is retired last is too much alive for flush. */
        host->padding = i >= 42 && i < 54 ? 2 * padding : padding;
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
            cr_assert_eq(host_append(host, p, host->parts[p].last + 1,
                                     i < 54 ? i % HOST_KEYS : i % 2, i == 20 && p == 1),
                         0);
        host_commit_all(host);
        if (i < 54 && i % 6 == 5)
            host_retain_none(host);
        host_settle(host);
    }
    settle(host);
}

static struct store_stats stats_of(const struct host *host)
{
    struct store_stats stats;

    store_stats(host->store, &stats);
    return stats;
}

/* A whole pass, and what follows from it. */
static struct store_stats scrub(struct host *host)
{
    uint64_t passes = stats_of(host).scrub.passes;

    cr_assert_eq(store_scrub(host->store), 0);
    cr_assert(stats_of(host).scrub.running);
    cr_assert_gt(store_scrub_left(host->store), 0);
    for (int i = 0; i < 40 && stats_of(host).scrub.running; i++)
        host_settle(host);
    cr_assert_eq(stats_of(host).scrub.passes, passes + 1);
    cr_assert_eq(store_scrub_left(host->store), 0);
    settle(host);
    return stats_of(host);
}

struct names {
    char items[FILES_MAX][64];
    size_t count;
};

static int name_add(void *context, const char *name)
{
    struct names *names = context;

    cr_assert_lt(names->count, FILES_MAX);
    snprintf(names->items[names->count++], sizeof(names->items[0]), "shard-00/%s", name);
    return 0;
}

static unsigned fenced_count(const struct host *host)
{
    unsigned fenced = 0;

    for (unsigned p = 0; p < HOST_PARTITIONS; p++)
        fenced += host->parts[p].fenced;
    return fenced;
}

/* --- what is sound ------------------------------------------------------------------------- */

Test(store_scrub, a_sound_store_has_no_faults_and_is_read_whole)
{
    struct store_stats stats;
    struct host host;

    start(&host, vfs_mem_new());
    fill(&host);
    stats = stats_of(&host);
    cr_assert_gt(stats.casks, 0);
    cr_assert_gt(stats.segments_retired, 0);
    cr_assert_gt(stats.segments - stats.segments_retired, 3);
    stats = scrub(&host);
    cr_assert_eq(stats.scrub.faults, 0);
    cr_assert_eq(stats.scrub.unread, 0);
    cr_assert_geq(stats.scrub.files, stats.casks + stats.segments_retired);
    cr_assert_gt(stats.scrub.bytes, stats.cask_bytes);
    cr_assert_eq(fenced_count(&host), 0);
    host_check(&host);
    host_reopen_and_compare(&host);
    host_stop(&host);
}

/* The slot of the file that it reads now is marked. */
static void see(const struct host *host, bool seen[SLOTS_MAX])
{
    const struct data_files *files = &host->store->files;

    cr_assert_leq(files->slot_count, SLOTS_MAX);
    for (size_t i = 0; i < files->slot_count; i++)
        seen[i] |= files->slots[i] && host->store->scrub.file == files->slots[i];
}

Test(store_scrub, new_files_leave_none_out_of_a_pass)
{
    struct data_file *before[SLOTS_MAX] = {0};
    bool seen[SLOTS_MAX] = {false};
    uint64_t passes;
    struct host host;
    size_t count;

    start(&host, vfs_mem_new());
    fill(&host);
    for (unsigned pass = 0; pass < 3; pass++) {
        memset(seen, 0, sizeof(seen));
        count = host.store->files.slot_count;
        memcpy(before, host.store->files.slots, count * sizeof(struct data_file *));
        passes = stats_of(&host).scrub.passes;
        cr_assert_eq(store_scrub(host.store), 0);
        for (unsigned i = 0; i < 2000 && stats_of(&host).scrub.passes == passes; i++) {
            cr_assert(host_background_half(&host));
            see(&host, seen);
            host.now_ms += 60;
            /* Segments come, for which the next one is made ready by the jobs between. */
            if (i > 10 && host_append(&host, 0, host.parts[0].last + 1, 0, false) == 0)
                cr_assert(host_sync(&host));
        }
        cr_assert_eq(stats_of(&host).scrub.passes, passes + 1);
        for (size_t i = 0; i < count; i++)
            cr_assert(seen[i] || !before[i] || host.store->files.slots[i] != before[i],
                      "pass %u leaves out the file of slot %zu", pass, i);
    }
    host_stop(&host);
}

Test(store_scrub, it_keeps_to_its_pace_and_begins_again_when_it_is_time)
{
    struct host host;
    uint64_t begun;

    start(&host, vfs_mem_new());
    fill(&host);
    cr_assert_eq(stats_of(&host).scrub.passes, 0);
    host_close(&host);
    host.options.scrub_rate = 100000;
    host.options.scrub_every_ms = 60000;
    cr_assert_eq(host_open(&host), 0);
    begun = host.now_ms;
    while (stats_of(&host).scrub.passes == 0) {
        uint64_t bytes = stats_of(&host).scrub.bytes;

        host_settle(&host);
        /* A step more than the time was for, as a step is paid for when it is over. */
        cr_assert_leq(stats_of(&host).scrub.bytes, bytes + 480 * 100 + (8u << 10));
    }
    cr_assert_geq(host.now_ms - begun, stats_of(&host).scrub.bytes * 1000 / 100000);
    while (host.now_ms < begun + 59000) {
        host_settle(&host);
        cr_assert_eq(stats_of(&host).scrub.passes, 1);
    }
    for (int i = 0; i < 20; i++)
        host_settle(&host);
    cr_assert_gt(host.now_ms, begun + 60000);
    while (stats_of(&host).scrub.passes == 1)
        host_settle(&host);
    host_stop(&host);
}

Test(store_scrub, it_gives_way_to_reads_but_not_for_ever)
{
    struct store_job *read;
    struct host host;
    uint64_t bytes = 0;

    start(&host, vfs_mem_new());
    fill(&host);
    host_close(&host);
    host.options.scrub_rate = 4000; /* a second or two a file */
    cr_assert_eq(host_open(&host), 0);
    while (stats_of(&host).scrub.bytes < bytes + 6000) { /* until a file has just been read */
        bytes = stats_of(&host).scrub.bytes;
        cr_assert_eq(host_background(&host), 0);
        host.now_ms += 60;
    }
    bytes = stats_of(&host).scrub.bytes;
    read = store_read(host.store, host.parts[0].log[host.parts[0].last].location, 16, NULL);
    for (int i = 0; i < 40; i++) { /* 2.4 s: without the read it would have gone on */
        cr_assert_eq(host_background(&host), 0);
        host.now_ms += 60;
        cr_assert_eq(stats_of(&host).scrub.bytes, bytes);
    }
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(host_background(&host), 0);
        host.now_ms += 60;
    }
    cr_assert_gt(stats_of(&host).scrub.bytes, bytes);
    cr_assert_eq(store_done(host.store, read, store_job_run(read)), 0);
    host_stop(&host);
}

/* --- what is damaged ----------------------------------------------------------------------- */

/* Flips one bit and scrubs. True: it was found. */
static bool flip_and_scrub(const char *path, uint64_t offset, unsigned bit)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct host host;
    struct store_stats stats;
    bool journal = strstr(path, ".log") != NULL, cask = strstr(path, ".cask") != NULL;
    unsigned partition = 0;
    bool found;

    start(&host, vfs);
    fill(&host);
    vfs_crash_flip(vfs, path, offset, bit);
    stats = scrub(&host);
    found = stats.scrub.faults > 0;
    /* Everything that is alive in partitions that serve can be read. */
    host_check(&host);
    if (cask && sscanf(path, "shard-00/p%u-", &partition) == 1)
        for (unsigned p = 0; p < HOST_PARTITIONS; p++)
            cr_assert(p == partition || !host.parts[p].fenced, "%s at %lu fences partition %u",
                      path, (unsigned long)offset, p);
    else if (!journal)
        cr_assert_eq(fenced_count(&host), 0, "%s at %lu fences", path, (unsigned long)offset);
    if (fenced_count(&host) == 0) { /* then it is mended, and stays so */
        cr_assert_eq(scrub(&host).scrub.faults, stats.scrub.faults, "%s at %lu is still there",
                     path, (unsigned long)offset);
        host_check(&host);
        if (!journal || found)
            host_reopen_and_compare(&host);
    }
    host_deinit(&host);
    vfs_crash_free(vfs);
    return found;
}

static struct names scene_names(uint64_t sizes[FILES_MAX])
{
    struct vfs *vfs = vfs_crash_new(1);
    struct names names = {.count = 0};
    struct host host;

    start(&host, vfs);
    fill(&host);
    vfs_list(vfs, "shard-00", name_add, &names);
    for (size_t i = 0; i < names.count; i++)
        cr_assert_not_null(vfs_crash_bytes(vfs, names.items[i], &sizes[i]));
    host_deinit(&host);
    vfs_crash_free(vfs);
    return names;
}

Test(store_scrub, a_flipped_bit_in_any_cask_or_hint_is_found_and_mended_or_fenced, .timeout = 300)
{
    uint64_t sizes[FILES_MAX];
    struct names names = scene_names(sizes);
    unsigned tried = 0;

    for (size_t i = 0; i < names.count; i++) {
        if (strstr(names.items[i], ".log"))
            continue;
        for (uint64_t at = i; at < sizes[i]; at += 149) {
            bool found = flip_and_scrub(names.items[i], at, at % 8);

            tried++;
            /* What is behind the manifest's last edit is nothing yet. */
            cr_assert(found || strstr(names.items[i], "MANIFEST"), "%s at %lu was not found",
                      names.items[i], (unsigned long)at);
        }
    }
    cr_assert_gt(tried, 100);
}

Test(store_scrub, a_flipped_bit_in_the_journal_is_harmless_mended_or_fenced, .timeout = 300)
{
    uint64_t sizes[FILES_MAX];
    struct names names = scene_names(sizes);
    unsigned tried = 0, found = 0;

    for (size_t i = 0; i < names.count; i++) {
        if (!strstr(names.items[i], ".log"))
            continue;
        for (uint64_t at = 3 * i; at < sizes[i]; at += 307) {
            found += flip_and_scrub(names.items[i], at, at % 8);
            tried++;
        }
    }
    /* Batches' padding, and segments that wait for their turn, are not looked at. */
    cr_assert_gt(found, tried / 2);
}

/* Is the newest record of the key alive, and in a file of that kind? Writes its path. */
static bool find(const struct host *host, uint16_t partition, uint32_t key, uint8_t kind,
                 char path[FILENAME_PATH_SIZE], struct keydir_entry *entry)
{
    const char *folder = host->options.folder;
    struct keydir_digest digest = host_digest(key);
    const struct data_file *file;

    if (store_find(host->store, partition, &digest, entry) != 0 || entry->tombstone)
        return false;
    file = data_files_at(&host->store->files, entry->location);
    if (file->kind != kind)
        return false;
    cr_assert_eq(kind == DATA_FILE_CASK ? filename_cask(path, folder, partition, file->number)
                                        : filename_journal(path, folder, file->number),
                 0);
    return true;
}

/* A record of the partition that is alive in this segment. */
static bool find_in_segment(const struct host *host, uint16_t partition, const char *path,
                            struct keydir_entry *entry)
{
    char other[FILENAME_PATH_SIZE];

    for (uint32_t key = 0; key < HOST_KEYS; key++)
        if (find(host, partition, key, DATA_FILE_SEGMENT, other, entry) && strcmp(path, other) == 0)
            return true;
    return false;
}

/* Rot in the record of one partition does not hide that of another one from a later pass. */
static void rot_in_turn(uint32_t key)
{
    struct vfs *vfs = vfs_crash_new(1);
    char path[FILENAME_PATH_SIZE];
    struct keydir_entry entries[2];
    struct host host;

    start(&host, vfs);
    fill(&host);
    cr_assert(find(&host, 0, key, DATA_FILE_SEGMENT, path, &entries[0]));
    cr_assert(find_in_segment(&host, 1, path, &entries[1]));
    for (unsigned i = 0; i < 2; i++) {
        uint64_t faults = stats_of(&host).scrub.faults;

        cr_assert_not(host.parts[i].fenced);
        vfs_crash_flip(vfs, path, data_file_offset(entries[i].location) + RECORD_HEADER_SIZE + 100,
                       3);
        cr_assert_gt(scrub(&host).scrub.faults, faults);
        cr_assert(host.parts[i].fenced, "partition %u of %s", i, path);
    }
    cr_assert_eq(fenced_count(&host), 2);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

/* Where the zeros end that follow a record which is alive, in a cask. */
static bool find_zeros(const struct host *host, struct vfs *vfs, char path[FILENAME_PATH_SIZE],
                       uint64_t *offset)
{
    for (unsigned i = 0; i < HOST_PARTITIONS * HOST_KEYS; i++) {
        struct keydir_entry entry;
        struct record record;
        uint64_t size, at;

        if (!find(host, (uint16_t)(i % HOST_PARTITIONS), i / HOST_PARTITIONS, DATA_FILE_CASK, path,
                  &entry))
            continue;
        at = data_file_offset(entry.location);
        cr_assert_eq(record_decode(vfs_crash_bytes(vfs, path, &size) + at, entry.size_max, &record),
                     0);
        *offset = at + record_size_padded(&record) - 1;
        if (record_size_padded(&record) > record_size(&record))
            return true;
    }
    return false;
}

/* Simulator, seeds 59177 and 59916: scrub found all that is alive in order and left the file to
 * flush, which took the record for damaged as it wrote it, and the partition was fenced. */
Test(store_scrub, a_bit_that_rots_behind_a_record_fences_nothing)
{
    struct vfs *vfs = vfs_crash_new(1);
    char path[FILENAME_PATH_SIZE];
    struct host host;
    uint64_t offset, size;

    start(&host, vfs);
    fill(&host);
    cr_assert(find_zeros(&host, vfs, path, &offset));
    vfs_crash_flip(vfs, path, offset, 3);
    cr_assert_gt(scrub(&host).scrub.faults, 0);
    cr_assert_eq(fenced_count(&host), 0);
    cr_assert_null(vfs_crash_bytes(vfs, path, &size), "flush writes the file anew");
    host_check(&host);
    host_reopen_and_compare(&host);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

Test(store_scrub, a_file_that_is_known_to_be_damaged_is_read_again_whole)
{
    rot_in_turn(0); /* written last: its segment is log */
    rot_in_turn(4); /* in one that is retired, and too much alive for flush */
}

Test(store_scrub, a_lost_edit_of_the_manifest_is_written_again)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct store_stats stats;
    struct host host;
    uint64_t size;
    uint8_t *bytes;
    uint32_t at = 32, last = 32;

    start(&host, vfs);
    fill(&host);
    bytes = vfs_crash_bytes(vfs, "shard-00/MANIFEST", &size);
    for (; memcmp(bytes + at, "EDIT", 4) == 0; at += *(uint32_t *)(void *)(bytes + at + 4))
        last = at;
    memset(bytes + last, 0, size - last);
    stats = scrub(&host);
    cr_assert_eq(stats.scrub.faults, 1);
    host_reopen_and_compare(&host);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

/* A segment header that does not check: the manifest knows better. */
Test(store_scrub, a_segments_header_is_mended)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct names names = {.count = 0};
    struct host host;
    size_t i = 0;

    start(&host, vfs);
    fill(&host);
    vfs_list(vfs, "shard-00", name_add, &names);
    while (!strstr(names.items[i], ".log"))
        i++;
    for (size_t j = i; j < names.count; j++) /* the lowest: it is surely sealed */
        if (strstr(names.items[j], ".log") && strcmp(names.items[j], names.items[i]) < 0)
            i = j;
    vfs_crash_flip(vfs, names.items[i], 17, 0);
    cr_assert_eq(scrub(&host).scrub.faults, 1);
    cr_assert_eq(fenced_count(&host), 0);
    cr_assert_eq(scrub(&host).scrub.faults, 1);
    host_reopen_and_compare(&host);
    host_deinit(&host);
    vfs_crash_free(vfs);
}

/* --- every call of the vfs fails once ------------------------------------------------------ */

Test(store_scrub, any_failed_call_fences_nothing_and_is_tried_again, .timeout = 120)
{
    uint64_t calls = 1;

    for (uint64_t n = 1; n <= calls; n++) {
        struct vfs *vfs = vfs_mem_new();
        struct host host;

        start(&host, vfs);
        fill(&host);
        calls = vfs_mem_calls(vfs);
        cr_assert_eq(store_scrub(host.store), 0);
        vfs_mem_fail_after(vfs, n, EIO);
        for (int i = 0; i < 60 && stats_of(&host).scrub.running; i++) {
            cr_assert_eq(host_background(&host), 0);
            host.now_ms += 500;
        }
        calls = vfs_mem_calls(vfs) - calls;
        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert_eq(stats_of(&host).scrub.passes, 1, "call %lu", (unsigned long)n);
        cr_assert_eq(stats_of(&host).scrub.faults, 0);
        cr_assert_eq(fenced_count(&host), 0);
        host_check(&host);
        host_stop(&host);
    }
    cr_assert_gt(calls, 40);
}
