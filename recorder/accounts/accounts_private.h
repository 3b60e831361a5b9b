#pragma once
/* What the files of these lifecycles share; nobody else includes it. */
#include "recorder/accounts/accounts.h"
#include "recorder/lifecycle/text_rows.h"

#include <openssl/lhash.h>
#include <sys/queue.h>

TAILQ_HEAD(account_rows, account_row);

struct account_row {
    struct text_row row;
    TAILQ_ENTRY(account_row) in_part; /* open, or fresh */
    size_t key_length;   /* of the name (of a member both) at the beginning of the values */
    uint32_t generation; /* of the reading that last named it */
    unsigned n_lines;    /* that said so in that reading */
    uint32_t uid;        /* of an account, as of that reading */
    enum password_state password;
    bool restored; /* of an earlier run, not named yet by this one */
    bool from_switch;
};

struct account_switch {
    struct account_rows open;
    OPENSSL_LHASH *by_uid;
    size_t n;
};

struct account_part_rows {
    struct account_rows open;
    struct account_rows fresh;         /* first named by the reading at hand, not yet written */
    uint32_t generation, wanted, read; /* of readings; of changes: the last one known and read */
    bool scanning;
    uint64_t moment_ns; /* of the change that is being read */
    uint64_t scan_beyond, known_beyond;
};

struct accounts {
    struct row_output *output;
    struct findings *findings;
    size_t most, n_rows;
    OPENSSL_LHASH *by_values; /* open and fresh rows */
    OPENSSL_LHASH *fresh_names;
    OPENSSL_LHASH *restored;   /* by id, while lines are restored */
    OPENSSL_LHASH *open_names; /* of a part whose passwords are unknown, while it is read */
    const struct account_part_rows *named; /* this one; NULL: none */
    struct account_part_rows part[ACCOUNT_PART_N];
    struct account_switch of_switch;
    bool unwatched;
    struct text_rows rows;
    struct buffer text, evidence; /* scratch */
    uint64_t last_real_us, beyond;
};

unsigned long account_hash(enum table_id table, struct slice bytes);
static inline struct slice account_row_name(const struct account_row *row)
{
    return slice_of(row->row.values->data, row->key_length);
}
static inline struct account_part_rows *account_part_of(struct accounts *a, enum table_id table)
{
    return &a->part[table == TABLE_ACCOUNT ? ACCOUNT_PART_ACCOUNTS : ACCOUNT_PART_GROUPS];
}

/* accounts_rows.c */
/** The values of a row, in the scratch buffer; false: there is no memory. */
bool account_values(struct accounts *a, const struct fact *fact, enum table_id *table);
/** The row that says what the scratch buffer says; NULL: none. */
struct account_row *account_row_find(struct accounts *a, enum table_id table);
/** A row of the scratch buffer, in no list; NULL: there is no memory. */
struct account_row *account_row_new(struct accounts *a, enum table_id table);
/** Returns false when there is no memory. */
bool account_row_file(struct accounts *a, struct account_row *row);
/** Write it, as true since @p at_ns. */
void account_row_begin(struct accounts *a, struct account_row *row, uint64_t at_ns);
/** The row leaves its part, and is freed, at once or when it is written. */
void account_row_end(struct accounts *a, struct account_row *row, uint64_t ended_us,
                     enum end_cause cause);
/** What the scratch buffer says of the password becomes what @p known says. Returns its state. */
enum password_state account_values_keep_password(struct accounts *a,
                                                 const struct account_row *known);
/** The length of the name with which values begin. */
size_t account_name_length(enum table_id table, struct slice values);
/** Forget a row that is in no list. */
void account_row_free(struct accounts *a, struct account_row *row);

/* accounts_switch.c */
bool account_switch_init(struct account_switch *s);
/** An entry of the switch, or whose a uid is. */
void account_switch_fact(struct accounts *a, const struct fact *fact);
/** Out of the open ones. */
void account_switch_unlist(struct accounts *a, struct account_row *row);
/** A row of an earlier run that was open. */
void account_switch_restore(struct accounts *a, struct account_row *row);

/* accounts_review.c */
/** What is to be said of all accounts together, after a complete reading. */
void account_review(struct accounts *a, uint64_t at_us);
void account_review_end_all(struct accounts *a, uint64_t at_us);
