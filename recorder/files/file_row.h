#pragma once
/*
 * One row of `file_access` in memory, and who it is of. A row stands in one queue at most, which
 * says what it waits for.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/shared_text.h"

#include <sys/queue.h>

/* Members of the SET, in its order. */
enum file_operation {
    OPERATION_READ = 1 << 0,
    OPERATION_WRITE = 1 << 1,
    OPERATION_EXECUTE = 1 << 2,
    OPERATION_CREATE = 1 << 3,
    OPERATION_DELETE = 1 << 4,
    OPERATION_RENAME = 1 << 5,
    OPERATION_ATTRIBUTES = 1 << 6
};

struct file_actor;
struct file_program;
struct file_queue;

/* What a row is about: the first member of a row, so that a table of rows is a table of these. */
struct file_key {
    struct file_actor *actor;
    struct slice path;
};

struct file_row {
    struct file_key key;
    TAILQ_ENTRY(file_row) in_queue;
    TAILQ_ENTRY(file_row) in_actor;
    struct file_queue *queue;
    uint64_t deadline_ns;
    struct slice new_path; /* of a rename; else SLICE_NULL */
    uint64_t id, created_ns, created_us;
    uint64_t heard_ns;  /* when the last fact about it was heard */
    uint64_t seen_ns;   /* when a look at /proc showed it last; 0: never */
    uint64_t closed_ns; /* of the last close; 0: none */
    uint64_t ended_ns;  /* 0: it lives */
    enum end_cause end_cause;
    uint32_t pid, uid, login_uid;
    char comm[16];
    struct file_status status;
    uint32_t opens, closes; /* facts with an open, and those that were closed since */
    uint32_t executions;    /* among the opens */
    unsigned operations;    /* of enum file_operation */
    unsigned seen_by;
    uint32_t generation; /* of the last look at all descriptors that showed it */
    bool inherited, path_at_read;
    bool counted;              /* opens says something: facts of its use have come */
    bool filed;                /* a fact may still be about it: it stands in the table */
    bool inserted;             /* the database has it, open */
    struct shared_text *birth; /* of an earlier run: its birth values as text of a line */
    size_t n_bytes;
    uint8_t bytes[]; /* path and new path */
};

TAILQ_HEAD(file_row_list, file_row);

/* An image that has rows in memory. */
struct file_actor {
    TAILQ_ENTRY(file_actor) in_ended;
    uint64_t process_id; /* 0: nobody knows whose pid it is */
    uint32_t pid;        /* 0: nobody knows it */
    uint64_t ended_ns;   /* 0: it runs */
    uint64_t noticed_ns; /* when it was heard that it ended */
    enum end_cause end_cause;
    struct file_program *program; /* NULL: not known yet */
    bool program_certain;         /* it is called by its path */
    bool busy;                    /* a fact is being followed up: it stays, rows or none */
    bool in_ended_list;
    struct file_row_list rows;
};

/* Rows in the order of their deadlines. */
struct file_queue {
    struct file_row_list rows;
    size_t n;
};

void file_queue_init(struct file_queue *queue);
/** Put it at the end of @p queue, taking it out of the queue it stood in. */
void file_queue_put(struct file_queue *queue, struct file_row *row, uint64_t deadline_ns);
void file_queue_remove(struct file_row *row);

/** The set as a value of the line at hand, and back; an empty one is NULL. */
void file_operations_append(struct line *line, unsigned operations);
unsigned file_operations_parse(struct slice value);

/** NULL when memory is exhausted. */
struct file_row *file_row_new(struct slice path, struct slice new_path);

/** Every open that was seen has been closed. */
static inline bool file_row_is_closed(const struct file_row *row)
{
    return row->closed_ns && row->closes >= row->opens;
}
