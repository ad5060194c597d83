/* View scene: made-up pictures of a cluster, for the tests of what is concluded from them. */
#ifndef TESTS_CLI_VIEW_SCENE_H
#define TESTS_CLI_VIEW_SCENE_H

#include "cli/moves.h"
#include "cli/view.h"
#include "ring/staged.h"

/* A founded, healthy cluster of nodes 1 … `nodes` at 127.0.0.1:7001 and so on, and `joining` more
 * behind them; the first of each row leads. */
struct view scene_view(uint32_t nodes, uint32_t joining, uint32_t partitions, uint32_t replicas);
/* As a view of its map is when every node is there and groups are where they come from. */
void scene_answer(struct view *view);
/* All of the row answer for the partition, the first of them leads. */
void scene_serve(struct view *view, uint16_t partition, const uint16_t *row, uint32_t count);
/* The node is killed. */
void scene_lose(struct view *view, uint16_t id);
/* Whoever is left of each row leads. */
void scene_elect(struct view *view);
/* A plan for this change is committed; nothing has moved yet. */
void scene_begin(struct view *view, const struct staged_change *change);
void scene_begin_all(struct view *view, const struct staged *staged);
/* What leaders say when all groups are settled in the map's rows: 1 MiB each, configuration 10. */
struct moves scene_moves(const struct view *view);
/* The partition has come to its wanted row by the configuration of that index. */
void scene_move(const struct view *view, struct moves *moves, uint16_t partition, uint64_t index);

#endif
