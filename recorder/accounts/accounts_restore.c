/* What an earlier run left open is open again, and the first complete reading says what has become
 * of it, or the first answer of the switch, if seen_by says that it was asked. While the lines of
 * the journal come in, rows are known by their ids. */
#include "recorder/accounts/accounts_private.h"

enum { CREATED_AT, SEEN_BY, COMMON_BIRTH, UID = COMMON_BIRTH + 1 };

static uint32_t parse_uid(struct slice digits)
{
    uint32_t uid = 0;
    for (size_t i = 0; i < digits.length; i++)
        uid = uid * 10 + (uint32_t)(digits.data[i] - '0');
    return uid;
}

static void remember(struct accounts *a, enum table_id table, uint64_t id,
                     const struct slice *values)
{
    buffer_clear(&a->text);
    text_row_append(&a->text, values + COMMON_BIRTH, text_row_n_values(table));
    struct account_row *row = a->text.failed ? NULL : account_row_new(a, table);
    if (!row)
        return;
    row->row.id = id;
    row->row.created_us = line_parse_time(values[CREATED_AT]);
    row->from_switch = table == TABLE_ACCOUNT && slice_is(values[SEEN_BY], "agent");
    if (row->from_switch) {
        row->uid = parse_uid(values[UID]);
        row->row.seen_by = SEEN_BY_AGENT;
    }
    row->row.inserted = row->restored = true;
    OPENSSL_LH_insert(a->restored, row);
    if (OPENSSL_LH_error(a->restored))
        account_row_free(a, row);
}

void accounts_restore(struct accounts *a, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values)
{
    const struct account_row key = {
        .row = {.table = table, .id = id}
    };
    struct account_row *row = OPENSSL_LH_retrieve(a->restored, &key);
    size_t end = COMMON_BIRTH + text_row_n_values(table);
    if (verb == VERB_END && row)
        account_row_free(a, OPENSSL_LH_delete(a->restored, row));
    else if (verb == VERB_INSERT && !row && n_values > end && slice_is_null(values[end]))
        remember(a, table, id, values);
}

/* Of two that say the same, one is never named and ends with the first reading. */
static void open_again(void *item, void *user)
{
    struct accounts *a = user;
    struct account_row *row = item;
    if (row->from_switch) {
        account_switch_restore(a, row);
        return;
    }
    if (!OPENSSL_LH_retrieve(a->by_values, row))
        (void)account_row_file(a, row);
    TAILQ_INSERT_TAIL(&account_part_of(a, row->row.table)->open, row, in_part);
}

void accounts_restored(struct accounts *a, uint64_t last_real_us)
{
    a->last_real_us = last_real_us;
    OPENSSL_LH_doall_arg(a->restored, open_again, a);
    OPENSSL_LH_flush(a->restored);
}
