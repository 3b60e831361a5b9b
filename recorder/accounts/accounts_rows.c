/* What a row says is the text of its line, by which it is also found again. What waits for the
 * sink, open or ended, counts as a row in memory until it is written. */
#include "recorder/accounts/accounts_private.h"

#include "core/evidence_text.h"
#include "core/hash.h"
#include "core/hex.h"

#include <stdlib.h>

unsigned long account_hash(enum table_id table, struct slice bytes)
{
    return (unsigned long)hash_slice(HASH_START + (uint64_t)table, bytes);
}

/* -- the text of a line -- */

static void append_text(struct accounts *a, struct slice bytes)
{
    buffer_clear(&a->evidence);
    if (bytes.length)
        evidence_text_append(&a->evidence, bytes);
    a->text.failed |= a->evidence.failed;
    evidence_field_append(&a->text, slice_is_null(bytes) ? SLICE_NULL : buffer_slice(&a->evidence));
}

static void append_next_text(struct accounts *a, struct slice bytes)
{
    buffer_append_byte(&a->text, '\t');
    append_text(a, bytes);
}

static void append_id(struct accounts *a, uint32_t id)
{
    if (id == ID_UNSET)
        buffer_append_text(&a->text, "\t\\N");
    else
        buffer_printf(&a->text, "\t%u", id);
}

static const char *const states[] = {"\\N", "empty", "locked", "set", "absent"};
_Static_assert(sizeof(states) / sizeof(states[0]) == PASSWORD_STATE_N, "name each state");

static void append_password(struct accounts *a, const struct account_password *password)
{
    buffer_printf(&a->text, "\t%s\t", states[password->state]);
    if (password->has_digest)
        hex_append(&a->text, password->digest, sizeof(password->digest));
    else
        buffer_append_text(&a->text, "\\N");
}

static void append_account(struct accounts *a, const struct fact_account *account)
{
    append_text(a, account->name);
    append_id(a, account->uid);
    append_id(a, account->gid);
    append_next_text(a, account->gecos);
    append_next_text(a, account->home);
    append_next_text(a, account->shell);
    append_password(a, &account->password);
}

bool account_values(struct accounts *a, const struct fact *fact, enum table_id *table)
{
    buffer_clear(&a->text);
    if (fact->kind == FACT_ACCOUNT) {
        *table = TABLE_ACCOUNT;
        append_account(a, &fact->account);
    } else if (fact->kind == FACT_ACCOUNT_GROUP) {
        *table = TABLE_ACCOUNT_GROUP;
        append_text(a, fact->account_group.name);
        append_id(a, fact->account_group.gid);
        append_password(a, &fact->account_group.password);
    } else {
        *table = TABLE_GROUP_MEMBER;
        append_text(a, fact->group_member.group);
        append_next_text(a, fact->group_member.name);
    }
    return !a->text.failed;
}

/* The last two values; tabs within a value are escaped. */
static struct slice password_of(struct slice values)
{
    size_t n_tabs = 0, at = values.length;
    while (at > 0 && n_tabs < 2)
        n_tabs += values.data[--at] == '\t';
    return slice_of(values.data + at, values.length - at);
}

enum password_state account_values_keep_password(struct accounts *a,
                                                 const struct account_row *known)
{
    struct slice password = password_of(shared_text_slice(known->row.values));
    a->text.length -= password_of(buffer_slice(&a->text)).length;
    buffer_append_slice(&a->text, password);
    const uint8_t *tab = memchr(password.data + 1, '\t', password.length - 1);
    struct slice word = slice_of(password.data + 1, (size_t)(tab - password.data) - 1);
    for (int state = PASSWORD_UNKNOWN; state < PASSWORD_STATE_N; state++)
        if (slice_is(word, states[state]))
            return (enum password_state)state;
    return PASSWORD_UNKNOWN;
}

/* -- rows -- */

size_t account_name_length(enum table_id table, struct slice values)
{
    const uint8_t *tab = memchr(values.data, '\t', values.length);
    return tab && table != TABLE_GROUP_MEMBER ? (size_t)(tab - values.data) : values.length;
}

struct account_row *account_row_new(struct accounts *a, enum table_id table)
{
    struct account_row *row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->row = (struct text_row){.table = table,
                                 .seen_by = SEEN_BY_INOTIFY,
                                 .values = shared_text_new(buffer_slice(&a->text))};
    row->uid = ID_UNSET;
    if (!row->row.values) {
        free(row);
        return NULL;
    }
    row->key_length = account_name_length(table, shared_text_slice(row->row.values));
    a->n_rows++;
    return row;
}

struct account_row *account_row_find(struct accounts *a, enum table_id table)
{
    struct account_row key = {
        .row = {.table = table, .values = shared_text_new(buffer_slice(&a->text))}
    };
    struct account_row *row = key.row.values ? OPENSSL_LH_retrieve(a->by_values, &key) : NULL;
    shared_text_unref(key.row.values);
    return row;
}

bool account_row_file(struct accounts *a, struct account_row *row)
{
    OPENSSL_LH_insert(a->by_values, row);
    return !OPENSSL_LH_error(a->by_values);
}

void account_row_free(struct accounts *a, struct account_row *row)
{
    shared_text_unref(row->row.values);
    free(row);
    a->n_rows--;
}

/* -- writing -- */

void account_row_begin(struct accounts *a, struct account_row *row, uint64_t at_ns)
{
    text_row_begin(&a->rows, &row->row, timeline_real_us(a->output->timeline, at_ns));
}

void account_row_end(struct accounts *a, struct account_row *row, uint64_t ended_us,
                     enum end_cause cause)
{
    if (row->from_switch) {
        account_switch_unlist(a, row);
    } else {
        if (OPENSSL_LH_retrieve(a->by_values, row) == row)
            OPENSSL_LH_delete(a->by_values, row);
        TAILQ_REMOVE(&account_part_of(a, row->row.table)->open, row, in_part);
    }
    text_row_end(&a->rows, &row->row, ended_us, cause);
}

void accounts_tick(struct accounts *a)
{
    text_rows_tick(&a->rows);
}

void accounts_flush(struct accounts *a)
{
    text_rows_flush(&a->rows);
}

void accounts_checkpoint(struct accounts *a)
{
    const struct account_row *row;
    for (int part = 0; part < ACCOUNT_PART_N; part++)
        TAILQ_FOREACH(row, &a->part[part].open, in_part)
    text_row_checkpoint(&a->rows, &row->row);
    TAILQ_FOREACH(row, &a->of_switch.open, in_part)
    text_row_checkpoint(&a->rows, &row->row);
    text_rows_checkpoint_waiting(&a->rows);
}
