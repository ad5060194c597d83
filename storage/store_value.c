#include "storage/store_state.h"

int store_cached(struct store *store, const struct cache_key *key, struct cache_value *value)
{
    if (!store->cache || cache_get(store->cache, key, value) != CACHE_E_OK)
        return STORE_E_ABSENT;
    return 0;
}

void store_cache(struct store *store, const struct cache_key *key, const struct cache_value *value)
{
    if (store->cache)
        cache_put(store->cache, key, value);
}

void store_cache_stats(const struct store *store, struct cache_stats *stats)
{
    *stats = (struct cache_stats){0};
    if (store->cache)
        cache_stats(store->cache, stats);
}
