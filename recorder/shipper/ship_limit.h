#pragma once
/*
 * The bounds of what a server may answer: libmariadb reads an answer to its end, however long it is
 * and however slowly it comes, and keeps it in memory. A connection whose answer passes one of them
 * is shut, and what waits for it fails as if it had been lost.
 */
#include <mysql.h>

#define SHIP_ANSWER_MOST (4u << 20) /* bytes from one writing to the next */
#define SHIP_ANSWER_MS   120000     /* likewise */

/** Bound what this thread reads on @p mysql from now on; one connection a thread. NULL: none. */
void ship_limit_watch(MYSQL *mysql);
/** For the end of a message about the watched connection: what bound was passed, or "". */
const char *ship_limit_words(void);
