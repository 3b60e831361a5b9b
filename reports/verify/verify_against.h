#pragma once
/* Chain heads that were kept elsewhere: each must still be in the chain of its host. */
#include "reports/database/database.h"
#include "reports/verify/differences.h"
#include "reports/verify/seal_file.h"
#include "reports/verify/verify.h"

/** What verification has to know of the kept seal before it begins; *@p keptp is for free(). */
int verify_against_prepare(struct verify_kept **keptp, const struct seal *seal,
                           struct error_text *error) MUST_CHECK;
/** Compare with what `vestige seal` wrote; @p host_id: of one host, NULL: of all. */
struct verify_against {
    size_t n_hosts;   /* heads that were compared */
    uint64_t n_newer; /* keys that came since, of these hosts */
};
int verify_against(struct verify_against *against, struct differences *differences, MYSQL *mysql,
                   const struct seal *seal, const uint32_t *host_id,
                   struct error_text *error) MUST_CHECK;
