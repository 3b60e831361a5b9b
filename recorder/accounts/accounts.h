#pragma once
/*
 * The lifecycles of accounts, groups and their members: facts of the files in /etc become rows of
 * `account`, `account_group` and `group_member`. One thread; no system calls; the same facts give
 * the same rows.
 *
 * A row says what a line of the files says. When a line says something else of the same name, its
 * row ends as closed and another one begins; when the name is gone, as removed. Accounts outlive
 * the agent and the boot: what an earlier run left open is taken up by the first complete reading,
 * or ended as reconciled. What should not be among accounts becomes rows of `finding`.
 *
 * A user who is not in the files but in rows has a row, too, of what the name service switch says
 * of him (seen_by agent). The switch is asked again when he appears again, not before its answer
 * has grown old (names_source.h). Another answer ends the row as closed and begins the next one;
 * that there is no such user any more ends it as removed; a line of the files with his uid as
 * closed, when the source of names has seen it. What an earlier run left open is taken up by the
 * first answer, or ended by it as reconciled. There are 4096 at most; each answer that finds no
 * room is counted.
 */
#include "core/fact.h"
#include "recorder/lifecycle/findings.h"
#include "recorder/lifecycle/row_output.h"

struct accounts;

struct accounts_options {
    struct row_output *output;
    struct findings *findings;
    size_t most; /* rows in memory; what is beyond is counted */
};

int accounts_new(struct accounts **accountsp, const struct accounts_options *options) MUST_CHECK;
struct accounts *accounts_free(struct accounts *accounts);

/** Facts of accounts, and FACT_USER_NAME; others are ignored. */
void accounts_fact(struct accounts *accounts, const struct fact *fact);
/** All sockets have been read: what the sink refused is tried again. */
void accounts_tick(struct accounts *accounts);
/** Nobody watches any more: every row ends as unknown. */
void accounts_unwatched(struct accounts *accounts);
/** Each change that is known has been read. */
bool accounts_settled(const struct accounts *accounts);
/** A last attempt to write what the sink refused; what it refuses again is counted. */
void accounts_flush(struct accounts *accounts);

/** Lines of an earlier run, in the order of the journal. */
void accounts_restore(struct accounts *accounts, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values);
/** All lines have been restored; the last of them was written at @p last_real_us. */
void accounts_restored(struct accounts *accounts, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void accounts_checkpoint(struct accounts *accounts);

/** Rows for which there was no room, since the last call. */
uint64_t accounts_take_beyond(struct accounts *accounts);
/** Rows in memory. */
size_t accounts_rows(const struct accounts *accounts);
