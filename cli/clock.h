/* Clock: the time that programs wait by. Milliseconds everywhere. */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdint.h>

/* Monotonic; from when is not said. */
uint64_t clock_now_ms(void);
/* Since 1970, UTC; it may be set, and go back. */
uint64_t clock_wall_ms(void);
/* Does nothing for that long; a signal ends it early. */
void clock_pause(uint32_t pause_ms);

#endif
