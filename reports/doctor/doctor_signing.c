/* Whether what this host records can be told from what others say in its name. */
#include "recorder/keys/signing_key.h"
#include "reports/doctor/doctor.h"

static void add_missing(struct doctor *doctor)
{
    char found[300];
    snprintf(found, sizeof(found), "there is no %s", doctor->signing_key);
    doctor_add(doctor, FINDING_NOTE, "signing key", found,
               "batches are not signed: whoever has the agent's password can add rows in the name "
               "of this host, and nobody can tell them from its own",
               "take the signing.key of `vestige client enroll` or `client rotate`, and start the "
               "agent again");
}

void doctor_check_signing(struct doctor *doctor)
{
    struct signing_key *key = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    int result = signing_key_load(&key, doctor->signing_key, &error);
    signing_key_free(key);
    if (result == 0)
        doctor_add(doctor, FINDING_OK, "signing key", doctor->signing_key, NULL, NULL);
    else if (result == -ENOENT)
        add_missing(doctor);
    else if (result == -EACCES)
        doctor_add(doctor, FINDING_NOTE, "signing key", "not allowed to look", NULL,
                   "run vestige doctor as root");
    else
        doctor_add(doctor, FINDING_WRONG, "signing key", error.text,
                   "the agent does not start with such a key", "mend it, or give the host another");
}
