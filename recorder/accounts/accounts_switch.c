/* Users whom only the name service switch knows. They are told one by one, when somebody asks for
 * one who appears in rows; so there is one row at most for each uid, outside of the readings of the
 * files, which prove nothing of it: which of the two sources is heard first is chance. It ends with
 * the next answer that is another one. */
#include "recorder/accounts/accounts_private.h"

enum { SWITCH_ROWS_MOST = 4096 };

static unsigned long uid_hash(const void *item)
{
    return ((const struct account_row *)item)->uid * 2654435761UL;
}

static int uid_compare(const void *a, const void *b)
{
    return ((const struct account_row *)a)->uid != ((const struct account_row *)b)->uid;
}

bool account_switch_init(struct account_switch *s)
{
    TAILQ_INIT(&s->open);
    s->by_uid = OPENSSL_LH_new(uid_hash, uid_compare);
    return s->by_uid != NULL;
}

static struct account_row *find(const struct accounts *a, uint32_t uid)
{
    const struct account_row key = {.uid = uid};
    return OPENSSL_LH_retrieve(a->of_switch.by_uid, &key);
}

static void list(struct accounts *a, struct account_row *row)
{
    TAILQ_INSERT_TAIL(&a->of_switch.open, row, in_part);
    a->of_switch.n++;
}

void account_switch_unlist(struct accounts *a, struct account_row *row)
{
    if (find(a, row->uid) == row)
        OPENSSL_LH_delete(a->of_switch.by_uid, row);
    TAILQ_REMOVE(&a->of_switch.open, row, in_part);
    a->of_switch.n--;
}

static void end(struct accounts *a, uint32_t uid, uint64_t at_ns, enum end_cause cause)
{
    struct account_row *row = find(a, uid);
    if (row)
        account_row_end(a, row, timeline_real_us(a->output->timeline, at_ns),
                        row->restored ? END_RECONCILED : cause);
}

static void begin(struct accounts *a, uint32_t uid, uint64_t at_ns)
{
    bool room = a->of_switch.n < SWITCH_ROWS_MOST && a->n_rows < a->most;
    struct account_row *row = room ? account_row_new(a, TABLE_ACCOUNT) : NULL;
    if (row) {
        row->from_switch = true;
        row->row.seen_by = SEEN_BY_AGENT;
        row->uid = uid;
    }
    if (row)
        OPENSSL_LH_insert(a->of_switch.by_uid, row);
    if (!row || OPENSSL_LH_error(a->of_switch.by_uid)) {
        if (row)
            account_row_free(a, row);
        a->beyond++;
        return;
    }
    list(a, row);
    account_row_begin(a, row, at_ns);
}

static void on_entry(struct accounts *a, const struct fact *fact)
{
    enum table_id table;
    uint32_t uid = fact->account.uid;
    if (!account_values(a, fact, &table)) {
        a->beyond++;
        return;
    }
    struct account_row *row = find(a, uid);
    if (row && slice_equal(shared_text_slice(row->row.values), buffer_slice(&a->text))) {
        row->restored = false;
        return;
    }
    end(a, uid, fact->boot_ns, END_CLOSED);
    begin(a, uid, fact->boot_ns);
}

void account_switch_fact(struct accounts *a, const struct fact *fact)
{
    if (fact->kind == FACT_ACCOUNT) {
        if (!a->unwatched)
            on_entry(a, fact);
    } else if (fact->user_name.origin == USER_OF_FILE) {
        end(a, fact->user_name.uid, fact->boot_ns, END_CLOSED);
    } else if (fact->user_name.origin == USER_OF_NOBODY) {
        end(a, fact->user_name.uid, fact->boot_ns, END_REMOVED);
    }
}

/* Of two of one uid, the later one. */
void account_switch_restore(struct accounts *a, struct account_row *row)
{
    struct account_row *other = find(a, row->uid);
    bool is_later = !other || other->row.id < row->row.id;
    if (other && is_later)
        account_row_end(a, other, a->last_real_us, END_RECONCILED);
    list(a, row);
    if (is_later)
        OPENSSL_LH_insert(a->of_switch.by_uid, row);
    if (!is_later || OPENSSL_LH_error(a->of_switch.by_uid))
        account_row_end(a, row, a->last_real_us, END_RECONCILED);
}
