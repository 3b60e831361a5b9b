#pragma once
/*
 * Records of programs that let people in (sshd, login, su, sudo, cron, PAM as a whole), as libaudit
 * writes them: FACT_AUDIT_USER. Pure.
 *
 * CRED_ACQ, CRED_REFR and CRED_DISP are left out. PAM writes one for each pam_setcred(): before or
 * behind the START and END of the same process, and also where no session is opened (a check of
 * credentials, a screen that is unlocked). They have the same fields and tell nothing that those
 * and USER_AUTH do not; to take them for a beginning or an end would make sessions that never were.
 */
#include "collectors/audit/audit_record.h"
#include "core/fact.h"

/* Memory for text that is written in hexadecimal. */
struct audit_user_scratch {
    struct buffer account, exe;
};

void audit_user_scratch_deinit(struct audit_user_scratch *scratch);
/** Returns 0, -EBADMSG or -ENOMEM. */
int audit_user_decode(struct audit_user_scratch *scratch, const struct audit_record *record,
                      uint64_t boot_ns, fact_handler handler, void *user) MUST_CHECK;
