/* Data key: a new key for what the nodes store, sealed for every member. */
#ifndef CLI_DATA_KEY_H
#define CLI_DATA_KEY_H

#include "ring/ringmap.h"

/* Draws a key, gives every member of the map that takes part a box with it that it alone opens, and
 * forgets it. id: above those that the map has. 0, -ENOMEM, or -EBADMSG: a member's key
 * is none. */
int data_key_add(struct ringmap *map, uint8_t id);

#endif
