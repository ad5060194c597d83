/* Names of the simulated disk: path -> inode, and the changes that are not durable yet. Private to
 * sim_disk.c. */
#ifndef TESTS_SIM_SIM_DISK_NAMES_H
#define TESTS_SIM_SIM_DISK_NAMES_H

#include "tests/sim/sim_disk_inode.h"

struct name {
    char path[VFS_PATH_SIZE_MAX + 1];
    struct sim_inode *inode;
};

struct names {
    struct name *items;
    size_t count, capacity;
};

/* A change of names that its folder's sync has not made durable. */
struct change {
    char from[VFS_PATH_SIZE_MAX + 1]; /* "": created */
    char to[VFS_PATH_SIZE_MAX + 1];   /* "": removed */
    struct sim_inode *inode;
};

/* The place of the path, names->count when it is not there. */
size_t names_find(const struct names *names, const char *path);
void names_set(struct names *names, const char *path, struct sim_inode *inode);
void names_unset(struct names *names, const char *path);
void names_apply(struct names *names, const struct change *change);
/* Copies the path without "./" and trailing slashes; the root is "". */
int path_clean(const char *path, char out[VFS_PATH_SIZE_MAX + 1]);
bool path_in(const char *path, const char *folder);

#endif
