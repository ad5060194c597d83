/* Changes: what an operator asks for in words, as changes that are staged together.
 *
 *   join NODE...   leave NODE   replace DEAD NEW   remove NODE   weight NODE W   zone NODE Z|-
 *   replicas N   share-zones
 *
 * A NODE is a member's id or its HOST:PORT; where several have that address, as when a machine was
 * set up anew, only its id. Without a word every member that is joining is taken in. `replace`
 * drains a node that still runs, and removes by force one that does not; `remove` is for the dead
 * alone. Leaving is for who runs: of a member that is still joining, and holds nothing, it is its
 * removal. `share-zones` changes nothing by itself: it accepts that the others bring replicas of a
 * partition together in a zone.
 *
 * One plan at a time. But what that waits for may never come back, and it must not stand in the way
 * of going on without it: so the removal of a member that is not alive, and the leaving of one with
 * a shard beyond repair, may take its place, with whatever is asked for beside it.
 *
 * Pure but for names of hosts, which the resolver knows.
 */
#ifndef CLI_CHANGES_H
#define CLI_CHANGES_H

#include "cli/view.h"
#include "ring/staged.h"

#define CHANGES_WHY_SIZE   256u
#define CHANGES_WORDS_SIZE 4096u /* of all changes as words; more are cut */

enum changes_e {
    CHANGES_E_OK,
    CHANGES_E_USAGE,   /* not words of this language, or a node that there is not */
    CHANGES_E_REFUSED, /* it cannot be: a member is in no state for it */
    CHANGES_E_DOWN,    /* likewise: one that is to leave does not answer; that alone is staged */
    CHANGES_E_MOVING,  /* a plan is under way, and this may not take its place; without a `why` */
};

/* 0, or another with `why` naming the word. */
int changes_parse(const struct view *view, char *const *words, unsigned count,
                  struct staged *staged, char why[CHANGES_WHY_SIZE]);
/* The words as they were typed, behind one another with blanks between; one that a shell would not
 * take for a word is quoted. */
void changes_words(char *const *words, unsigned count, char text[CHANGES_WORDS_SIZE]);
/* Where no word was typed: those that say what it meant, "join 4 5". Otherwise the text stays. */
void changes_joined(const struct staged *staged, char text[CHANGES_WORDS_SIZE]);

#endif
