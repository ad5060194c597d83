#include "replication/progress.h"

#define ANSWER_MS_MAX 400u /* longer is not waited for */

void progress_reset(struct raft_progress *progress, uint64_t last, uint64_t now_ms)
{
    progress->probing = true;
    progress->match = 0;
    progress->next = last + 1;
    progress->inflight_size = 0;
    progress->inflight_messages = 0;
    progress->sent_ms = now_ms;
    progress->heard_ms = now_ms;
    progress->match_ms = now_ms;
    progress->round = 0;
    progress->vote = 0;
    progress->answer_ms = 0;
    progress->snapshot = 0;
    progress->snapshot_left = 0;
    progress->snapshot_wanted = false;
    progress->fenced = 0;
}

void progress_probe(struct raft_progress *progress, uint64_t index)
{
    progress->probing = true;
    progress->next = (index > progress->match ? index : progress->match) + 1;
    progress->inflight_size = 0;
    progress->inflight_messages = 0;
}

void progress_lost(struct raft_progress *progress)
{
    /* While probing, match says nothing yet: entries right behind it may have left the log. */
    progress_probe(progress, progress->probing ? progress->next - 1 : progress->match);
}

void progress_answered(struct raft_progress *progress, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - progress->sent_ms;
    uint32_t sample = took_ms < ANSWER_MS_MAX ? (uint32_t)took_ms : ANSWER_MS_MAX;

    if (progress->inflight_messages == 0)
        return;
    if (sample > progress->answer_ms)
        progress->answer_ms = sample;
    else
        progress->answer_ms -= (progress->answer_ms - sample + 7) / 8;
}

bool progress_open(const struct raft_progress *progress, const struct raft_options *options)
{
    if (progress->snapshot_wanted)
        return false;
    if (progress->inflight_messages == 0)
        return true;
    return !progress->probing && progress->inflight_messages < options->inflight_messages_max &&
           progress->inflight_size < options->inflight_size_max;
}

void progress_sent(struct raft_progress *progress, uint32_t count, uint32_t size, uint64_t now_ms)
{
    if (progress->inflight_messages == 0)
        progress->sent_ms = now_ms;
    progress->inflight_messages++;
    progress->inflight_size += size;
    if (!progress->probing)
        progress->next += count;
}

void progress_accepted(struct raft_progress *progress, uint64_t index, uint64_t size,
                       uint64_t now_ms)
{
    if (index > progress->match) {
        /* Each message counts once, however often its answer comes; those whose answers are lost
         * are made up for when nothing is left in flight. */
        progress->match = index;
        progress->match_ms = now_ms;
        progress->inflight_size -= size < progress->inflight_size ? size : progress->inflight_size;
        progress->inflight_messages -= progress->inflight_messages > 0;
        progress->sent_ms = now_ms;
    }
    if (progress->snapshot_wanted && index >= progress->snapshot && index + 1 >= progress->next) {
        progress->snapshot = 0;
        progress->snapshot_left = 0;
        progress->snapshot_wanted = false;
        progress->fenced = 0;
    }
    if (progress->probing) {
        progress->probing = false;
        progress->next = progress->match + 1;
    }
    if (progress->next <= progress->match + 1) {
        progress->next = progress->match + 1;
        progress->inflight_size = 0;
        progress->inflight_messages = 0;
    } else if (progress->inflight_messages == 0) {
        /* Answers came twice, each with a newer match. Something is still on the way, and only
         * what is in flight is sent again. */
        progress->inflight_messages = 1;
    }
}

bool progress_refused(const struct raft_progress *progress, uint64_t refused)
{
    if (refused <= progress->match || refused >= progress->next)
        return false;
    return !progress->probing || refused == progress->next - 1;
}

uint64_t progress_deadline_ms(const struct raft_progress *progress,
                              const struct raft_options *options)
{
    if (progress->inflight_messages == 0)
        return UINT64_MAX;
    return progress->sent_ms + options->retry_ms + 2u * progress->answer_ms;
}
