#include "ring/tickets.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "ring/bytes.h"

#define TICKETS_MAGIC          0x54434b54u /* "TKCT" */
#define TICKETS_FORMAT_VERSION 1u
#define TICKETS_DOMAIN         "ringcask ticket of a role 1"

void tickets_init(struct tickets *tickets, const uint8_t psk[TICKET_PSK_SIZE])
{
    *tickets = (struct tickets){.version = 1, .phase = TICKETS_STEADY, .next_id = 1};
    tickets->offered.generation = 1;
    memcpy(tickets->offered.psk, psk, TICKET_PSK_SIZE);
}

void tickets_wipe(struct tickets *tickets)
{
    sodium_memzero(tickets, sizeof *tickets);
}

static uint32_t index_of(const struct tickets *tickets, uint32_t id)
{
    uint32_t i = 0;

    while (i < tickets->count && tickets->records[i].id != id)
        i++;
    return i;
}

const struct tickets_record *tickets_find(const struct tickets *tickets, uint32_t id)
{
    uint32_t i = index_of(tickets, id);

    return i < tickets->count ? &tickets->records[i] : NULL;
}

/* Why a ticket opens nothing any more, whoever comes with it; 0: it does. */
static int ended(const struct tickets_record *record, uint64_t now_ms)
{
    if (record->revoked_ms != 0)
        return TICKETS_E_REVOKED;
    return record->expires_ms != 0 && now_ms >= record->expires_ms ? TICKETS_E_EXPIRED
                                                                   : TICKETS_E_OK;
}

static int holder_compare(const struct tickets_holder *holder, uint32_t id, const uint8_t *key)
{
    if (holder->id != id)
        return holder->id < id ? -1 : 1;
    return memcmp(holder->public_key, key, TICKETS_KEY_SIZE);
}

/* The place of the holder, or where it would be. */
static uint32_t holder_place(const struct tickets *tickets, uint32_t id, const uint8_t *key)
{
    uint32_t low = 0;
    uint32_t high = tickets->holder_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (holder_compare(&tickets->holders[middle], id, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_holder(const struct tickets *tickets, uint32_t id, const uint8_t *key)
{
    uint32_t at = holder_place(tickets, id, key);

    return at < tickets->holder_count && holder_compare(&tickets->holders[at], id, key) == 0;
}

static void forget(struct tickets *tickets, uint32_t index)
{
    uint32_t id = tickets->records[index].id;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < tickets->holder_count; i++) {
        if (tickets->holders[i].id != id)
            tickets->holders[kept++] = tickets->holders[i];
    }
    tickets->holder_count = kept;
    tickets->count--;
    memmove(&tickets->records[index], &tickets->records[index + 1],
            (tickets->count - index) * sizeof *tickets->records);
}

/* Drops the oldest ticket that has ended; false: all are good. */
static bool forget_ended(struct tickets *tickets, uint64_t now_ms)
{
    for (uint32_t i = 0; i < tickets->count; i++) {
        if (ended(&tickets->records[i], now_ms) != 0) {
            forget(tickets, i);
            return true;
        }
    }
    return false;
}

int tickets_new(struct tickets *tickets, const struct tickets_terms *terms, uint64_t now_ms,
                uint32_t *id)
{
    uint64_t expires_ms = terms->ttl_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + terms->ttl_ms;

    if (terms->role < LINK_ROLE_NODE || terms->role > LINK_ROLE_ADMIN)
        return TICKETS_E_ROLE;
    if (tickets->next_id == UINT32_MAX)
        return TICKETS_E_FULL;
    if (tickets->count == TICKETS_MAX && !forget_ended(tickets, now_ms))
        return TICKETS_E_FULL;
    *id = tickets->next_id++;
    tickets->records[tickets->count++] = (struct tickets_record){
        .id = *id,
        .name = terms->name,
        .role = terms->role,
        .generation = tickets->offered.generation,
        .uses_max = terms->uses_max,
        .created_ms = now_ms,
        .expires_ms = terms->ttl_ms > 0 ? expires_ms : 0,
    };
    return TICKETS_E_OK;
}

int tickets_revoke(struct tickets *tickets, uint32_t id, uint64_t now_ms)
{
    uint32_t i = index_of(tickets, id);

    if (i == tickets->count)
        return TICKETS_E_UNKNOWN;
    if (tickets->records[i].revoked_ms == 0)
        tickets->records[i].revoked_ms = now_ms > 0 ? now_ms : 1;
    return TICKETS_E_OK;
}

/* Whether some would go with the tickets that have ended. */
static bool holders_ended(const struct tickets *tickets, uint64_t now_ms)
{
    for (uint32_t i = 0; i < tickets->count; i++) {
        if (tickets->records[i].uses > 0 && ended(&tickets->records[i], now_ms) != 0)
            return true;
    }
    return false;
}

int tickets_may(const struct tickets *tickets, uint32_t id, uint8_t role,
                const uint8_t public_key[TICKETS_KEY_SIZE], uint64_t now_ms)
{
    const struct tickets_record *record = tickets_find(tickets, id);
    int r;

    if (!record)
        return TICKETS_E_UNKNOWN;
    r = ended(record, now_ms);
    if (r != 0)
        return r;
    if (record->role != role)
        return TICKETS_E_ROLE;
    if (record->uses_max == 0 || is_holder(tickets, id, public_key))
        return TICKETS_E_OK;
    if (record->uses == record->uses_max)
        return TICKETS_E_SPENT;
    return tickets->holder_count < TICKETS_HOLDERS_MAX || holders_ended(tickets, now_ms)
               ? TICKETS_E_OK
               : TICKETS_E_FULL;
}

bool tickets_redeemed(const struct tickets *tickets, uint32_t id,
                      const uint8_t public_key[TICKETS_KEY_SIZE])
{
    const struct tickets_record *record = tickets_find(tickets, id);

    return record && (record->uses_max == 0 || is_holder(tickets, id, public_key));
}

int tickets_redeem(struct tickets *tickets, uint32_t id, uint8_t role,
                   const uint8_t public_key[TICKETS_KEY_SIZE], uint64_t now_ms)
{
    int r = tickets_may(tickets, id, role, public_key, now_ms);
    struct tickets_record *record;
    uint32_t at;

    if (r != 0)
        return r;
    record = &tickets->records[index_of(tickets, id)];
    if (record->uses_max == 0 || is_holder(tickets, id, public_key))
        return TICKETS_E_OK;
    while (tickets->holder_count == TICKETS_HOLDERS_MAX) {
        bool room = forget_ended(tickets, now_ms);

        assert(room);
    }
    record = &tickets->records[index_of(tickets, id)];
    at = holder_place(tickets, id, public_key);
    memmove(&tickets->holders[at + 1], &tickets->holders[at],
            (tickets->holder_count - at) * sizeof *tickets->holders);
    tickets->holders[at].id = id;
    memcpy(tickets->holders[at].public_key, public_key, TICKETS_KEY_SIZE);
    tickets->holder_count++;
    record->uses++;
    return TICKETS_E_OK;
}

/* Secrets */

int tickets_prepare(struct tickets *tickets, const uint8_t psk[TICKET_PSK_SIZE])
{
    if (tickets->phase != TICKETS_STEADY || tickets->offered.generation == UINT32_MAX)
        return TICKETS_E_PHASE;
    tickets->other.generation = tickets->offered.generation + 1;
    memcpy(tickets->other.psk, psk, TICKET_PSK_SIZE);
    tickets->phase = TICKETS_PREPARED;
    return TICKETS_E_OK;
}

int tickets_cancel(struct tickets *tickets)
{
    if (tickets->phase != TICKETS_PREPARED)
        return TICKETS_E_PHASE;
    sodium_memzero(&tickets->other, sizeof tickets->other);
    tickets->phase = TICKETS_STEADY;
    return TICKETS_E_OK;
}

int tickets_switch(struct tickets *tickets)
{
    struct tickets_secret before = tickets->offered;

    if (tickets->phase != TICKETS_PREPARED)
        return TICKETS_E_PHASE;
    tickets->offered = tickets->other;
    tickets->other = before;
    tickets->phase = TICKETS_RETIRING;
    sodium_memzero(&before, sizeof before);
    return TICKETS_E_OK;
}

int tickets_retire(struct tickets *tickets, uint64_t now_ms)
{
    if (tickets->phase != TICKETS_RETIRING)
        return TICKETS_E_PHASE;
    for (uint32_t i = 0; i < tickets->count; i++) {
        if (tickets->records[i].generation == tickets->other.generation)
            (void)tickets_revoke(tickets, tickets->records[i].id, now_ms);
    }
    sodium_memzero(&tickets->other, sizeof tickets->other);
    tickets->phase = TICKETS_STEADY;
    return TICKETS_E_OK;
}

int tickets_psk(const struct tickets *tickets, uint32_t id, uint8_t psk[TICKET_PSK_SIZE])
{
    const struct tickets_record *record = tickets_find(tickets, id);
    uint8_t text[sizeof TICKETS_DOMAIN + 4 + 1];
    struct bytes_writer writer = {text, 0};
    const struct tickets_secret *secret;

    if (!record)
        return TICKETS_E_UNKNOWN;
    secret =
        record->generation == tickets->offered.generation ? &tickets->offered : &tickets->other;
    if (record->generation != secret->generation)
        return TICKETS_E_UNKNOWN;
    bytes_put(&writer, TICKETS_DOMAIN, sizeof TICKETS_DOMAIN);
    bytes_put_number(&writer, record->id, 4);
    bytes_put_number(&writer, record->role, 1);
    crypto_generichash(psk, TICKET_PSK_SIZE, text, writer.size, secret->psk, TICKET_PSK_SIZE);
    return TICKETS_E_OK;
}

static void put_secret(const struct tickets_secret *secret, struct tickets_candidate *candidate)
{
    candidate->id = 0;
    candidate->generation = secret->generation;
    memcpy(candidate->psk, secret->psk, TICKET_PSK_SIZE);
}

uint32_t tickets_candidates(const struct tickets *tickets,
                            struct tickets_candidate out[TICKETS_CANDIDATES_MAX])
{
    uint32_t count = 0;

    put_secret(&tickets->offered, &out[count++]);
    if (tickets->phase != TICKETS_STEADY)
        put_secret(&tickets->other, &out[count++]);
    for (uint32_t i = 0; i < tickets->count; i++) {
        const struct tickets_record *record = &tickets->records[i];

        if (tickets_psk(tickets, record->id, out[count].psk) != 0)
            continue;
        out[count].id = record->id;
        out[count++].generation = record->generation;
    }
    return count;
}

const char *tickets_error_name(int code)
{
    static const char *const names[] = {
        [TICKETS_E_OK] = "ok",
        [TICKETS_E_FULL] = "no room for another",
        [TICKETS_E_UNKNOWN] = "unknown",
        [TICKETS_E_REVOKED] = "revoked",
        [TICKETS_E_EXPIRED] = "expired",
        [TICKETS_E_SPENT] = "spent",
        [TICKETS_E_ROLE] = "for another role",
        [TICKETS_E_PHASE] = "the rotation is at another step",
        [TICKETS_E_MALFORMED] = "malformed",
    };

    assert(code >= 0 && code <= TICKETS_E_MALFORMED);
    return names[code];
}

/* Invariants */

static const char *secrets_problem(const struct tickets *tickets)
{
    static const uint8_t zero[TICKET_PSK_SIZE];
    uint32_t offered = tickets->offered.generation;
    uint32_t other = tickets->other.generation;

    if (offered == 0)
        return "no secret";
    if (tickets->phase == TICKETS_STEADY)
        return other == 0 && memcmp(tickets->other.psk, zero, sizeof zero) == 0
                   ? NULL
                   : "a secret too many";
    if (tickets->phase == TICKETS_PREPARED)
        return other == (uint64_t)offered + 1 ? NULL : "the next secret's generation";
    return tickets->phase == TICKETS_RETIRING && (uint64_t)other + 1 == offered && other > 0
               ? NULL
               : "the last secret's generation";
}

static const char *tickets_problem(const struct tickets *tickets)
{
    uint32_t holders = 0;

    for (uint32_t i = 0; i < tickets->count; i++) {
        const struct tickets_record *record = &tickets->records[i];

        if (record->id <= (i > 0 ? record[-1].id : 0) || record->id >= tickets->next_id)
            return "ticket ids";
        if (record->role < LINK_ROLE_NODE || record->role > LINK_ROLE_ADMIN)
            return "a ticket's role";
        if (record->generation == 0 || record->generation > tickets->offered.generation)
            return "a ticket's generation";
        if (record->uses > record->uses_max)
            return "a ticket's uses";
        for (uint32_t k = 0; k < record->uses; k++, holders++) {
            const struct tickets_holder *holder = &tickets->holders[holders];

            if (holders >= tickets->holder_count || holder->id != record->id)
                return "a use without holder";
            if (k > 0 && holder_compare(holder - 1, holder->id, holder->public_key) >= 0)
                return "holders out of order";
        }
    }
    if (holders != tickets->holder_count)
        return "a holder without use";
    if (tickets->version == 0)
        return "no version";
    return secrets_problem(tickets);
}

void tickets_check(const struct tickets *tickets)
{
    const char *problem;

    assert(tickets->count <= TICKETS_MAX && tickets->holder_count <= TICKETS_HOLDERS_MAX);
    problem = tickets_problem(tickets);
    assert(problem == NULL);
    (void)problem;
}

const char *tickets_follows_problem(const struct tickets *tickets, const struct tickets *before)
{
    if (tickets->version <= before->version)
        return "the tickets are of no later version";
    if (tickets->next_id < before->next_id)
        return "a ticket's id would be given twice";
    if (tickets->offered.generation < before->offered.generation)
        return "an earlier secret would be offered again";
    return NULL;
}

/* Encoding */

static void put_tickets(struct bytes_writer *writer, const struct tickets *tickets)
{
    const struct tickets_secret *secrets[] = {&tickets->offered, &tickets->other};

    bytes_put_number(writer, TICKETS_MAGIC, 4);
    bytes_put_number(writer, TICKETS_FORMAT_VERSION, 2);
    bytes_put_number(writer, tickets->version, 8);
    bytes_put_number(writer, tickets->phase, 1);
    for (uint32_t i = 0; i < (tickets->phase == TICKETS_STEADY ? 1u : 2u); i++) {
        bytes_put_number(writer, secrets[i]->generation, 4);
        bytes_put(writer, secrets[i]->psk, TICKET_PSK_SIZE);
    }
    bytes_put_number(writer, tickets->next_id, 4);
    bytes_put_number(writer, tickets->count, 1);
    for (uint32_t i = 0, holder = 0; i < tickets->count; i++) {
        const struct tickets_record *record = &tickets->records[i];

        bytes_put_number(writer, record->id, 4);
        bytes_put_number(writer, record->name, 8);
        bytes_put_number(writer, record->role, 1);
        bytes_put_number(writer, record->generation, 4);
        bytes_put_number(writer, record->created_ms, 8);
        bytes_put_number(writer, record->expires_ms, 8);
        bytes_put_number(writer, record->revoked_ms, 8);
        bytes_put_number(writer, record->uses_max, 4);
        bytes_put_number(writer, record->uses, 2);
        for (uint32_t k = 0; k < record->uses; k++, holder++)
            bytes_put(writer, tickets->holders[holder].public_key, TICKETS_KEY_SIZE);
    }
}

size_t tickets_encoded_size(const struct tickets *tickets)
{
    struct bytes_writer writer = {NULL, 0};

    put_tickets(&writer, tickets);
    return writer.size;
}

void tickets_encode(const struct tickets *tickets, uint8_t *out)
{
    struct bytes_writer writer = {out, 0};

    tickets_check(tickets);
    put_tickets(&writer, tickets);
}

static void take_secret(struct bytes_reader *reader, struct tickets_secret *secret)
{
    secret->generation = (uint32_t)bytes_take_number(reader, 4);
    bytes_take_copy(reader, secret->psk, TICKET_PSK_SIZE);
}

static void take_record(struct bytes_reader *reader, struct tickets *tickets,
                        struct tickets_record *record)
{
    record->id = (uint32_t)bytes_take_number(reader, 4);
    record->name = bytes_take_number(reader, 8);
    record->role = (uint8_t)bytes_take_number(reader, 1);
    record->generation = (uint32_t)bytes_take_number(reader, 4);
    record->created_ms = bytes_take_number(reader, 8);
    record->expires_ms = bytes_take_number(reader, 8);
    record->revoked_ms = bytes_take_number(reader, 8);
    record->uses_max = (uint32_t)bytes_take_number(reader, 4);
    record->uses = (uint32_t)bytes_take_number(reader, 2);
    if (record->uses > TICKETS_HOLDERS_MAX - tickets->holder_count)
        reader->failed = true;
    for (uint32_t k = 0; k < record->uses && !reader->failed; k++) {
        struct tickets_holder *holder = &tickets->holders[tickets->holder_count++];

        holder->id = record->id;
        bytes_take_copy(reader, holder->public_key, TICKETS_KEY_SIZE);
    }
}

int tickets_decode(const uint8_t *bytes, size_t size, struct tickets *tickets)
{
    struct bytes_reader reader = {bytes, size, false};
    struct tickets taken = {0};

    if (bytes_take_number(&reader, 4) != TICKETS_MAGIC ||
        bytes_take_number(&reader, 2) != TICKETS_FORMAT_VERSION)
        return TICKETS_E_MALFORMED;
    taken.version = bytes_take_number(&reader, 8);
    taken.phase = (uint8_t)bytes_take_number(&reader, 1);
    if (taken.phase > TICKETS_RETIRING)
        return TICKETS_E_MALFORMED;
    take_secret(&reader, &taken.offered);
    if (taken.phase != TICKETS_STEADY)
        take_secret(&reader, &taken.other);
    taken.next_id = (uint32_t)bytes_take_number(&reader, 4);
    taken.count = (uint32_t)bytes_take_number(&reader, 1);
    if (taken.count > TICKETS_MAX)
        return TICKETS_E_MALFORMED;
    for (uint32_t i = 0; i < taken.count && !reader.failed; i++)
        take_record(&reader, &taken, &taken.records[i]);
    if (!reader.failed && reader.left == 0 && !tickets_problem(&taken)) {
        *tickets = taken;
        tickets_wipe(&taken);
        return TICKETS_E_OK;
    }
    tickets_wipe(&taken);
    return TICKETS_E_MALFORMED;
}
