#include "bench/json_value.h"

#include "ring/mix.h"

#include <stdio.h>

size_t json_value(uint64_t id, char out[JSON_VALUE_MAX])
{
    static const char *const cities[] = {"Berlin", "Paris", "London", "Madrid", "Vienna"};
    static const char *const states[] = {"active", "suspended", "pending", "closed"};
    uint64_t x = mix_of(id), y = mix_of(x);

    return (size_t)snprintf(
        out, JSON_VALUE_MAX,
        "{\"id\":%u,\"email\":\"user%u@example.com\",\"city\":\"%s\",\"status\":\"%s\","
        "\"balance\":%u.%02u,\"created\":\"20%02u-%02u-%02uT%02u:%02u:00Z\","
        "\"tags\":[\"%s\",\"%s\"],\"score\":%u}",
        (unsigned)(x % 100000000), (unsigned)(y % 1000000), cities[x % 5], states[y % 4],
        (unsigned)(x >> 32) % 100000, (unsigned)(y >> 33) % 100, 10 + (unsigned)(x >> 20) % 16,
        1 + (unsigned)(y >> 20) % 12, 1 + (unsigned)(x >> 40) % 28, (unsigned)(y >> 40) % 24,
        (unsigned)(x >> 48) % 60, states[(x >> 8) % 4], cities[(y >> 8) % 5],
        (unsigned)(y >> 44) % 1000);
}
