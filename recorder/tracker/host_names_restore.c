/* Open rows are what the inserts say minus what the ends say. They become entries in the order of
 * their ids, oldest first; a name counts again when it has been confirmed. */
#include "recorder/tracker/host_names_private.h"

#include "core/evidence_text.h"
#include "core/plain_address.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* Positions in a line of address_name. */
enum { CREATED_AT, SEEN_BY, ADDRESS, NAME, SOURCE, DESTROYED_AT, END_CAUSE, COLUMN_N };

struct restored_name {
    uint64_t id, created_us;
    struct inet_address address;
    struct shared_text *name;
    enum name_origin origin;
};

static unsigned long restored_hash(const void *item)
{
    return (unsigned long)(((const struct restored_name *)item)->id * UINT64_C(0x9e3779b97f4a7c15));
}

static int restored_compare(const void *a, const void *b)
{
    return ((const struct restored_name *)a)->id != ((const struct restored_name *)b)->id;
}

static void free_restored(void *item)
{
    struct restored_name *name = item;
    shared_text_unref(name->name);
    free(name);
}

void host_names_restore_free(struct host_names *names)
{
    if (names->restored) {
        OPENSSL_LH_doall(names->restored, free_restored);
        OPENSSL_LH_free(names->restored);
        names->restored = NULL;
    }
}

static bool parse_address(struct slice value, struct inet_address *address)
{
    char text[INET6_ADDRSTRLEN];
    if (value.length == 0 || value.length >= sizeof(text))
        return false;
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    struct inet_address parsed = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(parsed.family, text, parsed.bytes) != 1)
        return false;
    *address = plain_address(&parsed);
    return true;
}

static struct shared_text *raw_bytes(struct slice evidence)
{
    struct buffer raw CLEANUP(buffer_deinit) = BUFFER_NULL;
    evidence_text_restore(&raw, evidence);
    return raw.failed ? NULL : shared_text_new(buffer_slice(&raw));
}

static void remember(struct host_names *names, uint64_t id, const struct slice *values)
{
    struct restored_name *name = calloc(1, sizeof(*name));
    if (!name)
        return;
    name->id = id;
    name->created_us = line_parse_time(values[CREATED_AT]);
    name->origin = slice_is(values[SOURCE], "hosts") ? NAME_FROM_HOSTS : NAME_FROM_DNS;
    if (!slice_is_null(values[NAME]))
        name->name = raw_bytes(values[NAME]);
    if (!parse_address(values[ADDRESS], &name->address)) {
        free_restored(name);
        return;
    }
    OPENSSL_LH_insert(names->restored, name);
    if (OPENSSL_LH_error(names->restored))
        free_restored(name);
}

void host_names_restore(struct host_names *names, enum verb verb, uint64_t id,
                        const struct slice *values, size_t n_values)
{
    if (!names->restored && !(names->restored = OPENSSL_LH_new(restored_hash, restored_compare)))
        return;
    struct restored_name key = {.id = id}, *name = OPENSSL_LH_retrieve(names->restored, &key);
    if (verb == VERB_END && name) {
        OPENSSL_LH_delete(names->restored, name);
        free_restored(name);
    } else if (verb == VERB_INSERT && !name && n_values == COLUMN_N &&
               slice_is_null(values[DESTROYED_AT])) {
        remember(names, id, values);
    }
}

struct collection {
    struct restored_name **names;
    size_t n;
};

static void collect(void *item, void *user)
{
    struct collection *collection = user;
    collection->names[collection->n++] = item;
}

static int by_id(const void *a, const void *b)
{
    const struct restored_name *left = *(struct restored_name *const *)a;
    const struct restored_name *right = *(struct restored_name *const *)b;
    return left->id < right->id ? -1 : left->id > right->id;
}

/* A second open row of one address was to be ended, but the end was not kept. */
static void take_up(struct host_names *names, const struct restored_name *restored,
                    uint64_t last_us)
{
    struct host_name *name = host_names_entry(names, &restored->address);
    if (!name)
        return;
    host_names_end_row(names, name, last_us, END_RECONCILED);
    shared_text_unref(name->name);
    name->name = shared_text_ref(restored->name);
    name->origin = restored->origin;
    name->id = restored->id;
    name->created_us = restored->created_us;
    names->n_rows++;
}

void host_names_restored(struct host_names *names, uint64_t last_us)
{
    size_t n = names->restored ? OPENSSL_LH_num_items(names->restored) : 0;
    struct collection collection = {.names = calloc(n + 1, sizeof(struct restored_name *))};
    if (collection.names && n) {
        OPENSSL_LH_doall_arg(names->restored, collect, &collection);
        qsort(collection.names, n, sizeof(collection.names[0]), by_id);
        for (size_t i = 0; i < n; i++)
            take_up(names, collection.names[i], last_us);
    }
    free(collection.names);
    host_names_restore_free(names);
    host_names_trim(names, names->options.active ? names->options.addresses_most : 0, last_us);
}
