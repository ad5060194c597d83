/* Placement bench: compares ring/placement with hashing schemes, on the same clusters: how even
 * replicas are, how many move when a node joins or leaves or gets another weight, whether zones are
 * kept apart, and how long it takes. The schemes:
 *   - ring walking (Karger et al. 1997; Dynamo 2007): every node has 256 tokens for weight 100 on a
 *     ring; a partition takes the first N nodes after its own position, in distinct zones if there
 *     are enough;
 *   - rendezvous (Thaler and Ravishankar 1996), weighted by -weight / ln(hash): the N highest
 *     scores, zones likewise;
 *   - jump hashing (Lamping and Veach 2014): N rounds, drawn again where a node was drawn before.
 * It knows neither weights nor zones, and only the last node can leave.
 */
#ifndef BENCH_PLACEMENT_BENCH_H
#define BENCH_PLACEMENT_BENCH_H

#include "ring/ringmap.h"

struct placement_case {
    uint32_t nodes;
    uint32_t partitions;
    uint32_t replicas;
    uint32_t zones;
    bool mixed; /* every second node has twice the weight of the others */
};

/* Moves as multiples of the least that the change takes for any table. */
struct placement_figures {
    double load_max;   /* most replicas on a node, of its ideal by weight */
    double joined;     /* one node more */
    double left;       /* the last node leaves */
    double weighted;   /* the last node's weight doubles; 0: nothing follows weights */
    double zones_kept; /* share of the partitions with as many zones as replicas or zones allow */
    double solved_ms;  /* the table after the join */
};

struct placement_scheme {
    const char *name;
    /* Fills next->replicas for its ACTIVE members; before: the table so far, or NULL. */
    int (*place)(const struct ringmap *before, struct ringmap *next);
};

#define PLACEMENT_SCHEMES 4u
extern const struct placement_scheme placement_schemes[PLACEMENT_SCHEMES];

/* 0 or -ENOMEM. */
int placement_measure(const struct placement_scheme *scheme, const struct placement_case *row,
                      struct placement_figures *figures);
/* Prints all cases of up to `nodes_max` nodes. 0 or -ENOMEM. */
int placement_bench(uint32_t nodes_max, bool json);

#endif
