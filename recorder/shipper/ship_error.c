/*
 * Error numbers of MariaDB, sorted into the few answers that the shipper acts on. A number that is
 * not named here keeps the batch.
 */
#include "recorder/shipper/ship_error.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>

enum ship_answer ship_error_classify(unsigned number)
{
    switch (number) {
    case 0:
        return SHIP_OK;
    case ER_BAD_NULL_ERROR:                  /* 1048 */
    case ER_DUP_ENTRY:                       /* 1062 */
    case ER_WARN_DATA_OUT_OF_RANGE:          /* 1264 */
    case WARN_DATA_TRUNCATED:                /* 1265 */
    case ER_TRUNCATED_WRONG_VALUE:           /* 1292 */
    case ER_WARN_ALLOWED_PACKET_OVERFLOWED:  /* 1301: a generated column that becomes too long */
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD: /* 1366 */
    case ER_VIEW_CHECK_FAILED:               /* 1369 */
    case ER_DATA_TOO_LONG:                   /* 1406 */
    case ER_CONSTRAINT_FAILED:               /* 4025 */
        return SHIP_ROW_REFUSED;
    case ER_LOCK_WAIT_TIMEOUT: /* 1205 */
    case ER_LOCK_DEADLOCK:     /* 1213, and a conflict in a Galera cluster */
    case ER_NEED_REPREPARE:    /* 1615 */
        return SHIP_TRY_AGAIN;
    case ER_SERVER_SHUTDOWN:   /* 1053 */
    case ER_CONNECTION_KILLED: /* 1927 */
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_SSL_CONNECTION_ERROR: /* 2026: what a lost connection says when it was encrypted */
        return SHIP_LOST;
    default:
        return SHIP_FAILED;
    }
}

const char *ship_error_advice(unsigned number)
{
    switch (number) {
    case ER_DISK_FULL:        /* 1021 */
    case ER_RECORD_FILE_FULL: /* 1114 */
        return "; is the disk of the server full?";
    case ER_OPTION_PREVENTS_STATEMENT: /* 1290 */
        return "; is it a replica, or has somebody made it read-only?";
    case ER_ACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_ACCOUNT_HAS_BEEN_LOCKED:
        return "; is the option file this host's newest? `vestige client rotate` makes another";
    case ER_CON_COUNT_ERROR: /* 1040 */
        return "; the server has as many connections as its max_connections allows: raise it; this "
               "agent waits longer from one attempt to the next";
    case ER_TOO_MANY_USER_CONNECTIONS: /* 1203 */
    case ER_USER_LIMIT_REACHED:        /* 1226 */
        return "; this account has as many connections as it may have: does another agent use it? "
               "This agent waits longer from one attempt to the next";
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_UNKNOWN_HOST:
        return "; is the server running, and is this its address?";
    default:
        return "";
    }
}

bool ship_error_is_crowd(unsigned number)
{
    return number == ER_CON_COUNT_ERROR ||           /* 1040 */
           number == ER_TOO_MANY_USER_CONNECTIONS || /* 1203 */
           number == ER_USER_LIMIT_REACHED;          /* 1226 */
}

enum ship_answer ship_error_set(struct ship_error *error, enum ship_answer answer,
                                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text.text, sizeof(error->text.text), format, arguments);
    va_end(arguments);
    error->number = 0;
    return answer;
}
