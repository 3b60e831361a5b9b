#pragma once
/* Chain heads that were kept elsewhere: each must still be in the chain of its host. */
#include "reports/database.h"
#include "reports/differences.h"
#include "reports/time_words.h"

/** Compare the file that `vestige seal` wrote; @p host_id: of one host, NULL: of all. *@p n_hosts:
 * how many heads were compared; @p at: of which moment, as text. */
int verify_against(struct differences *differences, MYSQL *mysql, const char *path,
                   const uint32_t *host_id, size_t *n_hosts, char at[TIME_TEXT_SIZE],
                   struct error_text *error) MUST_CHECK;
