#include "cli/admin.h"

static const struct output_column columns[] = {
    {"partition", "PARTITION", OUTPUT_NUMBER}, {"replicas", "REPLICAS", OUTPUT_LIST},
    {"others", "OTHERS", OUTPUT_LIST}, /* that have it while the map wants it elsewhere */
    {"leader", "LEADER", OUTPUT_NUMBER},       {"term", "TERM", OUTPUT_NUMBER},
    {"commit", "COMMIT", OUTPUT_NUMBER},       {"lag", "LAG", OUTPUT_NUMBER},
    {"keys", "KEYS", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static void put_partition(struct output *output, const struct view *view, uint16_t partition)
{
    const struct view_replica *row = view_row(view, partition);
    int leader = view_leader(view, partition);
    bool lost = leader < 0;
    const struct wire_partition_status *status = &row[lost ? 0 : leader].status;
    struct output_value replicas = {0}, others = {0};
    uint64_t lag = 0;

    for (uint32_t place = 0; place < VIEW_PLACES && row[place].member != 0; place++) {
        uint64_t replica_lag = view_lag(view, partition, place);

        if (row[place].wanted)
            replicas.list[replicas.list_count++] = row[place].member;
        else if (row[place].known)
            others.list[others.list_count++] = row[place].member;
        if (replica_lag > lag)
            lag = replica_lag;
    }
    output_row(output, (const struct output_value[COLUMN_COUNT]){
                           {.number = partition},
                           replicas,
                           others,
                           {.number = lost ? 0 : row[leader].member, .absent = lost},
                           {.number = status->term, .absent = lost},
                           {.number = status->commit, .absent = lost},
                           {.number = lag, .absent = lost},
                           {.number = status->keys, .absent = lost},
                       });
}

int admin_ring(const struct arguments *arguments)
{
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK) {
        static const struct output_column epoch = {"epoch", "epoch", OUTPUT_NUMBER};

        output_field(admin.output, &epoch, (struct output_value){.number = admin.view.map.epoch});
        output_table(admin.output, "partitions", columns, COLUMN_COUNT);
        for (uint32_t i = 0; i < admin.view.map.partition_count; i++)
            put_partition(admin.output, &admin.view, (uint16_t)i);
        code = admin_print(&admin);
    }
    admin_close(&admin);
    return code;
}
