/* What snapshots that are under way hold and do: memory for their records, and jobs. */
#include "store_bench.h"

#include <criterion/criterion.h>

#include "storage/store_state.h"
#include "storage/store_install.h"

/* One piece of one that is under way; its keys begin at `from`. */
static void piece_add(struct store_install *install, uint32_t from)
{
    struct keydir_digest digests[PIECE_KEYS];
    uint8_t bytes[4096], own[4096];
    size_t size = bench_piece(bytes, digests, from, from + PIECE_KEYS, "new", 9);
    struct record record;

    for (size_t at = 0; at < size; at += record_size_padded(&record)) {
        cr_assert_eq(record_decode(bytes + at, size - at, &record), 0);
        record.partition = install->part->number;
        record_encode(&record, own + at);
    }
    cr_assert_eq(store_install_add(install, own, size, digests, PIECE_KEYS, from + PIECE_KEYS), 0);
}

Test(store_install, what_a_run_was_collected_in_serves_the_next_and_goes_with_the_last_install)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct store_install *install;
    const uint8_t *bytes;
    struct bench bench;

    bench_begin(&bench, 1);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    piece_add(install, 0);
    cr_assert_eq(bench.store->install_room_count, 0);
    piece_add(install, PIECE_KEYS); /* they are two runs: one is handed over, */
    cr_assert(bench_work(&bench));  /* and written */
    cr_assert_eq(bench.store->install_room_count, 1);
    bytes = bench.store->install_rooms[0].bytes;
    cr_assert_geq(bench.store->install_rooms[0].capacity, INSTALL_SIZE, "at once, not by growing");
    piece_add(install, 2 * PIECE_KEYS);
    cr_assert_eq(bench.store->install_room_count, 0);
    cr_assert_eq(bench.store->installs->filled.room.bytes, bytes);
    cr_assert_eq(bench_commit(&bench, install, 100), STORE_INSTALL_DONE);
    bench_expect(&bench, 0, 3 * PIECE_KEYS, "new");
    cr_assert_eq(bench.store->install_room_count, 0, "nobody is left to use them");
    bench_end(&bench);
}

Test(store_install, what_a_large_record_made_large_is_not_kept)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    static const uint8_t value[2 * INSTALL_SIZE];
    struct record record = {.partition = PARTITION,
                            .kind = RECORD_KIND_PUT,
                            .term = 1,
                            .index = 9,
                            .sub_count = 1,
                            .key = (const uint8_t *)"large",
                            .key_size = 5,
                            .value = value,
                            .value_size = sizeof(value)};
    struct store_install *install;
    struct keydir_digest digest;
    uint8_t bytes[4096];
    struct bench bench;

    bench_begin(&bench, 1);
    bench_digest(NULL, record.key, record.key_size, &digest);
    cr_assert_eq(store_install_begin(bench.store, PARTITION, &checkpoint, &install), 0);
    cr_assert_eq(store_install_add(install, bytes, record_encode(&record, bytes), &digest, 1, KEYS),
                 0);
    piece_add(install, 0);
    cr_assert(bench_work(&bench));
    cr_assert_eq(bench.store->install_room_count, 0);
    store_install_end(install);
    cr_assert(bench_work(&bench));
    bench_end(&bench);
}

/* As many jobs as there are without one being done. */
static size_t jobs_take(struct bench *bench, struct store_job *jobs[8], uint64_t now_ms)
{
    size_t count = 0;

    while (count < 8 && (jobs[count] = store_next_job(bench->store, STORE_JOB_BACKGROUND, now_ms)))
        count++;
    return count;
}

Test(store_install, casks_of_several_are_written_at_once_beside_other_work)
{
    const struct store_checkpoint checkpoint = bench_checkpoint(100);
    struct store_install *installs[3];
    struct store_job *jobs[8];
    struct bench bench;
    size_t count;

    bench_begin(&bench, 1);
    for (uint16_t i = 0; i < 3; i++) {
        uint16_t partition = (uint16_t)(PARTITION + i);

        cr_assert_eq(store_host(bench.store, partition, NULL), 0);
        cr_assert(bench_work(&bench));
        cr_assert_eq(store_hosting(bench.store, partition), STORE_HOSTING_HERE);
        cr_assert_eq(store_install_begin(bench.store, partition, &checkpoint, &installs[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        piece_add(installs[i], 0);
        piece_add(installs[i], PIECE_KEYS); /* the first one is handed over */
    }
    cr_assert_eq(store_unhost(bench.store, 0, 7), 0); /* an edit is to be written */
    count = jobs_take(&bench, jobs, 1000);
    cr_assert_eq(count, STORE_INSTALL_JOBS_MAX + 1);
    cr_assert_eq(jobs[count - 1]->kind, STORE_JOB_KIND_MANIFEST);
    while (count-- > 0) /* in another order than they were handed out */
        cr_assert_eq(store_done(bench.store, jobs[count], store_job_run(jobs[count])), 0);
    cr_assert(bench_work(&bench));
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(installs[i]->cask_count, 1);
        store_install_end(installs[i]);
    }
    cr_assert(bench_work(&bench));
    bench_end(&bench);
}
