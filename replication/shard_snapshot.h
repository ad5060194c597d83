/* Shard snapshot: a partition's state on its way from a leader to a peer that the log cannot help.
 *
 * Source. At applied index A the leader captures configuration, sessions and logged time in one
 * step, keeps its log from A + 1, and sends the live records in the order of their digests, read
 * piece by piece while it goes on serving. A record newer than A is left out: it is in the log that
 * follows. So the copy is exact once the peer has applied up to where the leader was at the end of
 * the walk ("settled"). Tombstones and files are never sent.
 *
 * A piece names where it begins and where the next one does; the target takes only what begins
 * where its last one ended and answers with that position. Whatever gets lost, the source goes on
 * from there: at once when their link is lost, else after a time that grows, as pieces may wait
 * long in a link that is full, and copies behind them help nobody. Few pieces are under way at a
 * time, a budget of bytes a second is kept, of which all sources take a piece in turn
 * (shard_budget.h), and nothing is sent while the shard has other messages waiting. A target whose
 * disk is behind says so (BUSY), and when it is not any more (ROOM). One that takes nothing for 10
 * s (60 s if it is behind) is given up, and the log that was kept for it may go; what waits for the
 * budget waits as long as it has to. To who has said nothing for 3 s, though its link is up, one is
 * begun in 10 s, and when all places are taken, it gives its to another.
 *
 * A target whose disk has no room for it says so (FULL), at its beginning where it can; then it is
 * given up, and shard_room.h tells when one is begun again.
 *
 * What the target has of a snapshot that another leader began, or the same one gave up, is not sent
 * again: it tells the index and the position (HELD), and the leader goes on with a snapshot of that
 * index when its log still reaches back to it. The records of an index are the same everywhere. A
 * target that was restarted has what was on its disk by then: it tells that in the same way, and
 * the source goes back to there.
 *
 * Target. Pieces go to store_install_*. With the last one the replica stops: it takes no messages
 * until the switch is durable, then its core starts behind A and answers the leader. A replica
 * that was fenced comes back this way.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_SNAPSHOT_H
#define REPLICATION_SHARD_SNAPSHOT_H

#include "replication/raft.h"
#include "ring/link.h"
#include "storage/store_snapshot.h"

struct shard;
struct replica;
struct shard_source;
struct shard_target;

/* Leader: begins, goes on with and gives up what its peers need. With every duty. */
void shard_sources_duty(struct shard *shard);
/* The link to a member is lost, and with it what was on its way. */
void shard_sources_peer_lost(struct shard *shard, uint16_t member);
/* Sends what may be sent now. */
void shard_sources_pump(struct shard *shard);
/* The peer's node is there: it has said something lately, or there was no time for it yet. One that
 * is silent on a link that is up takes nobody's turn. */
bool shard_sources_hear(const struct shard *shard, const struct raft_progress *peer);
/* How many sources could send a piece at once, but for the budget (shard_budget.h). */
uint32_t shard_sources_ready(const struct shard *shard);
/* The job that reads the records of a piece is over; frees a source that has ended meanwhile. */
void shard_source_read(struct shard *shard, struct shard_source *source, bool done);
void shard_sources_free(struct shard *shard);

void shard_snapshot_frame(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_snapshot_ack_frame(struct shard *shard, uint16_t member,
                              const struct link_message *message);
/* A leader's beat came for a fenced replica: tell it. */
void shard_snapshot_want(struct shard *shard, struct replica *replica, struct raft_replica leader,
                         uint64_t to_life);
/* Looks after switches that were under way. With every job that has run. */
void shard_targets_step(struct shard *shard);
void shard_target_free(struct replica *replica);
/* Takes up what the restart has left of a snapshot that was on its way to the replica, if that is
 * any help. At open. */
void shard_target_resume(struct shard *shard, struct replica *replica);

#endif
