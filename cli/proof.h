/* Proof: that members which have left can be missed, as every group says that held them.
 *
 * A group can do without a member when its newest configuration is committed and has not got it in
 * any part (moves_is_without()), and a majority of the voters that it has got counts: they answer,
 * up to date and not fenced (cli/standing.h). What a member held is known from the map before it
 * left; afterwards, and while a plan is under way, the map does not tell, and then all groups of
 * the cluster are asked: that proves no less. So the proof can be had again at any time. Both what
 * is seen and what leaders say is of after the last time when nobody answered. Owner: one thread.
 */
#ifndef CLI_PROOF_H
#define CLI_PROOF_H

#include "cli/admin.h"
#include "cli/moves.h"

/* A group that is to be without the member; WIRE_PARTITION_META: the meta group. */
struct proof_group {
    uint16_t member;
    uint16_t group;
};

/* Zeros prove nothing, of nobody. */
struct proof {
    uint16_t *members; /* of whom it is */
    uint32_t member_count;
    struct proof_group *groups;
    uint32_t count;
    bool all; /* of some member all groups are asked */
};

void proof_deinit(struct proof *proof);
/* Of the groups that the member holds by the map, or of all; of a map that is on its way to another
 * one always of all. 0 or -ENOMEM. */
int proof_add(struct proof *proof, const struct ringmap *map, uint16_t member, bool all);
/* Asks the leaders until all is proven or patience ends, and puts what they say into the output.
 * EXIT_CODE_FAILED: it is not proven, or something went wrong, which is printed. */
enum exit_code proof_put(const struct proof *proof, struct admin *admin);

#endif
