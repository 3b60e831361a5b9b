#pragma once
/*
 * What the thread of the source puts into a gulp (MESSAGE_DATA): a header, and behind it, when it
 * tells of records, some of them as they stand in the file. Pure.
 */
#include "collectors/source.h"

#include "core/buffer.h"

#include <utmp.h>

enum { UTMP_RECORD_SIZE = sizeof(struct utmp), UTMP_RECORDS_MOST = 64 };

struct utmp_message_header {
    uint8_t event; /* 0: records; else 1 + enum login_log_event */
    uint8_t file;  /* enum login_file */
    uint8_t old;   /* the records were there before the agent began to follow */
    uint8_t reserved;
    uint32_t record_size;
    uint64_t inode;
    uint64_t before; /* of records: where the first one begins, bytes; else as in the fact */
    uint64_t now;
};
_Static_assert(sizeof(struct utmp_message_header) == 32, "layout of recorded messages");

void utmp_message_append_records(struct buffer *to, const struct utmp_message_header *header,
                                 struct slice records);
void utmp_message_append_log(struct buffer *to, const struct fact_login_log *log);

/** MESSAGE_DATA as above gives FACT_LOGIN_RECORD and FACT_LOGIN_LOG. Returns 0 or -EBADMSG; whole
 *  records before a torn one are handed out. */
int utmp_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                void *user) MUST_CHECK;
