#include "bench/engine_run.h"
#include "bench/worker.h"
#include "ring/histogram.h"
#include "ring/mix.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUES_SIZE  (1u << 20)
#define BATCH_MAX    4096u
#define THREADS_MAX  256u
#define VALUE_MAX    (64u << 10)
#define NS_OF_SECOND UINT64_C(1000000000)
#define SETTLE_WAITS 600
#define SETTLE_US    100000

struct phase {
    const struct peer *peer;
    const struct engine_run_options *options;
    struct engine_run *run; /* shared with the parent */
    char folder[512];
    void *state;
    char *values; /* random bytes that values are cut from */
    uint64_t bytes_before;
};

void engine_run_key(uint64_t id, char key[PEER_KEY_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t x = mix_of(id);

    for (size_t i = 0; i < PEER_KEY_SIZE; i++, x >>= 4)
        key[i] = digits[x & 15];
}

static struct peer_pair pair_of(const struct phase *phase, uint64_t id, uint64_t version,
                                char key[PEER_KEY_SIZE])
{
    size_t size = phase->options->value_size;

    engine_run_key(id, key);
    return (struct peer_pair){
        key, phase->values + mix_of(id * 31 + version) % (VALUES_SIZE - VALUE_MAX), size};
}

static double us(const struct histogram *histogram, uint32_t per_million)
{
    return (double)histogram_percentile(histogram, per_million) / 1000;
}

/* A field of a file in /proc/self that has "name: value" lines. */
static uint64_t proc_field(const char *file, const char *name)
{
    char line[256];
    uint64_t value = 0;
    FILE *stream = fopen(file, "r");

    while (stream && fgets(line, sizeof line, stream))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name) + 1, NULL, 10);
    if (stream)
        fclose(stream);
    return value;
}

uint64_t engine_run_written(void)
{
    return proc_field("/proc/self/io", "wchar:");
}

/* Of this process since its start. */
static double cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double folder_bytes(const char *folder)
{
    char command[600];
    double kib = 0;
    FILE *pipe;

    snprintf(command, sizeof command, "du -sk '%s'", folder);
    pipe = popen(command, "r");
    if (!pipe || fscanf(pipe, "%lf", &kib) != 1)
        kib = 0;
    if (pipe)
        pclose(pipe);
    return kib * 1024;
}

static int read_one(struct phase *phase, uint64_t id)
{
    static char out[VALUE_MAX];
    char key[PEER_KEY_SIZE];

    engine_run_key(id, key);
    if (phase->peer->get(phase->state, key, out, sizeof out) == phase->options->value_size)
        return 0;
    fprintf(stderr, "%s: a key is missing\n", phase->peer->name);
    return -1;
}

/* Puts `count` keys in batches: those that begin at id, or random ones of version > 0, with reads
 * in between. */
static int put_many(struct phase *phase, uint64_t count, uint64_t version, double *rate,
                    double *p99_us)
{
    static char keys[BATCH_MAX][PEER_KEY_SIZE];
    static struct peer_pair pairs[BATCH_MAX];
    static struct histogram histogram, reads;
    uint64_t begin_ns = worker_clock_ns(), last_ns = begin_ns, all = phase->options->keys;
    uint32_t batch = phase->options->batch;

    histogram_init(&histogram);
    histogram_init(&reads);
    for (uint64_t done = 0; done < count;) {
        uint32_t n = 0;
        uint64_t now_ns;

        for (; n < batch && done < count; n++, done++) {
            uint64_t id = version ? mix_of(done + version) % all : done;

            pairs[n] = pair_of(phase, id, version, keys[n]);
        }
        if (phase->peer->put(phase->state, pairs, n) != 0)
            return -1;
        now_ns = worker_clock_ns();
        histogram_record(&histogram, now_ns - last_ns);
        last_ns = now_ns;
        if (version && (histogram.count & 7) == 0) {
            if (read_one(phase, mix_of(~done) % all) != 0)
                return -1;
            now_ns = worker_clock_ns();
            histogram_record(&reads, now_ns - last_ns);
            last_ns = now_ns;
        }
    }
    phase->run->wear_read_p99_us = us(&reads, 990000);
    *rate = (double)count / (double)(last_ns - begin_ns) * 1e9;
    *p99_us = us(&histogram, 990000);
    return 0;
}

/* Once over all keys unmeasured, so that what can be in memory is; then random ones. */
static int read_many(struct phase *phase)
{
    static struct histogram histogram;
    uint64_t begin_ns = 0, last_ns = 0, end_ns = 0, count = 0;
    uint64_t keys = phase->options->keys;
    double cpu_begin_us = 0;

    histogram_init(&histogram);
    for (uint64_t i = 0; end_ns == 0 || last_ns < end_ns; i++) {
        if (i == keys) {
            cpu_begin_us = cpu_us();
            last_ns = begin_ns = worker_clock_ns();
            end_ns = begin_ns + phase->options->seconds * NS_OF_SECOND;
        }
        if (read_one(phase, i < keys ? i : mix_of(i) % keys) != 0)
            return -1;
        if (i >= keys) {
            uint64_t now_ns = worker_clock_ns();

            histogram_record(&histogram, now_ns - last_ns);
            last_ns = now_ns;
            count++;
        }
    }
    phase->run->read_rate = (double)count / (double)(last_ns - begin_ns) * 1e9;
    phase->run->read_cpu_us = (cpu_us() - cpu_begin_us) / (double)count;
    phase->run->read_p50_us = us(&histogram, 500000);
    phase->run->read_p99_us = us(&histogram, 990000);
    return 0;
}

/* Until background work has ended: no bytes written for half a second. */
static void settle(void)
{
    uint64_t last = 0;
    int quiet = 0;

    for (int i = 0; i < SETTLE_WAITS && quiet < 5; i++) {
        uint64_t now = engine_run_written();

        quiet = now == last ? quiet + 1 : 0;
        last = now;
        usleep(SETTLE_US);
    }
}

static int phase_fill(struct phase *phase)
{
    struct engine_run *run = phase->run;
    double cpu_begin_us = cpu_us();

    if (phase->peer->open(phase->folder, false, &phase->state) != 0 ||
        put_many(phase, phase->options->keys, 0, &run->fill_rate, &run->fill_p99_us) != 0)
        return -1;
    settle();
    run->fill_cpu_us = (cpu_us() - cpu_begin_us) / (double)phase->options->keys;
    if (read_many(phase) != 0)
        return -1;
    run->memory_key =
        (double)proc_field("/proc/self/status", "RssAnon:") * 1024 / (double)phase->options->keys;
    if (phase->peer->close(phase->state) != 0)
        return -1;
    run->amplification += (double)(engine_run_written() - phase->bytes_before);
    return 0;
}

/* --- synced writes ------------------------------------------------------------------------- */

struct writer {
    struct phase *phase;
    pthread_t thread;
    uint64_t seed, end_ns;
    struct histogram histogram;
    int result;
};

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    struct phase *phase = writer->phase;
    uint64_t now_ns = worker_clock_ns();

    for (uint64_t i = 0; now_ns < writer->end_ns && writer->result == 0; i++) {
        uint64_t begin_ns = now_ns;
        char keys[16][PEER_KEY_SIZE];
        struct peer_pair pairs[16];
        uint32_t n = 0;

        for (; n < phase->options->batch && n < 16; n++)
            pairs[n] = pair_of(phase, mix_of(writer->seed + i * 16 + n) % phase->options->keys,
                               i + 1, keys[n]);
        writer->result = phase->peer->put(phase->state, pairs, n);
        now_ns = worker_clock_ns();
        histogram_record(&writer->histogram, now_ns - begin_ns);
    }
    return NULL;
}

static int phase_synced(struct phase *phase)
{
    static struct writer writers[THREADS_MAX];
    static struct histogram all;
    uint32_t threads = phase->options->threads, batch = phase->options->batch;
    uint64_t begin_ns = worker_clock_ns(), took_ns;
    uint32_t batch_used = batch < 16 ? batch : 16;
    double cpu_begin_us;
    int r = 0;

    if (phase->peer->open(phase->folder, true, &phase->state) != 0)
        return -1;
    phase->run->open_clean_ms = (double)(worker_clock_ns() - begin_ns) / 1e6;
    histogram_init(&all);
    cpu_begin_us = cpu_us();
    begin_ns = worker_clock_ns();
    for (uint32_t i = 0; i < threads; i++) {
        writers[i] = (struct writer){.phase = phase,
                                     .seed = (uint64_t)i << 40,
                                     .end_ns = begin_ns + phase->options->seconds * NS_OF_SECOND};
        histogram_init(&writers[i].histogram);
        if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(writers[i].thread, NULL);
        histogram_merge(&all, &writers[i].histogram);
        r = writers[i].result != 0 ? -1 : r;
    }
    took_ns = worker_clock_ns() - begin_ns;
    phase->run->synced_rate = (double)all.count * batch_used / (double)took_ns * 1e9;
    phase->run->synced_cpu_us = (cpu_us() - cpu_begin_us) / ((double)all.count * batch_used);
    phase->run->synced_p50_us = us(&all, 500000);
    phase->run->synced_p99_us = us(&all, 990000);
    return phase->peer->close(phase->state) != 0 ? -1 : r;
}

/* --- overwrites, kill, recovery ------------------------------------------------------------ */

static int phase_wear(struct phase *phase)
{
    uint64_t count = (uint64_t)(phase->options->wear * (double)phase->options->keys);
    struct engine_run *run = phase->run;

    if (phase->peer->open(phase->folder, false, &phase->state) != 0)
        return -1;
    if (put_many(phase, count, 7, &run->wear_rate, &run->wear_p99_us) != 0)
        return -1;
    settle();
    run->amplification += (double)(engine_run_written() - phase->bytes_before);
    kill(getpid(), SIGKILL);
    return -1;
}

static int phase_open(struct phase *phase)
{
    uint64_t begin_ns = worker_clock_ns();
    char key[PEER_KEY_SIZE], out[VALUE_MAX];

    if (phase->peer->open(phase->folder, false, &phase->state) != 0)
        return -1;
    engine_run_key(0, key);
    if (phase->peer->get(phase->state, key, out, sizeof out) < 0)
        return -1;
    phase->run->open_killed_ms = (double)(worker_clock_ns() - begin_ns) / 1e6;
    for (uint64_t id = 0; id < phase->options->keys; id += 97) {
        engine_run_key(id, key);
        if (phase->peer->get(phase->state, key, out, sizeof out) < 0) {
            fprintf(stderr, "%s: a key is missing after the kill\n", phase->peer->name);
            return -1;
        }
    }
    if (phase->peer->close(phase->state) != 0)
        return -1;
    phase->run->disk_key = folder_bytes(phase->folder);
    return 0;
}

/* --- processes ----------------------------------------------------------------------------- */

/* In a child; `killed`: it ends by SIGKILL. */
static int run_phase(struct phase *phase, int (*run)(struct phase *phase), bool killed)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        phase->bytes_before = engine_run_written();
        _exit(run(phase) == 0 ? 0 : 1);
    }
    if (waitpid(child, &status, 0) != child)
        return -1;
    if (killed)
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

void engine_run_remove(const char *folder)
{
    char command[600];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

int engine_run(const struct peer *peer, const struct engine_run_options *options,
               struct engine_run *run)
{
    struct phase phase = {.peer = peer, .options = options};
    double user_bytes = (double)options->keys * (PEER_KEY_SIZE + options->value_size);
    int r;

    assert(options->batch <= BATCH_MAX && options->threads <= THREADS_MAX);
    assert(options->value_size <= VALUE_MAX);
    snprintf(phase.folder, sizeof phase.folder, "%.400s/%s", options->folder, peer->name);
    phase.run = mmap(NULL, sizeof *run, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    phase.values = malloc(VALUES_SIZE);
    if (phase.run == MAP_FAILED || !phase.values) {
        free(phase.values);
        return -1;
    }
    for (size_t i = 0; i < VALUES_SIZE; i++)
        phase.values[i] = (char)mix_of(i);
    r = run_phase(&phase, phase_fill, false);
    if (r == 0)
        r = run_phase(&phase, phase_synced, false);
    if (r == 0)
        r = run_phase(&phase, phase_wear, true);
    if (r == 0)
        r = run_phase(&phase, phase_open, false);
    *run = *phase.run;
    run->amplification /= user_bytes * (1 + options->wear);
    run->disk_key /= user_bytes;
    munmap(phase.run, sizeof *run);
    free(phase.values);
    engine_run_remove(phase.folder);
    return r;
}
