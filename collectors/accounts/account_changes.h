#pragma once
/*
 * When the files have to be read again, by the events of their directory. Has no descriptor and no
 * clock.
 *
 * A program that follows the rules takes a lock file (passwd.lock ...), puts new files in the place
 * of the old ones, one after the other, and removes the lock: then the files agree with each other,
 * and it is time to read them. Of others it is known only that they are quiet. Whatever locks are
 * there, a change does not wait longer than two seconds.
 */
#include "core/fact.h"

/* The files, in the order of the parts that they belong to. */
enum account_file { FILE_PASSWD, FILE_SHADOW, FILE_GROUP, FILE_GSHADOW, ACCOUNT_FILE_N };

const char *account_file_name(enum account_file file);
/** FILE_PASSWD and FILE_SHADOW: ACCOUNT_PART_ACCOUNTS; the others: ACCOUNT_PART_GROUPS. */
enum account_part account_file_part(enum account_file file);

struct account_change {
    uint64_t first_ns, last_ns; /* first 0: there is none */
    bool released;              /* a lock was removed after it */
    uint32_t sequence;          /* of the last change of the part; 0: none yet */
};

struct account_changes {
    unsigned locked; /* a bit a file */
    struct account_change part[ACCOUNT_PART_N];
};

/** An event of the directory at @p now_ns: @p appeared a name is there now, else it is gone; the
 *  contents of one that appeared may be others, or will be. Others' names are passed over. */
void account_changes_event(struct account_changes *changes, const char *name, bool appeared,
                           uint64_t now_ns);
/** A part has to be read for another reason. */
void account_changes_mark(struct account_changes *changes, enum account_part part, uint64_t now_ns);
/** Whether the lock of @p file is there, as seen by a look at it. */
void account_changes_lock(struct account_changes *changes, enum account_file file, bool there);
/** When the part has to be read; UINT64_MAX: not. */
uint64_t account_changes_due(const struct account_changes *changes, enum account_part part);
/** The change that is about to be read, which is none any more. */
struct account_change account_changes_take(struct account_changes *changes, enum account_part part);
