#include "bench/engine_own.h"
#include "bench/json_value.h"
#include "bench/worker.h"
#include "ring/histogram.h"
#include "storage/engine.h"
#include "ring/mix.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUES        4096u /* made before anything is timed */
#define RECORD_SIZE   64u   /* of a record beside its value, about */
#define NO_RECLAIMING 1u    /* bytes a second */
#define NS_OF_SECOND  UINT64_C(1000000000)

struct values {
    char (*bytes)[JSON_VALUE_MAX]; /* NULL: random bytes of one size */
    size_t sizes[VALUES];
    char *random;
    size_t size;
};

struct own {
    const struct engine_run_options *options;
    struct engine_own *out; /* shared with the parent */
    struct values values;
    enum engine_own_kind kind;
    bool map_files;
    uint64_t keys;
    char folder[512];
};

static int check(const struct own *own, const char *what, int r)
{
    char text[ENGINE_TEXT_SIZE];

    if (r == 0)
        return 0;
    engine_error_text(r, own->folder, text, sizeof text);
    fprintf(stderr, "engine %s: %s\n", what, text);
    return -1;
}

static struct engine *open_own(const struct own *own, enum engine_sync sync, uint64_t flush_rate)
{
    static const uint8_t key[ENGINE_SECRET_SIZE] = "of no worth: it is a benchmark.";
    struct engine_options options = {
        .sync = sync, .flush_rate = flush_rate, .map_files = own->map_files};
    struct engine *engine;

    options.compress_level = own->kind == ENGINE_OWN_COMPRESSED;
    options.key = own->kind == ENGINE_OWN_ENCRYPTED ? key : NULL;
    return check(own, "open", engine_open(&engine, own->folder, &options)) == 0 ? engine : NULL;
}

static int put(const struct own *own, struct engine *engine, uint64_t id, uint64_t version)
{
    uint64_t which = mix_of(id * 31 + version) % VALUES;
    char key[PEER_KEY_SIZE];

    engine_run_key(id, key);
    if (own->values.bytes)
        return engine_put(engine, key, sizeof key, own->values.bytes[which],
                          own->values.sizes[which]);
    return engine_put(engine, key, sizeof key, own->values.random + which, own->values.size);
}

static int get(struct engine *engine, uint64_t id, struct engine_value *value)
{
    char key[PEER_KEY_SIZE];

    engine_run_key(id, key);
    return engine_get(engine, key, sizeof key, value);
}

/* version 0: each key once; else as many random ones. */
static int put_all(const struct own *own, struct engine *engine, uint64_t count, uint64_t version)
{
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < count; i++)
        r = put(own, engine, version ? mix_of(i + version) % own->keys : i, version);
    if (r == 0)
        r = engine_flush_queue(engine);
    return check(own, "put", r);
}

/* --- threads ------------------------------------------------------------------------------- */

struct worker_thread {
    const struct own *own;
    struct engine *engine;
    pthread_t thread;
    uint64_t seed, end_ns, count; /* until one of them is reached */
    bool reads;
    struct histogram writes_ns, reads_ns;
    int result;
};

static void *thread_main(void *argument)
{
    struct worker_thread *self = argument;
    uint64_t keys = self->own->keys, now_ns = worker_clock_ns();
    struct engine_value value = {0};

    for (uint64_t i = 0; i < self->count && now_ns < self->end_ns && self->result == 0; i++) {
        uint64_t begin_ns = now_ns;

        self->result = put(self->own, self->engine, mix_of(self->seed + i) % keys, self->seed + i);
        now_ns = worker_clock_ns();
        histogram_record(&self->writes_ns, now_ns - begin_ns);
        if (!self->reads || self->result != 0)
            continue;
        begin_ns = now_ns;
        self->result = get(self->engine, mix_of(~(self->seed + i)) % keys, &value);
        now_ns = worker_clock_ns();
        histogram_record(&self->reads_ns, now_ns - begin_ns);
    }
    engine_value_deinit(&value);
    return NULL;
}

/* Each thread `count` times or for options.seconds, whatever ends first; count 0: the latter. */
static int threads_run(const struct own *own, struct engine *engine, uint64_t count, bool reads,
                       struct histogram *writes_ns, struct histogram *reads_ns)
{
    struct worker_thread *threads = calloc(own->options->threads, sizeof *threads);
    uint64_t end_ns = worker_clock_ns() + own->options->seconds * NS_OF_SECOND;
    int r = 0;

    if (!threads)
        return -1;
    histogram_init(writes_ns);
    histogram_init(reads_ns);
    for (uint32_t i = 0; i < own->options->threads; i++) {
        threads[i] = (struct worker_thread){.own = own,
                                            .engine = engine,
                                            .seed = ((uint64_t)i + 1) << 40,
                                            .end_ns = count > 0 ? UINT64_MAX : end_ns,
                                            .count = count > 0 ? count : UINT64_MAX,
                                            .reads = reads};
        histogram_init(&threads[i].writes_ns);
        histogram_init(&threads[i].reads_ns);
        if (pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < own->options->threads; i++) {
        pthread_join(threads[i].thread, NULL);
        histogram_merge(writes_ns, &threads[i].writes_ns);
        histogram_merge(reads_ns, &threads[i].reads_ns);
        r = threads[i].result != 0 ? check(own, "thread", threads[i].result) : r;
    }
    free(threads);
    return r;
}

static double p99_us(const struct histogram *histogram)
{
    return (double)histogram_percentile(histogram, 990000) / 1000;
}

/* --- reclaiming ---------------------------------------------------------------------------- */

static int phase_worn(struct own *own)
{
    struct engine *engine = open_own(own, ENGINE_SYNC_NONE, NO_RECLAIMING);

    if (!engine || put_all(own, engine, own->keys, 0) != 0 ||
        put_all(own, engine, own->keys, 7) != 0)
        return -1;
    return check(own, "close", engine_close(engine));
}

static int mixed(struct own *own, uint64_t flush_rate, double *write_us, double *read_us)
{
    static struct histogram writes_ns, reads_ns;
    struct engine *engine = open_own(own, ENGINE_SYNC_GROUP, flush_rate);
    struct engine_stats stats;

    if (!engine || threads_run(own, engine, 0, true, &writes_ns, &reads_ns) != 0)
        return -1;
    engine_stats(engine, &stats);
    *write_us = p99_us(&writes_ns);
    *read_us = p99_us(&reads_ns);
    own->out->flush_moved = (double)stats.reclaimed_bytes / own->options->seconds;
    return check(own, "close", engine_close(engine));
}

static int phase_before(struct own *own)
{
    return mixed(own, NO_RECLAIMING, &own->out->write_p99_us, &own->out->read_p99_us);
}

static int phase_during(struct own *own)
{
    return mixed(own, 0, &own->out->flush_write_p99_us, &own->out->flush_read_p99_us);
}

static int phase_steady(struct own *own)
{
    struct engine *engine = open_own(own, ENGINE_SYNC_NONE, 0);
    double put_bytes = (double)own->keys * (PEER_KEY_SIZE + (double)own->values.size);
    double live_bytes = (double)own->keys * (RECORD_SIZE + (double)own->values.size);
    struct engine_stats stats;
    uint64_t before;

    if (!engine || put_all(own, engine, 2 * own->keys, 100) != 0)
        return -1;
    before = engine_run_written();
    if (put_all(own, engine, own->keys, 1000) != 0)
        return -1;
    own->out->amplification = (double)(engine_run_written() - before) / put_bytes;
    engine_stats(engine, &stats);
    own->out->use = live_bytes / (double)stats.file_bytes;
    return check(own, "close", engine_close(engine));
}

/* --- values -------------------------------------------------------------------------------- */

static int read_all(const struct own *own, struct engine *engine, double *rate)
{
    struct engine_value value = {0};
    uint64_t begin_ns = 0;
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < 2 * own->keys; i++) {
        if (i == own->keys)
            begin_ns = worker_clock_ns(); /* the first time over brings them into the cache */
        r = get(engine, i < own->keys ? i : mix_of(i) % own->keys, &value);
    }
    *rate = (double)own->keys / (double)(worker_clock_ns() - begin_ns) * 1e9;
    engine_value_deinit(&value);
    return check(own, "get", r);
}

static int phase_fill(struct own *own)
{
    struct engine_own_values *out = &own->out->values[own->kind];
    struct engine *engine = open_own(own, ENGINE_SYNC_NONE, 0);
    struct engine_stats stats;
    uint64_t begin_ns = worker_clock_ns();

    if (!engine || put_all(own, engine, own->keys, 0) != 0)
        return -1;
    out->fill_rate = (double)own->keys / (double)(worker_clock_ns() - begin_ns) * 1e9;
    engine_stats(engine, &stats);
    if (own->kind == ENGINE_OWN_COMPRESSED && stats.compress_out > 0)
        own->out->compression = (double)stats.compress_in / (double)stats.compress_out;
    if (read_all(own, engine, &out->read_rate) != 0)
        return -1;
    return check(own, "close", engine_close(engine));
}

static int phase_mapped(struct own *own)
{
    struct engine *engine;

    own->map_files = true;
    engine = open_own(own, ENGINE_SYNC_NONE, 0);
    if (!engine || read_all(own, engine, &own->out->mapped_read_rate) != 0)
        return -1;
    return check(own, "close", engine_close(engine));
}

static int phase_synced(struct own *own)
{
    static struct histogram writes_ns, reads_ns;
    struct engine *engine = open_own(own, ENGINE_SYNC_GROUP, 0);
    uint64_t begin_ns = worker_clock_ns();

    if (!engine || threads_run(own, engine, own->keys / own->options->threads / 4 + 1, false,
                               &writes_ns, &reads_ns) != 0)
        return -1;
    own->out->values[own->kind].synced_rate =
        (double)writes_ns.count / (double)(worker_clock_ns() - begin_ns) * 1e9;
    return check(own, "close", engine_close(engine));
}

/* --- processes ----------------------------------------------------------------------------- */

static int in_child(struct own *own, int (*phase)(struct own *own))
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(phase(own) == 0 ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static bool values_make(struct own *own)
{
    struct values *values = &own->values;
    uint64_t total = 0;

    values->bytes = NULL;
    values->size = own->options->value_size;
    values->random = malloc(values->size + VALUES);
    if (!values->random)
        return false;
    for (size_t i = 0; i < values->size + VALUES; i++)
        values->random[i] = (char)mix_of(i);
    values->bytes = calloc(VALUES, sizeof *values->bytes);
    for (uint64_t i = 0; values->bytes && i < VALUES; i++)
        total += values->sizes[i] = json_value(i, values->bytes[i]);
    own->out->value_size = (double)total / VALUES;
    return values->bytes != NULL;
}

static int run_all(struct own *own)
{
    char(*json)[JSON_VALUE_MAX] = own->values.bytes;
    int r;

    own->values.bytes = NULL;
    own->keys = own->options->keys;
    snprintf(own->folder, sizeof own->folder, "%.400s/own", own->options->folder);
    r = in_child(own, phase_worn);
    r = r == 0 ? in_child(own, phase_before) : r;
    r = r == 0 ? in_child(own, phase_during) : r;
    r = r == 0 ? in_child(own, phase_steady) : r;
    engine_run_remove(own->folder);
    own->values.bytes = json;
    own->keys = own->options->keys / 5 + 1;
    for (unsigned kind = 0; r == 0 && kind < ENGINE_OWN_KINDS; kind++) {
        own->kind = (enum engine_own_kind)kind;
        r = in_child(own, phase_fill);
        if (r == 0 && own->kind == ENGINE_OWN_PLAIN)
            r = in_child(own, phase_mapped);
        r = r == 0 ? in_child(own, phase_synced) : r;
        engine_run_remove(own->folder);
    }
    return r;
}

int engine_own(const struct engine_run_options *options, struct engine_own *out)
{
    struct own own = {.options = options};
    int r = -1;

    own.out = mmap(NULL, sizeof *out, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (own.out == MAP_FAILED)
        return -1;
    if (values_make(&own))
        r = run_all(&own);
    *out = *own.out;
    free(own.values.bytes);
    free(own.values.random);
    munmap(own.out, sizeof *out);
    return r;
}
