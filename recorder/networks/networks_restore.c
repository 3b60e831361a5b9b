/* What an earlier run left open: taken up again when something begins that says the same, ended
 * when a complete dump has passed without it, or when the host was started anew. A row has no index
 * of its interface and no cookie, so what it says is all there is to know it by. While the lines of
 * the journal come in, rows are known by their ids. */
#include "recorder/networks/networks_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

enum { COMMON_BIRTH = 2 }; /* created_at, seen_by */

static unsigned long id_hash(const void *item)
{
    const struct network_row *row = item;
    return network_hash(&row->row.id, sizeof(row->row.id));
}

static int id_compare(const void *a, const void *b)
{
    return ((const struct network_row *)a)->row.id != ((const struct network_row *)b)->row.id;
}

static unsigned long values_hash(const void *item)
{
    const struct network_row *row = item;
    return network_hash(row->row.values->data, row->row.values->length);
}

static int values_compare(const void *a, const void *b)
{
    const struct network_row *one = a, *other = b;
    return one->row.table != other->row.table ||
           !slice_equal(shared_text_slice(one->row.values), shared_text_slice(other->row.values));
}

int network_restore_init(struct networks *n)
{
    n->restored = OPENSSL_LH_new(id_hash, id_compare);
    n->left_open = OPENSSL_LH_new(values_hash, values_compare);
    return n->restored && n->left_open ? 0 : -ENOMEM;
}

static void free_chain(void *item, void *user)
{
    struct network_row *row = item, *next;
    for (; row; row = next) {
        next = row->next_left_open;
        network_row_free(user, row);
    }
}

void network_restore_deinit(struct networks *n)
{
    if (n->restored)
        OPENSSL_LH_doall_arg(n->restored, free_chain, n);
    if (n->left_open)
        OPENSSL_LH_doall_arg(n->left_open, free_chain, n);
    OPENSSL_LH_free(n->restored);
    OPENSSL_LH_free(n->left_open);
}

static void remember(struct networks *n, enum table_id table, uint64_t id,
                     const struct slice *values)
{
    struct network_row *row = calloc(1, sizeof(*row));
    if (!row)
        return;
    n->n_rows++;
    row->row.id = id;
    row->row.table = table;
    row->row.seen_by = SEEN_BY_RTNETLINK;
    row->row.inserted = true;
    row->row.created_us = line_parse_time(values[0]);
    buffer_clear(&n->text);
    text_row_append(&n->text, values + COMMON_BIRTH, text_row_n_values(table));
    row->row.values = n->text.failed ? NULL : shared_text_new(buffer_slice(&n->text));
    if (row->row.values)
        OPENSSL_LH_insert(n->restored, row);
    if (!row->row.values || OPENSSL_LH_error(n->restored))
        network_row_free(n, row);
}

void networks_restore(struct networks *n, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values)
{
    const struct network_row key = {.row = {.id = id}};
    struct network_row *row = OPENSSL_LH_retrieve(n->restored, &key);
    size_t end = COMMON_BIRTH + text_row_n_values(table);
    if (verb == VERB_END && row)
        network_row_free(n, OPENSSL_LH_delete(n->restored, row));
    else if (verb == VERB_INSERT && !row && n_values > end && slice_is_null(values[end]))
        remember(n, table, id, values);
}

static void file_by_values(void *item, void *user)
{
    struct networks *n = user;
    struct network_row *row = item;
    row->next_left_open = OPENSSL_LH_insert(n->left_open, row);
    if (OPENSSL_LH_error(n->left_open))
        network_row_free(n, row);
}

void networks_restored(struct networks *n, bool same_boot, uint64_t last_real_us)
{
    n->last_real_us = last_real_us;
    OPENSSL_LH_doall_arg(n->restored, file_by_values, n);
    OPENSSL_LH_flush(n->restored);
    if (!same_boot)
        network_restore_end(n, last_real_us, END_REBOOT);
}

bool network_restore_take(struct networks *n, struct network_row *row)
{
    struct network_row *taken = OPENSSL_LH_retrieve(n->left_open, row);
    if (!taken)
        return false;
    struct network_row *second = taken->next_left_open;
    if (second) {
        taken->next_left_open = second->next_left_open;
        taken = second;
    } else {
        OPENSSL_LH_delete(n->left_open, taken);
    }
    row->row.id = taken->row.id;
    row->row.created_us = taken->row.created_us;
    row->row.inserted = true;
    network_row_free(n, taken);
    return true;
}

struct end {
    struct networks *n;
    uint64_t us;
    enum end_cause cause;
};

static void end_chain(void *item, void *user)
{
    const struct end *end = user;
    struct network_row *row = item, *next;
    for (; row; row = next) {
        next = row->next_left_open;
        network_row_end(end->n, row, end->us, end->cause);
    }
}

void network_restore_end(struct networks *n, uint64_t ended_us, enum end_cause cause)
{
    struct end end = {n, ended_us, cause};
    OPENSSL_LH_doall_arg(n->left_open, end_chain, &end);
    OPENSSL_LH_flush(n->left_open);
}
