#include "raft_script.h"

#include <criterion/criterion.h>

#include <string.h>

static void propose_config(struct script *script, const struct raft_config *config)
{
    struct raft_entry entry = {.size = 64, .config = true};

    script_step(script, (struct raft_event){.kind = RAFT_EVENT_PROPOSE,
                                            .entries = &entry,
                                            .entry_count = 1,
                                            .configs = config});
}

/* From voters 1 … count to voters first … first + count - 1. */
static struct raft_config joint(const struct script *script, uint16_t first, uint8_t count)
{
    struct raft_config config = script->raft.config;

    memcpy(config.voters_old, config.voters, sizeof(config.voters));
    config.voter_old_count = config.voter_count;
    config.voter_count = 0;
    config.learner_count = 0;
    for (uint8_t i = 0; i < count; i++)
        config.voters[config.voter_count++] = script_replica((uint16_t)(first + i));
    return config;
}

/* Leads a group of three with its no-op committed at index 1; the configuration's index is 5. */
static void lead_committed(struct script *script, uint8_t voters, uint8_t learners)
{
    script_init(script, 1, voters, learners, NULL);
    script_lead(script);
    script_propose(script, 4, 16);
    script_event(script, RAFT_EVENT_FLUSH);
    script_synced(script);
    for (uint16_t member = 2; member <= voters; member++)
        script_accept(script, member, 5);
    cr_assert_eq(script->raft.commit, 5);
}

Test(raft_config, bytes_come_back_as_they_went)
{
    struct raft_config config = script_config(5, 2), back;
    uint8_t bytes[RAFT_CONFIG_SIZE_MAX];
    size_t size;

    config.index = 0x0102030405060708u;
    config.epoch = 77;
    config.voters_old[0] = script_replica(300);
    config.voter_old_count = 1;
    size = raft_config_encode(&config, bytes);
    cr_assert_eq(size, 20 + 8 * 10);
    cr_assert_eq(raft_config_decode(bytes, size, &back), RAFT_CONFIG_E_OK);
    cr_assert_eq(back.index, config.index);
    cr_assert_eq(back.epoch, 77);
    cr_assert_eq(back.voter_count, 5);
    cr_assert_eq(back.voter_old_count, 1);
    cr_assert_eq(back.learner_count, 2);
    cr_assert_eq(back.voters[4].member, 5);
    cr_assert_eq(back.voters_old[0].member, 300);
    cr_assert_eq(back.learners[1].member, 7);
    cr_assert_eq(back.learners[1].life, SCRIPT_LIFE);
}

Test(raft_config, the_bytes_are_those_of_the_header)
{
    static const uint8_t want[] = {1, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
                                   0, 0, 0, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0};
    struct raft_config config = script_config(1, 0);
    uint8_t bytes[RAFT_CONFIG_SIZE_MAX];

    cr_assert_eq(raft_config_encode(&config, bytes), sizeof(want));
    cr_assert_arr_eq(bytes, want, sizeof(want));
}

Test(raft_config, damaged_bytes_are_refused)
{
    struct raft_config config = script_config(3, 1), back;
    uint8_t bytes[RAFT_CONFIG_SIZE_MAX];
    size_t size = raft_config_encode(&config, bytes);

    for (size_t short_size = 0; short_size < size; short_size++)
        cr_assert_eq(raft_config_decode(bytes, short_size, &back), RAFT_CONFIG_E_INVALID);
    for (size_t at = 0; at < 4; at++) { /* version and counts */
        for (int value = 0; value < 256; value++) {
            uint8_t copy[RAFT_CONFIG_SIZE_MAX];

            memcpy(copy, bytes, size);
            copy[at] = (uint8_t)value;
            if (copy[at] != bytes[at])
                cr_assert_eq(raft_config_decode(copy, size, &back), RAFT_CONFIG_E_INVALID);
        }
    }
    bytes[30] = 1; /* the second voter is the first again */
    cr_assert_eq(raft_config_decode(bytes, size, &back), RAFT_CONFIG_E_INVALID);
}

Test(raft_config, there_are_no_members_beyond_those_of_a_ring_map)
{
    struct raft_config config = script_config(3, 1);

    config.voters[1].member = RAFT_MEMBER_MAX;
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_OK);
    config.voters[1].member = RAFT_MEMBER_MAX + 1;
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_INVALID);
    config.voters[1].member = 2;
    config.learners[0].member = UINT16_MAX;
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_INVALID);
}

Test(raft_config, a_learner_may_not_vote_too)
{
    struct raft_config config = script_config(3, 1);

    config.learners[0] = config.voters[1];
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_INVALID);
    config = script_config(0, 1);
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_INVALID);
    config = script_config(1, 0);
    config.voters[0].member = 0;
    cr_assert_eq(raft_config_valid(&config), RAFT_CONFIG_E_INVALID);
}

Test(raft_config, joint_commits_need_both_halves)
{
    struct script s;
    struct raft_config next;

    lead_committed(&s, 3, 0);
    next = joint(&s, 3, 3); /* 3 4 5 */
    propose_config(&s, &next);
    cr_assert_not(s.effects.refused);
    cr_assert(s.effects.config_changed);
    cr_assert_eq(s.raft.config.index, 6);
    cr_assert_eq(s.raft.peer_count, 5);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 6);
    cr_assert_eq(s.raft.commit, 5, "1 and 2 are a majority of the old half only");
    script_accept(&s, 4, 6);
    cr_assert_eq(s.raft.commit, 5);
    script_accept(&s, 5, 6);
    cr_assert_eq(s.raft.commit, 6);
    script_deinit(&s);
}

Test(raft_config, joint_reads_and_check_quorum_need_both_halves)
{
    struct script s;
    struct raft_config next;

    lead_committed(&s, 3, 0);
    next = joint(&s, 3, 3);
    propose_config(&s, &next);
    script_beat_ack(&s, 2, s.raft.term, 4);
    cr_assert_eq(s.raft.read_round, 0);
    script_beat_ack(&s, 4, s.raft.term, 5);
    cr_assert_eq(s.raft.read_round, 0);
    script_beat_ack(&s, 5, s.raft.term, 6);
    cr_assert_eq(s.raft.read_round, 4, "the lower of both halves");
    s.now_ms += 999;
    script_beat_ack(&s, 2, s.raft.term, 7);
    s.now_ms += 1;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER, "the new half is silent");
    script_deinit(&s);
}

Test(raft_config, one_change_at_a_time_and_only_sound_ones)
{
    struct script s;
    struct raft_config next;

    script_init(&s, 1, 3, 1, NULL);
    script_lead(&s);
    next = joint(&s, 2, 3);
    propose_config(&s, &next);
    cr_assert(s.effects.refused, "nothing of this term is committed");
    script_deinit(&s);

    lead_committed(&s, 3, 1);
    next = s.raft.config;
    next.voters[2] = script_replica(4);
    next.learner_count = 0;
    propose_config(&s, &next);
    cr_assert(s.effects.refused, "voters change jointly");
    next = joint(&s, 2, 3);
    next.voters_old[0] = script_replica(7);
    propose_config(&s, &next);
    cr_assert(s.effects.refused, "the old half is not the present one");
    next = joint(&s, 2, 3);
    next.epoch = 0;
    propose_config(&s, &next);
    cr_assert(s.effects.refused, "of an earlier map");
    next = joint(&s, 2, 3);
    propose_config(&s, &next);
    cr_assert_not(s.effects.refused);
    next = s.raft.config;
    next.voter_old_count = 0;
    propose_config(&s, &next);
    cr_assert(s.effects.refused, "the first one is not committed");
    script_deinit(&s);
}

Test(raft_config, a_new_life_begins_at_its_entry)
{
    struct script s;
    struct raft_config next;

    lead_committed(&s, 3, 0);
    next = s.raft.config;
    next.learners[0] = (struct raft_replica){.member = 9};
    next.learner_count = 1;
    propose_config(&s, &next);
    cr_assert_not(s.effects.refused);
    cr_assert_eq(s.raft.config.learners[0].life, 6);
    script_event(&s, RAFT_EVENT_FLUSH);
    cr_assert_eq(script_sent(&s, RAFT_APPEND, 9, 0)->to.life, 6);
    script_deinit(&s);
}

/* Whether it was removed or never came to be. Before all up to its entry is decided, nothing is. */
Test(raft_config, a_life_is_over_when_a_committed_configuration_is_without_it)
{
    struct script s;
    struct raft_config next;
    struct raft_replica learner = script_replica(4);
    struct raft_replica earlier = {.member = 4, .life = SCRIPT_LIFE - 1};
    struct raft_replica later = {.member = 4, .life = 6};

    lead_committed(&s, 3, 1);
    cr_assert_eq(raft_config_without(&s.raft, learner), 0);
    cr_assert_eq(raft_config_without(&s.raft, earlier), SCRIPT_LIFE);
    cr_assert_eq(raft_config_without(&s.raft, later), 0, "it may be the next entry");
    next = s.raft.config;
    next.learner_count = 0;
    propose_config(&s, &next);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    cr_assert_eq(s.raft.config.index, 6);
    cr_assert_eq(raft_config_without(&s.raft, learner), 0, "it may be rolled back");
    script_accept(&s, 2, 6);
    cr_assert_eq(raft_config_without(&s.raft, learner), 6);
    cr_assert_eq(raft_config_without(&s.raft, later), 6, "the entry was another");
    for (uint16_t member = 1; member <= 3; member++)
        cr_assert_eq(raft_config_without(&s.raft, script_replica(member)), 0);
    script_deinit(&s);
}

Test(raft_config, truncation_rolls_back)
{
    struct raft_entry entry = {.term = 1, .size = 64, .config = true};
    struct raft_message message = {.kind = RAFT_APPEND,
                                   .group = SCRIPT_GROUP,
                                   .from = script_replica(2),
                                   .to = script_replica(1),
                                   .term = 1,
                                   .index = 6,
                                   .log_term = 1,
                                   .entry_count = 1};
    static const uint32_t six[] = {1, 1, 1, 1, 1, 1};
    struct raft_config next;
    struct script s;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, six, 6);
    next = joint(&s, 2, 3);
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_MESSAGE,
                                        .message = &message,
                                        .entries = &entry,
                                        .entry_count = 1,
                                        .configs = &next});
    cr_assert(s.effects.config_changed);
    cr_assert_eq(s.raft.config.index, 7);
    cr_assert_not_null(raft_peer(&s.raft, 4));
    script_message(&s, 3,
                   (struct raft_message){
                       .kind = RAFT_APPEND, .term = 2, .index = 6, .log_term = 1, .entry_count = 1},
                   (uint32_t[]){2});
    cr_assert(s.effects.config_changed);
    cr_assert_eq(s.raft.config.index, SCRIPT_LIFE);
    cr_assert_null(raft_peer(&s.raft, 4));
    script_deinit(&s);
}

Test(raft_config, a_leader_that_lost_its_vote_steps_down_when_that_is_committed)
{
    struct script s;
    struct raft_config next;

    lead_committed(&s, 3, 0);
    next = joint(&s, 2, 3); /* 2 3 4 */
    propose_config(&s, &next);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 6);
    script_accept(&s, 3, 6);
    cr_assert_eq(s.raft.commit, 6);
    next = s.raft.config;
    next.voter_old_count = 0;
    propose_config(&s, &next);
    cr_assert_not(s.effects.refused);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 7);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    cr_assert_eq(s.raft.commit, 6, "its own copy counts no more");
    script_accept(&s, 3, 7);
    cr_assert_eq(s.raft.commit, 7);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_eq(raft_deadline_ms(&s.raft), UINT64_MAX);
    script_deinit(&s);
}

/* Seed 108168: the longest log was with a replica whose vote an uncommitted entry takes away. */
Test(raft_config, one_that_is_about_to_lose_its_vote_still_campaigns)
{
    struct script s;
    struct raft_config next;

    lead_committed(&s, 2, 0);
    next = joint(&s, 2, 1);
    propose_config(&s, &next);
    script_event(&s, RAFT_EVENT_FLUSH);
    script_synced(&s);
    script_accept(&s, 2, 6);
    next = s.raft.config;
    next.voter_old_count = 0;
    propose_config(&s, &next);
    script_synced(&s);
    s.now_ms += 1000;
    script_event(&s, RAFT_EVENT_TICK);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    cr_assert_neq(raft_deadline_ms(&s.raft), UINT64_MAX);
    script_lead(&s);
    cr_assert_eq(s.raft.role, RAFT_LEADER);
    cr_assert_eq(s.raft.commit, 6);
    script_accept(&s, 2, 8);
    cr_assert_eq(s.raft.commit, 8);
    cr_assert_eq(s.raft.role, RAFT_FOLLOWER);
    script_deinit(&s);
}

Test(raft_config, no_change_before_this_term_has_committed_something)
{
    static const uint32_t terms[] = {1, 1, 1, 1, 1, 1};
    struct script s;
    struct raft_config next;

    script_init(&s, 1, 3, 0, NULL);
    script_follow(&s, 2, terms, 6);
    script_beat(&s, 2, 1, 6, 1);
    script_lead(&s);
    cr_assert_eq(s.raft.commit, 6);
    next = joint(&s, 2, 3);
    propose_config(&s, &next);
    cr_assert(s.effects.refused);
    script_accept(&s, 2, 7);
    propose_config(&s, &next);
    cr_assert_not(s.effects.refused);
    script_deinit(&s);
}

Test(raft_config, that_of_a_snapshot_counts_from_then_on)
{
    struct script s;
    struct raft_config config;

    script_init(&s, 1, 3, 0, NULL);
    script_beat(&s, 2, 4, 0, 1);
    config = script_config(3, 1);
    config.index = 8;
    script_step(&s, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_INSTALLED,
                                        .from = script_replica(2),
                                        .index = 9,
                                        .term = 4,
                                        .configs = &config});
    cr_assert(s.effects.config_changed);
    cr_assert_eq(s.raft.config.index, 8);
    cr_assert_eq(s.raft.config_previous.index, 8);
    cr_assert_not_null(raft_peer(&s.raft, 4));
    script_deinit(&s);
}
