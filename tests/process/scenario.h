/* Scenario: one story about real processes, run in a process and a folder of its own.
 *
 * A scenario returns when all is well, after it has written one sentence about it with
 * scenario_say(); anything else ends it with REQUIRE(). SCENARIOS names them once.
 */
#ifndef TESTS_PROCESS_SCENARIO_H
#define TESTS_PROCESS_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME): scenario_NAME() */
#define SCENARIOS(X)                                                                               \
    X(kill)     /* kill -9 of a random node while clients write, again and again */                \
    X(stop)     /* SIGTERM of each node under load: leaderships are handed over */                 \
    X(all)      /* kill -9 of all nodes at once under load */                                      \
    X(pause)    /* SIGSTOP and SIGCONT of a node under load */                                     \
    X(router)   /* kill -9 of the router under load */                                             \
    X(keys)     /* 100,000 keys through kill -9 of each node in turn, and of all */                \
    X(behind)   /* a node that was away past the log is back by snapshots, under load */           \
    X(hostile)  /* garbage, wrong tickets and thousands of half-open connections */                \
    X(refused)  /* ports and folders in use, of others, of newer versions */                       \
    X(disk)     /* full disks: writes are refused, reads and deletes go on, it heals by itself */  \
    X(room)     /* a plan's target is full: refused, waits for room and says so, or is aborted */  \
    X(wear)     /* a node's disk stays in proportion to what is alive, however much is written */  \
    X(demo)     /* `ringcask demo` from its first line to its last */                              \
    X(admin)    /* ring-admin on a founded cluster */                                              \
    X(gossip)   /* a killed node is held dead, and found again at another address */               \
    X(balance)  /* leaders go where there is room: skewed load, a drained node, ring-admin top */  \
    X(flush)    /* ring-admin flush: space comes back, a node down is named, data stays */         \
    X(files)    /* few descriptors: files become fewer and larger, writes wait, all is served */   \
    X(expiry)   /* deadlines and SCAN through redis-cli, changes of leaders and another router */  \
    X(scrub)    /* rot on the disk of a running node is found and made good by its peers */        \
    X(lost)     /* a node without its manifest: it answers, is given nothing and is replaced */    \
    X(seeds)    /* a router that slept while all members were replaced needs one live seed */      \
    X(sealed)   /* an encrypted cluster: what its disks tell, restarts, a stranger's identity */   \
    X(newcomer) /* an encrypted cluster: who has only joined has no data key, before a plan */     \
    X(rotate)   /* data keys change under load, through the meta leader's death and restarts */    \
    X(tickets)  /* tickets by role: who gets in, as what, how long; another secret under load */   \
    X(grow)     /* nodes join, leave and are replaced by ring-admin, under load */                 \
    X(midmove)  /* target, source and meta leader are killed in the midst of a partition */        \
    X(reshape)  /* other weights and zones, a new disk at an old address: who holds what then */   \
    X(rounds)   /* a node joins and the oldest leaves, again and again, with kills in between */   \
    X(oneway)   /* cuts in one direction, between nodes that are hosts, and a join under one */    \
    X(slowdisk) /* a leader whose disk turns slow leads nothing until it is sound again */         \
    X(attack)   /* attacks on membership: each is refused with the reason, nothing changes */      \
    X(copies)   /* an old copy of a node's data directory is refused, nothing is lost */           \
    X(upgrade)  /* nodes of the version before are replaced one by one, no request fails */        \
    X(bench)    /* ring-bench on the nodes themselves, without a router */                         \
    X(idle)     /* CPU and memory of a cluster that does nothing */

/* In memory shared with the parent. */
struct scenario_report {
    char text[256];
    bool skipped;
};

struct scenario_options {
    const char *folder; /* empty, removed by the parent */
    uint32_t rounds;    /* 0: as the scenario likes */
    bool is_short;      /* sanitizer builds: fewer of everything */
    struct scenario_report *report;
};

void scenario_say(const struct scenario_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Says why and marks it skipped. */
void scenario_skip(const struct scenario_options *options, const char *why);

#define X(name) void scenario_##name(const struct scenario_options *options);
SCENARIOS(X)
#undef X

#endif
