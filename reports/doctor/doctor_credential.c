/* With what the agent shows itself to the server, and whether anybody can listen. The agent's
 * option file and certificate are read; the server is not asked. */
#include "core/cleanup.h"
#include "core/option_file.h"
#include "core/private_file.h"
#include "recorder/keys/credential.h"
#include "reports/doctor/doctor.h"

#include <stdio.h>
#include <time.h>

enum { WARN_DAYS = 30, CERTIFICATE_MOST = 1 << 20, PATH_SIZE = 4096 };

static void check_cleartext(struct doctor *doctor)
{
    if (option_file_is_set(doctor->option_file, "vestige", "allow-cleartext"))
        doctor_add(doctor, FINDING_WRONG, "connection to the server", "allow-cleartext is set",
                   "evidence can be read and changed on its way",
                   "remove allow-cleartext from the option file, and set ssl-ca");
}

static void add_until(struct doctor *doctor, int64_t until)
{
    static const char advice[] = "give the host another with `vestige client rotate`";
    time_t moment = (time_t)until;
    int64_t left = (until - time(NULL)) / 86400;
    struct tm day;
    char date[20], found[80];
    gmtime_r(&moment, &day);
    strftime(date, sizeof(date), "%Y-%m-%d", &day);
    if (until <= time(NULL)) {
        snprintf(found, sizeof(found), "expired on %s", date);
        doctor_add(doctor, FINDING_WRONG, "certificate", found,
                   "the server refuses it, and the journal fills", advice);
    } else {
        snprintf(found, sizeof(found), "good until %s, %lld days", date, (long long)left);
        doctor_add(doctor, left < WARN_DAYS ? FINDING_WRONG : FINDING_OK, "certificate", found,
                   left < WARN_DAYS ? "then the server refuses it, and the journal fills" : NULL,
                   left < WARN_DAYS ? advice : NULL);
    }
}

static void check_certificate(struct doctor *doctor)
{
    struct buffer pem CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    char path[PATH_SIZE];
    int64_t until;
    if (option_file_get(doctor->option_file, "vestige", "ssl-cert", path, sizeof(path)) !=
        OPTION_FILE_FOUND)
        return;
    int r = private_file_read(path, CERTIFICATE_MOST, &pem, &error);
    if (r == -EACCES)
        doctor_add(doctor, FINDING_NOTE, "certificate", "not allowed to look", NULL,
                   "run vestige doctor as root");
    else if (r < 0)
        doctor_add(doctor, FINDING_WRONG, "certificate", error.text,
                   "the agent cannot connect, and the journal fills",
                   "take the files of `vestige client enroll` or `client rotate`");
    else if (credential_certificate_until(buffer_slice(&pem), &until) == 0)
        add_until(doctor, until);
    else
        doctor_add(doctor, FINDING_WRONG, "certificate", "the file holds none",
                   "the agent cannot connect, and the journal fills",
                   "take the files of `vestige client enroll` or `client rotate`");
}

void doctor_check_credential(struct doctor *doctor)
{
    check_cleartext(doctor);
    check_certificate(doctor);
}
