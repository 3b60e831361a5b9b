/* The names of the counters, in one table that the compiler keeps complete. */
#include "core/counter.h"

static const char *const names[] = {
    [COUNTER_MESSAGES_RECEIVED] = "messages_received",
    [COUNTER_BYTES_RECEIVED] = "bytes_received",
    [COUNTER_MESSAGES_SPOOFED] = "messages_spoofed",
    [COUNTER_MESSAGES_MALFORMED] = "messages_malformed",
    [COUNTER_MESSAGES_UNKNOWN] = "messages_unknown",
    [COUNTER_RECEIVE_OVERRUNS] = "receive_overruns",
    [COUNTER_FACTS] = "facts",
    [COUNTER_PROCESSES_BORN] = "processes_born",
    [COUNTER_PROCESSES_ENDED] = "processes_ended",
    [COUNTER_PROCESSES_LOST] = "processes_lost",
    [COUNTER_ENDPOINTS_BORN] = "endpoints_born",
    [COUNTER_ENDPOINTS_ENDED] = "endpoints_ended",
    [COUNTER_FILES_BORN] = "files_born",
    [COUNTER_FILES_ENDED] = "files_ended",
    [COUNTER_AUDIT_JOINED] = "audit_joined",
    [COUNTER_AUDIT_UNJOINED] = "audit_unjoined",
    [COUNTER_PROGRAMS_HASHED] = "programs_hashed",
    [COUNTER_PROGRAMS_UNKNOWN] = "programs_unknown",
    [COUNTER_PROGRAMS_LATE] = "programs_late",
    [COUNTER_USER_FIELDS_UNUSABLE] = "user_fields_unusable",
    [COUNTER_LINES_WRITTEN] = "lines_written",
    [COUNTER_LINES_REFUSED] = "lines_refused",
    [COUNTER_LINES_LATE] = "lines_late",
    [COUNTER_GAPS] = "gaps",
    [COUNTER_BATCHES_SEALED] = "batches_sealed",
    [COUNTER_BATCHES_SHIPPED] = "batches_shipped",
    [COUNTER_ROWS_SHIPPED] = "rows_shipped",
    [COUNTER_ROWS_REJECTED] = "rows_rejected",
    [COUNTER_SHIP_FAILURES] = "ship_failures",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == COUNTER_N, "name each counter");

const char *counter_name(enum counter_id id)
{
    return names[id];
}
