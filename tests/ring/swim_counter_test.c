/* What gossip tells of counters: of others, and of a process that has the key of this node. */
#include "swim_scene.h"

#include <criterion/criterion.h>

Test(swim_counter, counters_are_news_when_they_rise_and_are_told_as_load_is)
{
    struct swim_scene *scene = swim_scene_new(4, NULL);
    struct swim_local local = {.address = "10.0.0.1:7000", .epoch = 1, .counter = 5};
    struct swim_record record = swim_scene_make(3, 1, 1);

    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert_eq(swim_scene_change(scene, 3)->counter, 0, "a program that tells none");
    record.sequence = 2;
    record.local.counter = 9;
    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert_eq(swim_scene_change(scene, 3)->counter, 9);
    record.sequence = 3; /* an older copy of it, which nobody knew for one */
    record.local.counter = 8;
    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert_null(swim_scene_change(scene, 3));
    cr_assert_eq(swim_find(&scene->swim, 3)->counter, 9);

    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LOCAL, .local = &local});
    for (uint32_t ms = 0; ms <= scene->options.load_ms; ms += 50) {
        swim_scene_tick(scene, 50);
        swim_scene_ack(scene);
    }
    cr_assert(swim_record_of(swim_find(&scene->swim, 1), &record)); /* which is what is sent */
    cr_assert_eq(record.local.counter, 5);
    swim_scene_free(scene);
}

/* What its former lives told is never more; another process with its key may tell anything. */
Test(swim_counter, a_node_is_told_that_another_process_has_its_key_and_a_higher_counter)
{
    struct swim_scene *scene = swim_scene_new(4, NULL);
    struct swim_local local = {.address = "10.0.0.1:7000", .epoch = 1, .counter = 5};
    struct swim_record record = swim_scene_make(1, 7, 1);

    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LOCAL, .local = &local});
    record.local.counter = 5;
    swim_scene_record(scene, 2, &record, 1, scene->options.cluster);
    cr_assert_null(swim_scene_change(scene, 1));
    cr_assert_eq(swim_find(&scene->swim, 1)->incarnation, 8);
    record.incarnation = 9;
    record.local.counter = 6;
    swim_scene_record(scene, 2, &record, 1, scene->options.cluster);
    cr_assert_eq(swim_scene_change(scene, 1)->counter, 6);
    cr_assert_eq(swim_find(&scene->swim, 1)->incarnation, 10);
    record.incarnation = 11; /* signed by somebody else */
    record.local.counter = 7;
    swim_scene_record(scene, 2, &record, 2, scene->options.cluster);
    cr_assert_null(swim_scene_change(scene, 1));
    swim_scene_free(scene);
}
