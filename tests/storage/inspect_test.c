#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/inspect.h"
#include "storage/journal_format.h"
#include "store_scene.h"

static int inspect_text(struct vfs *vfs, const char *path, bool json, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    int r = inspect_file(vfs, path, out, json);

    fclose(out);
    return r;
}

static void assert_inspect(struct scene *scene, const char *path, bool json, int expected,
                           const char *part)
{
    char *text;
    int r = inspect_text(scene->vfs, path, json, &text);

    cr_assert_eq(r, expected, "%s says %d", path, r);
    cr_assert(strstr(text, part), "no '%s' in:\n%s", part, text);
    free(text);
}

Test(inspect, prints_and_verifies_a_journal_and_a_manifest)
{
    struct scene scene;

    scene_make(&scene);
    assert_inspect(&scene, JOURNAL, false, 0, "verdict: ok\n");
    assert_inspect(&scene, JOURNAL, false, 0, "batch 3 at ");
    assert_inspect(&scene, JOURNAL, false, 0, "key \"\\x03\\x00\\x00\\x00\"");
    assert_inspect(&scene, JOURNAL, true, 0, "\"key\":\"\\u0003\\u0000\\u0000\\u0000\"");
    assert_inspect(&scene, JOURNAL, true, 0, "\"verdict\":\"ok\"}\n");
    assert_inspect(&scene, MANIFEST, false, 0, "verdict: ok\n");
    assert_inspect(&scene, MANIFEST, false, 0, "segment 1, epoch 1, open\n");
    assert_inspect(&scene, MANIFEST, true, 0, "\"partition_count\":4");
    scene_free(&scene);
}

Test(inspect, names_what_a_flipped_bit_damaged)
{
    struct scene scene;
    uint32_t byte = JOURNAL_BLOCK_SIZE;

    scene_make(&scene);
    while (scene.owners[byte] != 3)
        byte++;
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 0);
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "verdict: damaged\n");
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "DAMAGED\n");
    assert_inspect(&scene, JOURNAL, true, INSPECT_E_DAMAGED, "\"verdict\":\"damaged\"");
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 0);
    vfs_crash_flip(scene.vfs, JOURNAL, JOURNAL_BLOCK_SIZE, 0);
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "before the synced mark\n");
    vfs_crash_flip(scene.vfs, MANIFEST, 40, 0);
    assert_inspect(&scene, MANIFEST, false, INSPECT_E_DAMAGED, "verdict: damaged\n");
    scene_free(&scene);
}

Test(inspect, any_damage_ends_in_a_verdict_never_in_a_crash, .timeout = 120)
{
    struct scene scene;

    scene_make(&scene);
    for (int i = 0; i < 3000; i++) {
        const char *path = i % 4 ? JOURNAL : MANIFEST;
        uint64_t offset = vfs_crash_random(scene.vfs) % (i % 4 ? scene.end : 600);
        unsigned bit = (unsigned)(vfs_crash_random(scene.vfs) % 8);
        char *text;

        vfs_crash_flip(scene.vfs, path, offset, bit);
        inspect_text(scene.vfs, path, i % 2, &text);
        free(text);
        if (i % 3) /* some flips stay, so that damage piles up */
            vfs_crash_flip(scene.vfs, path, offset, bit);
    }
    scene_free(&scene);
}

Test(inspect, other_files_are_unknown)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct vfs_file *file;
    char *text;

    cr_assert_eq(vfs_open(vfs, "x", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    vfs_close(file);
    cr_assert_eq(inspect_text(vfs, "x", false, &text), INSPECT_E_UNKNOWN);
    free(text);
    cr_assert_eq(inspect_text(vfs, "y", false, &text), -ENOENT);
    free(text);
    vfs_crash_free(vfs);
}
