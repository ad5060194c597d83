#include "ring/stamp.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

/* Without the zone. Returns its length. */
static size_t put(uint64_t unix_ms, char text[STAMP_SIZE])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc, *known = gmtime_r(&seconds, &utc);

    assert(known); /* the last year of 64 bits is 584,556,019 */
    return strftime(text, STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
}

const char *stamp_seconds(uint64_t unix_ms, char text[STAMP_SIZE])
{
    size_t size = put(unix_ms, text);

    snprintf(text + size, STAMP_SIZE - size, "Z");
    return text;
}

const char *stamp_ms(uint64_t unix_ms, char text[STAMP_SIZE])
{
    size_t size = put(unix_ms, text);

    snprintf(text + size, STAMP_SIZE - size, ".%03uZ", (unsigned)(unix_ms % 1000));
    return text;
}
