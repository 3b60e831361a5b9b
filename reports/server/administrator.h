#pragma once
/* A connection with which one may change what is not evidence: schedules and notifications. */
#include "reports/database/database.h"
#include "reports/options/options.h"

/** As evidence_connect(); but the standalone instance of --state by its socket, as the account of
 *  whoever started it: that of its client.cnf only reads. */
int administrator_connect(MYSQL **mysqlp, const struct options *options,
                          struct error_text *error) MUST_CHECK;
