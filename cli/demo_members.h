/* Demo members: who of a demo's folders is a member of the cluster now, from the newest ring map
 * that any of them holds. Nodes may have joined from a folder of the demo, left, or been removed
 * since the founding, while the demo ran or by hand.
 */
#ifndef CLI_DEMO_MEMBERS_H
#define CLI_DEMO_MEMBERS_H

#include "cli/demo.h"
#include "cli/demo_dir.h"
#include "ring/ringmap.h"

struct demo_member {
    uint8_t state; /* enum ringmap_state; 0: no folder, or of nobody that the map knows */
    char address[ADDRESS_SIZE];
};

struct demo_members {
    uint32_t founded; /* so many nodes were; 0: no folder tells of a founding */
    bool changed;     /* others are members than were founded; else the rest is 0 */
    struct demo_member nodes[DEMO_NODES_MAX]; /* node-1 and so on */
    uint32_t partitions;
    uint32_t elsewhere; /* members whose data are not here */
};

/* A folder that cannot be read is of nobody. */
void demo_members_read(struct demo_members *members, const struct demo_dir *dir);

#endif
