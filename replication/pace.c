#include "replication/pace.h"

#include <assert.h>

#define WINDOW_MS      100u
#define WINDOW_MS_MAX  500u
#define OPERATIONS_MIN 8u /* fewer say nothing; a window stays open for them until its maximum */
#define STEP           (UINT64_C(128) << 10) /* bytes a second */
#define LONG_RATIO     1.5                   /* too long is beyond so many times the quiet, */
#define LONG_MS        0.1                   /* and so many ms */
#define QUIET_PART     0.25                  /* by which a window moves the quiet */

void pace_init(struct pace *pace, uint64_t now_ms)
{
    *pace = (struct pace){.rate = PACE_FREE, .since_ms = now_ms, .now_ms = now_ms};
}

/* Of the window, in which clients were served. sent: bytes a second. */
static void judge(struct pace *pace, double took_ms, uint64_t sent)
{
    bool too_long = took_ms > pace->quiet_ms * LONG_RATIO + LONG_MS;

    if (pace->quiet_ms == 0)
        pace->quiet_ms = took_ms;
    else if (took_ms < pace->quiet_ms || pace->rate == PACE_RATE_MIN || sent == 0)
        pace->quiet_ms += (took_ms - pace->quiet_ms) * QUIET_PART;
    if (pace->rate > sent + STEP) /* what was not used is no step on the way */
        pace->rate = sent;
    if (sent > 0)
        pace->rate = too_long ? pace->rate / 2 : pace->rate + STEP;
    if (pace->rate < PACE_RATE_MIN)
        pace->rate = PACE_RATE_MIN;
}

static void close_window(struct pace *pace, uint64_t open_ms)
{
    uint64_t came = pace->operations > 0 ? pace->operations : 1;

    /* When few come because all that came are waiting, that is no rest. */
    if (pace->operations < OPERATIONS_MIN && pace->waited < open_ms)
        pace->rate = PACE_FREE;
    else
        judge(pace, (double)pace->waited / (double)came, pace->sent * 1000 / open_ms);
    pace->since_ms = pace->now_ms;
    pace->waited = pace->operations = pace->sent = 0;
}

void pace_step(struct pace *pace, uint64_t now_ms, uint32_t waiting)
{
    uint64_t open_ms = now_ms - pace->since_ms;

    assert(now_ms >= pace->now_ms);
    pace->waited += (now_ms - pace->now_ms) * waiting;
    pace->now_ms = now_ms;
    if (open_ms >= WINDOW_MS_MAX || (open_ms >= WINDOW_MS && pace->operations >= OPERATIONS_MIN))
        close_window(pace, open_ms);
}

void pace_operation(struct pace *pace)
{
    pace->operations++;
}

void pace_sent(struct pace *pace, size_t size)
{
    pace->sent += size;
}
