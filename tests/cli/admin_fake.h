/* Admin fake: a cluster for the tests of commands that change it: nodes that commit what they are
 * sent, and have it done when they are looked at. It takes the place of cli/admin.c and
 * cli/clock.c, too. */
#ifndef TESTS_CLI_ADMIN_FAKE_H
#define TESTS_CLI_ADMIN_FAKE_H

#include "cli/admin.h"

#include "view_scene.h"

#define ADMIN_FAKE_PARTITIONS 16u

struct admin_fake {
    /* The map that the nodes go by, and where their groups are. */
    struct view view;
    struct moves moves;
    struct ringmap settled; /* comes when the map was asked for `looks` times more */
    unsigned looks;
    unsigned changes; /* maps that were sent to them */
    bool dies;        /* all are gone once they have committed a map */
    unsigned asked;   /* questions since then */
    uint64_t now_ms;  /* goes on by pauses alone */
    /* Whether nobody answers the questions of this type now; NULL: all do. */
    bool (*is_silent)(uint8_t type);
    uint16_t then_leaves; /* once: another admin lets this one leave when a plan has ended */
    enum output_format format;
    char said[4096], printed[32768]; /* by the command */
};

extern struct admin_fake admin_fake;

/* A healthy cluster. */
void admin_fake_open(uint32_t nodes, uint32_t joining, uint32_t replicas);
void admin_fake_close(void);
/* The plan under way has ended. */
void admin_fake_settle(void);
/* `ring-admin` with the words: its exit code. */
int admin_fake_command(const char *line);

#endif
