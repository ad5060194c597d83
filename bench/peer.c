#include "bench/peer.h"

extern const struct peer peer_ringcask, peer_rocksdb, peer_leveldb, peer_lmdb;

const struct peer *const peers[] = {
    &peer_ringcask,
#ifdef BENCH_ROCKSDB
    &peer_rocksdb,
#endif
#ifdef BENCH_LEVELDB
    &peer_leveldb,
#endif
#ifdef BENCH_LMDB
    &peer_lmdb,
#endif
    NULL,
};

const char peers_missing[] = ""
#ifndef BENCH_ROCKSDB
                             "RocksDB (librocksdb-dev) "
#endif
#ifndef BENCH_LEVELDB
                             "LevelDB (libleveldb-dev) "
#endif
#ifndef BENCH_LMDB
                             "LMDB (liblmdb-dev) "
#endif
    ;
