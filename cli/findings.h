/* Findings: what a doctor sees in a view of the cluster, check by check, and what mends it. Pure.
 *
 * Every check says at least one line, so that one sees what was looked at; lines that are not OK
 * name the command, one that would be accepted, or where there is none the thing to do. A hint is
 * of what somebody has wanted so: no fault. Of what many nodes have the first FINDINGS_ALIKE_MAX
 * are named.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "cli/moves.h"
#include "cli/top_view.h"
#include "cli/view.h"

#define FINDINGS_MAX         128u
#define FINDINGS_ALIKE_MAX   8u
#define FINDING_TEXT_SIZE    512u

#define FINDINGS_CLOCK_MS    500u /* a leader that is ahead by a second logs no time */
#define FINDINGS_KEY_BYTES   24u  /* of memory, at most */
#define FINDINGS_FREE_SHARE  5u   /* of what is stored, so much should be free at least: a fifth */
#define FINDINGS_RAM_PERCENT 75u  /* that the index may take */

enum finding_level { FINDING_OK, FINDING_HINT, FINDING_WARN, FINDING_ERROR };

struct finding {
    uint8_t level;
    const char *check; /* static */
    char text[FINDING_TEXT_SIZE];
    char mend[FINDING_TEXT_SIZE]; /* "": nothing to do */
};

struct findings {
    struct finding items[FINDINGS_MAX];
    uint32_t count;
};

/* view: founded. members: as its nodes, what their shards say of themselves. moves: of the same
 * moment. */
void findings_reach(struct findings *findings, const struct view *view,
                    const struct top_member *members, const struct moves *moves);
const char *finding_level_name(uint8_t level);

#endif
