#pragma once
/*
 * The tables that the agent writes, as data: which columns a row has, in which order its line
 * gives them, and to which of the three lines (birth, settle, end) each belongs. Journal, shipper
 * and verification are driven by it and know nothing else of processes or files. A test compares
 * it with the schema of a real server.
 *
 * Order of the values of a line, after verb, table and id:
 *   insert  every column: birth, settle, end (what is not known yet, or comes later, is \N)
 *   settle  the settle columns
 *   end     the end columns
 * A row inserted with settle columns that are not all \N is settled; `destroyed_at` not \N: ended.
 * `host_id`, `day`, `batch`, `settle_batch` and `end_batch` are in no line: they follow from the
 * batch's header and the id.
 */
#include "core/slice.h"

enum verb { VERB_INSERT, VERB_SETTLE, VERB_END, VERB_N };

enum table_id {
    TABLE_NONE = -1,
    TABLE_PROCESS = 0,
    TABLE_PROCESS_CHANGE,
    TABLE_HOST,
    TABLE_BOOT,
    TABLE_COVERAGE,
    TABLE_GAP,
    TABLE_ENDPOINT,
    TABLE_ADDRESS_NAME,
    TABLE_INTERFACE_ADDRESS,
    TABLE_ROUTE,
    TABLE_FILE_ACCESS,
    TABLE_DEVICE,
    TABLE_ACCOUNT,
    TABLE_ACCOUNT_GROUP,
    TABLE_GROUP_MEMBER,
    TABLE_FINDING,
    TABLE_SESSION,
    TABLE_AUTH_ATTEMPT,
    TABLE_KERNEL_EVENT,
    TABLE_N
};

enum column_line { COLUMN_BIRTH, COLUMN_SETTLE, COLUMN_END };

struct column {
    const char *name;
    enum column_line line;
    unsigned since; /* format of batches that has it first; 0: all have it */
};

struct table {
    const char *name;
    const struct column *columns; /* sorted by line */
    size_t n_columns;
};

const struct table *catalogue_table(enum table_id id);
/** The table of that name, or TABLE_NONE. */
enum table_id catalogue_find(struct slice name);
const char *verb_name(enum verb verb);
/** VERB_N for an unknown word. */
enum verb verb_find(struct slice name);
/** First column and number of columns of a line with this verb, in the newest format. A line of an
 *  older one lacks the columns whose `since` is larger. */
size_t catalogue_line_columns(const struct table *table, enum verb verb, size_t *first);

/* Positions in the line of TABLE_PROCESS, for the lifecycle and for restoring open rows. */
enum process_column {
    PROCESS_CREATED_AT,
    PROCESS_SEEN_BY,
    PROCESS_BOOT_ID,
    PROCESS_PID,
    PROCESS_START_TICKS,
    PROCESS_PPID,
    PROCESS_PARENT_ID,
    PROCESS_PREVIOUS_ID,
    PROCESS_UID,
    PROCESS_USERNAME,
    PROCESS_EUID,
    PROCESS_EFFECTIVE_USERNAME,
    PROCESS_GID,
    PROCESS_EGID,
    PROCESS_CONTAINER,
    PROCESS_PID_NS,
    PROCESS_MNT_NS,
    PROCESS_NET_NS,
    PROCESS_OWN,
    PROCESS_UNAUDITED,
    /* settle */
    PROCESS_COMM,
    PROCESS_EXE,
    PROCESS_ARGV0,
    PROCESS_ARGUMENTS,
    PROCESS_ARGC,
    PROCESS_MASKED,
    PROCESS_CWD,
    PROCESS_TTY,
    PROCESS_EXE_SHA256,
    PROCESS_EXE_SIZE,
    PROCESS_EXE_MODIFIED_AT,
    PROCESS_SESSION_ID,
    PROCESS_LOGIN_UID,
    PROCESS_LOGIN_USERNAME,
    /* end */
    PROCESS_DESTROYED_AT,
    PROCESS_END_CAUSE,
    PROCESS_CPU_USER_US,
    PROCESS_CPU_SYSTEM_US,
    PROCESS_MAX_RSS_KIB,
    PROCESS_READ_BYTES,
    PROCESS_WRITE_BYTES,
    PROCESS_EXIT_UID,
    PROCESS_EXIT_CODE,
    PROCESS_EXIT_SIGNAL,
    PROCESS_COLUMN_N
};

/* Likewise of TABLE_GAP. */
enum gap_column {
    GAP_CREATED_AT,
    GAP_SEEN_BY,
    GAP_BOOT_ID,
    GAP_SOURCE,
    GAP_CAUSE,
    GAP_UNIT,
    GAP_COUNT,
    GAP_COUNT_AT_LEAST,
    GAP_COUNT_AT_MOST,
    GAP_DETAIL,
    GAP_DESTROYED_AT,
    GAP_END_CAUSE,
    GAP_COLUMN_N
};

/* Likewise of TABLE_ENDPOINT. */
enum endpoint_column {
    ENDPOINT_CREATED_AT,
    ENDPOINT_SEEN_BY,
    ENDPOINT_PROCESS_ID,
    ENDPOINT_PID,
    ENDPOINT_PID_SOURCE,
    ENDPOINT_APPLICATION,
    ENDPOINT_UID,
    ENDPOINT_USERNAME,
    ENDPOINT_LOGIN_UID,
    ENDPOINT_LOGIN_USERNAME,
    ENDPOINT_PROTOCOL,
    ENDPOINT_DIRECTION,
    ENDPOINT_REMOTE_ADDRESS,
    ENDPOINT_REMOTE_PORT,
    ENDPOINT_INTERFACE,
    ENDPOINT_NETNS,
    ENDPOINT_COOKIE,
    /* settle */
    ENDPOINT_STATUS,
    ENDPOINT_LOCAL_ADDRESS,
    ENDPOINT_LOCAL_PORT,
    ENDPOINT_LOCAL_NAME,
    ENDPOINT_REMOTE_NAME,
    /* end */
    ENDPOINT_DESTROYED_AT,
    ENDPOINT_END_CAUSE,
    ENDPOINT_BYTES_SENT,
    ENDPOINT_BYTES_RECEIVED,
    ENDPOINT_COLUMN_N
};

/* Likewise of TABLE_FILE_ACCESS. */
enum file_access_column {
    FILE_ACCESS_CREATED_AT,
    FILE_ACCESS_SEEN_BY,
    FILE_ACCESS_PROCESS_ID,
    FILE_ACCESS_PID,
    FILE_ACCESS_APPLICATION,
    FILE_ACCESS_UID,
    FILE_ACCESS_USERNAME,
    FILE_ACCESS_LOGIN_UID,
    FILE_ACCESS_LOGIN_USERNAME,
    FILE_ACCESS_PATH,
    FILE_ACCESS_NEW_PATH,
    FILE_ACCESS_INHERITED,
    FILE_ACCESS_PATH_AT_READ,
    FILE_ACCESS_DEVICE,
    FILE_ACCESS_INODE,
    /* end */
    FILE_ACCESS_DESTROYED_AT,
    FILE_ACCESS_END_CAUSE,
    FILE_ACCESS_OPERATIONS,
    FILE_ACCESS_OPENS,
    FILE_ACCESS_MODE,
    FILE_ACCESS_SIZE,
    FILE_ACCESS_COLUMN_N
};

/* Likewise of TABLE_DEVICE. */
enum device_column {
    DEVICE_CREATED_AT,
    DEVICE_SEEN_BY,
    DEVICE_SUBSYSTEM,
    DEVICE_DEVPATH,
    DEVICE_DEVNODE,
    DEVICE_DEVICE,
    DEVICE_VENDOR,
    DEVICE_MODEL,
    DEVICE_SERIAL,
    DEVICE_VENDOR_ID,
    DEVICE_MODEL_ID,
    DEVICE_USERS_LOGGED_IN,
    /* settle */
    DEVICE_DRIVER,
    /* end */
    DEVICE_DESTROYED_AT,
    DEVICE_END_CAUSE,
    DEVICE_COLUMN_N
};

/* Likewise of TABLE_KERNEL_EVENT. */
enum kernel_event_column {
    KERNEL_EVENT_CREATED_AT,
    KERNEL_EVENT_SEEN_BY,
    KERNEL_EVENT_PROCESS_ID,
    KERNEL_EVENT_PID,
    KERNEL_EVENT_APPLICATION,
    KERNEL_EVENT_UID,
    KERNEL_EVENT_USERNAME,
    KERNEL_EVENT_LOGIN_UID,
    KERNEL_EVENT_LOGIN_USERNAME,
    KERNEL_EVENT_KIND,
    KERNEL_EVENT_TARGET,
    KERNEL_EVENT_RESULT,
    KERNEL_EVENT_DESTROYED_AT,
    KERNEL_EVENT_END_CAUSE,
    KERNEL_EVENT_COLUMN_N
};
