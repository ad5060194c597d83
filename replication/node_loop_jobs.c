#include "replication/node_loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct store_job *next_job(struct jobs *jobs)
{
    struct store_job **slot;
    struct store_job *job = NULL;

    pthread_mutex_lock(&jobs->mutex);
    while (!(slot = fifo_peek(&jobs->queue)) && !jobs->stopping)
        pthread_cond_wait(&jobs->arrived, &jobs->mutex);
    if (slot) {
        job = *slot;
        fifo_pop(&jobs->queue);
    }
    pthread_mutex_unlock(&jobs->mutex);
    return job;
}

static void *work(void *argument)
{
    struct jobs *jobs = argument;
    struct inbox_item item = {.kind = INBOX_JOB};

    while ((item.job = next_job(jobs))) {
        uint64_t begin_us = now_us();

        item.result = store_job_run(item.job);
        item.job_us = (uint32_t)(now_us() - begin_us);
        inbox_put(&jobs->shard->inbox, &item);
        loop_shard_kick(jobs->shard);
    }
    return NULL;
}

int jobs_start(struct jobs *jobs, uint32_t threads, struct loop_shard *shard)
{
    assert(threads <= JOBS_THREADS_MAX);
    *jobs = (struct jobs){.shard = shard};
    pthread_mutex_init(&jobs->mutex, NULL);
    pthread_cond_init(&jobs->arrived, NULL);
    fifo_init(&jobs->queue, sizeof(struct store_job *));
    while (jobs->thread_count < threads) {
        int r = pthread_create(&jobs->threads[jobs->thread_count], NULL, work, jobs);

        if (r != 0)
            return -r;
        jobs->thread_count++;
    }
    return 0;
}

void jobs_put(struct jobs *jobs, struct store_job *job)
{
    struct store_job **slot;

    pthread_mutex_lock(&jobs->mutex);
    slot = fifo_push(&jobs->queue);
    if (!slot) {
        loop_log("error", "out_of_memory", "what=jobs");
        _exit(1);
    }
    *slot = job;
    pthread_mutex_unlock(&jobs->mutex);
    pthread_cond_signal(&jobs->arrived);
}

void jobs_stop(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->stopping = true;
    pthread_mutex_unlock(&jobs->mutex);
    pthread_cond_broadcast(&jobs->arrived);
    while (jobs->thread_count > 0)
        pthread_join(jobs->threads[--jobs->thread_count], NULL);
    fifo_deinit(&jobs->queue);
    pthread_mutex_destroy(&jobs->mutex);
    pthread_cond_destroy(&jobs->arrived);
}
