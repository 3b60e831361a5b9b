/* What an earlier run left open: taken up again when the socket still exists (its cookie is unique
 * in a boot), ended as `reconciled` when a complete dump does not find it, as `reboot` when the
 * host was started anew. While the journal's lines come in, rows are known by their ids; then, for
 * those that stayed open, by the cookie. */
#include "recorder/endpoints/endpoints_private.h"

#include <arpa/inet.h>
#include <stdlib.h>

static unsigned long id_hash(const void *item)
{
    return endpoint_hash64(((const struct restored_endpoint *)item)->id);
}

static int id_compare(const void *a, const void *b)
{
    return ((const struct restored_endpoint *)a)->id != ((const struct restored_endpoint *)b)->id;
}

static unsigned long cookie_hash(const void *item)
{
    return endpoint_hash64(((const struct restored_endpoint *)item)->cookie);
}

static int cookie_compare(const void *a, const void *b)
{
    return ((const struct restored_endpoint *)a)->cookie !=
           ((const struct restored_endpoint *)b)->cookie;
}

int endpoint_restore_init(struct endpoints *e)
{
    e->restored = OPENSSL_LH_new(id_hash, id_compare);
    e->left_open = OPENSSL_LH_new(cookie_hash, cookie_compare);
    return e->restored && e->left_open ? 0 : -ENOMEM;
}

static void free_chain(void *item)
{
    struct restored_endpoint *row = item, *next;
    for (; row; row = next) {
        next = row->next;
        free(row);
    }
}

void endpoint_restore_deinit(struct endpoints *e)
{
    if (e->restored)
        OPENSSL_LH_doall(e->restored, free);
    if (e->left_open)
        OPENSSL_LH_doall(e->left_open, free_chain);
    OPENSSL_LH_free(e->restored);
    OPENSSL_LH_free(e->left_open);
}

/* -- lines -- */

static uint64_t value_u64(struct slice value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.length && value.data[i] >= '0' && value.data[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    return number;
}

static struct inet_address value_address(struct slice address, struct slice port)
{
    struct inet_address result = {0};
    char text[INET_ADDRESS_TEXT] = "";
    if (address.length > 0 && address.length < sizeof(text))
        memcpy(text, address.data, address.length);
    uint8_t family = memchr(text, ':', sizeof(text)) ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, result.bytes) == 1) {
        result.family = family;
        result.port = (uint16_t)value_u64(port);
    }
    return result;
}

static enum endpoint_direction value_direction(struct slice value)
{
    return slice_is(value, "in")       ? ENDPOINT_IN
           : slice_is(value, "listen") ? ENDPOINT_LISTEN
           : slice_is(value, "local")  ? ENDPOINT_LOCAL
                                       : ENDPOINT_OUT;
}

static void remember(struct endpoints *e, uint64_t id, const struct slice *values)
{
    struct restored_endpoint *row = calloc(1, sizeof(*row));
    if (!row)
        return;
    row->id = id;
    row->created_us = line_parse_time(values[ENDPOINT_CREATED_AT]);
    row->cookie = value_u64(values[ENDPOINT_COOKIE]);
    row->netns = value_u64(values[ENDPOINT_NETNS]);
    row->pid = (uint32_t)value_u64(values[ENDPOINT_PID]);
    row->direction = value_direction(values[ENDPOINT_DIRECTION]);
    row->remote = value_address(values[ENDPOINT_REMOTE_ADDRESS], values[ENDPOINT_REMOTE_PORT]);
    row->settled = !slice_is_null(values[ENDPOINT_STATUS]);
    OPENSSL_LH_insert(e->restored, row);
    if (OPENSSL_LH_error(e->restored))
        free(row);
}

void endpoints_restore(struct endpoints *e, enum verb verb, uint64_t id, const struct slice *values,
                       size_t n_values)
{
    struct restored_endpoint key = {.id = id};
    struct restored_endpoint *row = OPENSSL_LH_retrieve(e->restored, &key);
    if (verb == VERB_END && row)
        free(OPENSSL_LH_delete(e->restored, row));
    else if (verb == VERB_SETTLE && row)
        row->settled = true;
    else if (verb == VERB_INSERT && !row && n_values == ENDPOINT_COLUMN_N &&
             slice_is_null(values[ENDPOINT_DESTROYED_AT]))
        remember(e, id, values);
}

static void leave_open(void *item, void *user)
{
    struct endpoints *e = user;
    struct restored_endpoint *row = item;
    row->next = OPENSSL_LH_insert(e->left_open, row);
    if (!row->next && OPENSSL_LH_error(e->left_open))
        free(row);
}

void endpoints_restored(struct endpoints *e, bool same_boot, uint64_t last_real_us)
{
    OPENSSL_LH_doall_arg(e->restored, leave_open, e);
    OPENSSL_LH_free(e->restored);
    e->restored = NULL;
    if (!same_boot)
        endpoint_restore_end(e, 0, last_real_us, END_REBOOT);
}

/* -- what becomes of them -- */

static void write_end(struct endpoints *e, const struct restored_endpoint *row, uint64_t ended_us,
                      enum end_cause cause)
{
    struct line *line = &e->output->line;
    line_begin(line, VERB_END, TABLE_ENDPOINT, row->id);
    line_time(line, ended_us > row->created_us ? ended_us : row->created_us);
    line_word(line, end_cause_name(cause));
    line_nulls(line, ENDPOINT_COLUMN_N - ENDPOINT_BYTES_SENT);
    int error = row_output_send(e->output);
    if (error)
        row_output_refused(e->output, false, error);
}

enum { COLLECTION_MOST = 64 };

struct collection {
    struct restored_endpoint *chains[COLLECTION_MOST];
    size_t n;
    uint64_t netns; /* 0: any */
};

/* All peers of a socket are in one namespace. */
static void collect(void *item, void *user)
{
    struct collection *collection = user;
    struct restored_endpoint *row = item;
    if ((!collection->netns || row->netns == collection->netns) && collection->n < COLLECTION_MOST)
        collection->chains[collection->n++] = row;
}

void endpoint_restore_end(struct endpoints *e, uint64_t netns, uint64_t ended_us,
                          enum end_cause cause)
{
    struct collection collection = {.netns = netns};
    if (OPENSSL_LH_num_items(e->left_open) == 0)
        return;
    do {
        collection.n = 0;
        OPENSSL_LH_doall_arg(e->left_open, collect, &collection);
        for (size_t i = 0; i < collection.n; i++) {
            OPENSSL_LH_delete(e->left_open, collection.chains[i]);
            for (struct restored_endpoint *row = collection.chains[i]; row; row = row->next)
                write_end(e, row, ended_us, cause);
            free_chain(collection.chains[i]);
        }
    } while (collection.n == COLLECTION_MOST);
}

/* What is needed to take it up again. */
static void checkpoint_chain(void *item, void *user)
{
    struct endpoints *e = user;
    struct line *line = &e->output->line;
    for (const struct restored_endpoint *row = item; row; row = row->next) {
        char address[INET_ADDRESS_TEXT];
        inet_address_text(&row->remote, address);
        line_begin(line, VERB_INSERT, TABLE_ENDPOINT, row->id);
        line_time(line, row->created_us);
        line_nulls(line, ENDPOINT_PID - ENDPOINT_SEEN_BY);
        line_u64(line, row->pid);
        line_nulls(line, ENDPOINT_DIRECTION - ENDPOINT_PID_SOURCE);
        line_word(line, endpoint_direction_name(row->direction));
        line_word(line, *address ? address : NULL);
        line_u64(line, row->remote.port);
        line_null(line);
        line_u64(line, row->netns);
        line_u64(line, row->cookie);
        line_word(line, row->settled ? "closed" : NULL);
        line_nulls(line, ENDPOINT_COLUMN_N - ENDPOINT_LOCAL_ADDRESS);
        if (row_output_send(e->output) != 0)
            return;
    }
}

void endpoint_restore_checkpoint(struct endpoints *e)
{
    OPENSSL_LH_doall_arg(e->left_open, checkpoint_chain, e);
}

static struct endpoint *revive(struct endpoints *e, const struct restored_endpoint *row)
{
    const struct socket_description socket = {
        .cookie = row->cookie, .netns = row->netns, .remote = row->remote};
    struct endpoint *endpoint = endpoints_add(e, &socket, 0);
    if (!endpoint)
        return NULL;
    int64_t created = (int64_t)(row->created_us * 1000) - e->output->timeline->offset_ns;
    endpoint->created_ns = created > 0 ? (uint64_t)created : 0;
    endpoint->id = row->id;
    endpoint->direction = row->direction;
    endpoint->status = row->direction == ENDPOINT_LISTEN ? ENDPOINT_LISTENING
                       : row->settled                    ? ENDPOINT_ESTABLISHED
                                                         : ENDPOINT_REQUESTED;
    endpoint->owner.pid = row->pid;
    endpoint->owner.source = PID_EXACT; /* whatever it is, it is written */
    endpoint->inserted = true;
    endpoint->settled = row->settled;
    endpoint_queue_put(&e->open, endpoint, 0);
    return endpoint;
}

struct endpoint *endpoint_restore_adopt(struct endpoints *e, uint64_t cookie)
{
    struct restored_endpoint key = {.cookie = cookie};
    if (OPENSSL_LH_num_items(e->left_open) == 0)
        return NULL;
    struct restored_endpoint *chain = OPENSSL_LH_delete(e->left_open, &key);
    struct endpoint *endpoint = NULL;
    for (struct restored_endpoint *row = chain; row; row = row->next) {
        struct endpoint *revived = revive(e, row);
        endpoint = revived ? revived : endpoint;
    }
    free_chain(chain);
    return endpoint;
}
