/* A reading names all that is there. A row that says the same is marked; what is new waits for the
 * end of the reading, when it is known which names are still there: then first the old rows end and
 * after that the new ones begin, both at the moment of the change. A reading that was not complete
 * proves nothing of what it did not name. Where the file of passwords could not be read, they are
 * what the row of that name says. */
#include "recorder/accounts/accounts_private.h"

#include <stdlib.h>

static unsigned long values_hash(const void *item)
{
    const struct account_row *row = item;
    return account_hash(row->row.table, shared_text_slice(row->row.values));
}

static int values_compare(const void *a, const void *b)
{
    const struct account_row *one = a, *other = b;
    return one->row.table != other->row.table ||
           !slice_equal(shared_text_slice(one->row.values), shared_text_slice(other->row.values));
}

static unsigned long name_hash(const void *item)
{
    const struct account_row *row = item;
    return account_hash(row->row.table, account_row_name(row));
}

static int name_compare(const void *a, const void *b)
{
    const struct account_row *one = a, *other = b;
    return one->row.table != other->row.table ||
           !slice_equal(account_row_name(one), account_row_name(other));
}

static unsigned long id_hash(const void *item)
{
    const struct account_row *row = item;
    return account_hash(row->row.table, slice_of(&row->row.id, sizeof(row->row.id)));
}

static int id_compare(const void *a, const void *b)
{
    const struct account_row *one = a, *other = b;
    return one->row.table != other->row.table || one->row.id != other->row.id;
}

static void row_over(void *user, struct text_row *row)
{
    account_row_free(user, (struct account_row *)(void *)row);
}

int accounts_new(struct accounts **accountsp, const struct accounts_options *options)
{
    struct accounts *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->output = options->output;
    a->findings = options->findings;
    a->most = options->most;
    text_rows_init(&a->rows, options->output, row_over, a);
    for (int part = 0; part < ACCOUNT_PART_N; part++) {
        TAILQ_INIT(&a->part[part].open);
        TAILQ_INIT(&a->part[part].fresh);
    }
    a->by_values = OPENSSL_LH_new(values_hash, values_compare);
    a->fresh_names = OPENSSL_LH_new(name_hash, name_compare);
    a->restored = OPENSSL_LH_new(id_hash, id_compare);
    a->open_names = OPENSSL_LH_new(name_hash, name_compare);
    if (!account_switch_init(&a->of_switch) || !a->by_values || !a->fresh_names || !a->restored ||
        !a->open_names) {
        accounts_free(a);
        return -ENOMEM;
    }
    *accountsp = a;
    return 0;
}

static void free_rows(struct accounts *a, struct account_rows *rows)
{
    struct account_row *row;
    while ((row = TAILQ_FIRST(rows))) {
        TAILQ_REMOVE(rows, row, in_part);
        account_row_free(a, row);
    }
}

static void free_restored(void *item, void *user)
{
    account_row_free(user, item);
}

struct accounts *accounts_free(struct accounts *a)
{
    if (!a)
        return NULL;
    text_rows_deinit(&a->rows);
    for (int part = 0; part < ACCOUNT_PART_N; part++) {
        free_rows(a, &a->part[part].open);
        free_rows(a, &a->part[part].fresh);
    }
    free_rows(a, &a->of_switch.open);
    if (a->restored)
        OPENSSL_LH_doall_arg(a->restored, free_restored, a);
    OPENSSL_LH_free(a->by_values);
    OPENSSL_LH_free(a->fresh_names);
    OPENSSL_LH_free(a->restored);
    OPENSSL_LH_free(a->open_names);
    OPENSSL_LH_free(a->of_switch.by_uid);
    buffer_deinit(&a->text);
    buffer_deinit(&a->evidence);
    free(a);
    return NULL;
}

/* -- a reading -- */

static void no_room(struct account_part_rows *part)
{
    part->scan_beyond++;
}

static struct account_row *add_fresh(struct accounts *a, struct account_part_rows *part,
                                     enum table_id table)
{
    struct account_row *row = a->n_rows < a->most ? account_row_new(a, table) : NULL;
    if (!row || !account_row_file(a, row)) {
        if (row)
            account_row_free(a, row);
        no_room(part);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&part->fresh, row, in_part);
    OPENSSL_LH_insert(a->fresh_names, row); /* one of each name is enough */
    return row;
}

static void forget_names(struct accounts *a)
{
    OPENSSL_LH_flush(a->open_names);
    a->named = NULL;
}

/* Of two with one name either will do: a line of passwords is of a name. */
static const struct account_row *find_open(struct accounts *a, const struct account_part_rows *part,
                                           enum table_id table)
{
    struct account_row *row;
    struct account_row key = {
        .row = {.table = table, .values = shared_text_new(buffer_slice(&a->text))}
    };
    if (!key.row.values)
        return NULL;
    if (a->named != part) {
        forget_names(a);
        TAILQ_FOREACH(row, &part->open, in_part)
        OPENSSL_LH_insert(a->open_names, row);
        a->named = part;
    }
    key.key_length = account_name_length(table, shared_text_slice(key.row.values));
    row = OPENSSL_LH_retrieve(a->open_names, &key);
    shared_text_unref(key.row.values);
    return row;
}

static enum password_state keep_password(struct accounts *a, const struct account_part_rows *part,
                                         const struct fact *fact)
{
    bool of_group = fact->kind == FACT_ACCOUNT_GROUP;
    enum password_state state =
        of_group ? fact->account_group.password.state : fact->account.password.state;
    const struct account_row *known =
        state == PASSWORD_UNKNOWN
            ? find_open(a, part, of_group ? TABLE_ACCOUNT_GROUP : TABLE_ACCOUNT)
            : NULL;
    return known ? account_values_keep_password(a, known) : state;
}

static void on_entry(struct accounts *a, const struct fact *fact)
{
    enum table_id table;
    enum password_state password = PASSWORD_UNKNOWN;
    bool described = account_values(a, fact, &table);
    struct account_part_rows *part = account_part_of(a, table);
    if (!part->scanning)
        return;
    if (described && fact->kind != FACT_GROUP_MEMBER) {
        password = keep_password(a, part, fact);
        described = !a->text.failed;
    }
    struct account_row *row = described ? account_row_find(a, table) : NULL;
    if (!described)
        no_room(part);
    else if (!row)
        row = add_fresh(a, part, table);
    if (!row)
        return;
    row->n_lines = row->generation == part->generation ? row->n_lines + 1 : 1;
    row->generation = part->generation;
    row->restored = false;
    if (table == TABLE_ACCOUNT) {
        row->uid = fact->account.uid;
        row->password = password;
    }
}

static bool has_fresh_name(struct accounts *a, const struct account_row *row)
{
    return OPENSSL_LH_retrieve(a->fresh_names, row) != NULL;
}

static void sweep(struct accounts *a, struct account_part_rows *part, bool complete)
{
    uint64_t ended_us = timeline_real_us(a->output->timeline, part->moment_ns);
    struct account_row *row = TAILQ_FIRST(&part->open), *next;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_part);
        bool again = has_fresh_name(a, row);
        if (row->generation == part->generation || (!complete && !again))
            continue;
        account_row_end(a, row, ended_us,
                        row->restored ? END_RECONCILED
                        : again       ? END_CLOSED
                                      : END_REMOVED);
    }
}

static void begin_fresh(struct accounts *a, struct account_part_rows *part)
{
    struct account_row *row;
    OPENSSL_LH_flush(a->fresh_names);
    while ((row = TAILQ_FIRST(&part->fresh))) {
        TAILQ_REMOVE(&part->fresh, row, in_part);
        TAILQ_INSERT_TAIL(&part->open, row, in_part);
        account_row_begin(a, row, part->moment_ns);
    }
}

/* What a reading finds no room for is no news when the last one found as little. */
static void count_beyond(struct accounts *a, struct account_part_rows *part)
{
    if (part->scan_beyond > part->known_beyond)
        a->beyond += part->scan_beyond - part->known_beyond;
    part->known_beyond = part->scan_beyond;
}

static void end_scan(struct accounts *a, const struct fact_account_scan *scan)
{
    struct account_part_rows *part = &a->part[scan->part];
    if (!part->scanning)
        return;
    part->scanning = false;
    part->read = scan->sequence;
    forget_names(a);
    sweep(a, part, scan->complete);
    begin_fresh(a, part);
    count_beyond(a, part);
    if (scan->part == ACCOUNT_PART_ACCOUNTS && scan->complete)
        account_review(a, timeline_real_us(a->output->timeline, part->moment_ns));
}

static void begin_scan(struct accounts *a, const struct fact *fact)
{
    struct account_part_rows *part = &a->part[fact->account_scan.part];
    forget_names(a);
    if (part->scanning) /* its end never came */
        begin_fresh(a, part);
    a->unwatched = false;
    part->scanning = true;
    part->moment_ns = fact->boot_ns;
    part->scan_beyond = 0;
    part->generation++;
}

static void on_scan(struct accounts *a, const struct fact *fact)
{
    const struct fact_account_scan *scan = &fact->account_scan;
    if (scan->step == ACCOUNT_SCAN_WANTED)
        a->part[scan->part].wanted = scan->sequence;
    else if (scan->step == ACCOUNT_SCAN_BEGAN)
        begin_scan(a, fact);
    else
        end_scan(a, scan);
}

void accounts_fact(struct accounts *a, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_USER_NAME:
        account_switch_fact(a, fact);
        break;
    case FACT_ACCOUNT:
        if (fact->account.from_switch)
            account_switch_fact(a, fact);
        else
            on_entry(a, fact);
        break;
    case FACT_ACCOUNT_GROUP:
    case FACT_GROUP_MEMBER:
        on_entry(a, fact);
        break;
    case FACT_ACCOUNT_SCAN:
        on_scan(a, fact);
        break;
    default:
        break;
    }
}

/* Numbers of changes go round. */
bool accounts_settled(const struct accounts *a)
{
    bool settled = true;
    for (int part = 0; part < ACCOUNT_PART_N; part++)
        settled &=
            !a->part[part].scanning && (int32_t)(a->part[part].read - a->part[part].wanted) >= 0;
    return settled;
}

void accounts_unwatched(struct accounts *a)
{
    uint64_t now_us = timeline_real_us(a->output->timeline, a->output->timeline->now_boot_ns);
    struct account_row *row;
    bool any = false;
    forget_names(a);
    a->unwatched = true;
    while ((row = TAILQ_FIRST(&a->of_switch.open)))
        account_row_end(a, row, row->restored ? a->last_real_us : now_us, END_UNKNOWN);
    for (int i = 0; i < ACCOUNT_PART_N; i++) {
        struct account_part_rows *part = &a->part[i];
        begin_fresh(a, part);
        while ((row = TAILQ_FIRST(&part->open))) {
            any = true;
            account_row_end(a, row, row->restored ? a->last_real_us : now_us, END_UNKNOWN);
        }
        part->scanning = false;
        part->read = part->wanted;
    }
    if (any)
        account_review_end_all(a, now_us);
}

uint64_t accounts_take_beyond(struct accounts *a)
{
    uint64_t beyond = a->beyond;
    a->beyond = 0;
    return beyond;
}

size_t accounts_rows(const struct accounts *a)
{
    return a->n_rows;
}
