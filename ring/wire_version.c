/* Alone in its file, so that a program of the tests can bring another and be of another version. */
#include "ring/wire.h"

uint32_t wire_version_newest(void)
{
    return WIRE_VERSION_NEWEST;
}
