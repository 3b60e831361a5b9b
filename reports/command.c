/* The line of an error is the last one, also where standard output and standard error are the same.
 */
#include "reports/command.h"

#include "core/error.h"
#include "core/log.h"
#include "reports/output/output.h"

int command_end(const char *name, int outcome, const struct error_text *error)
{
    output_end_if_unread(outcome);
    if (outcome >= 0)
        return outcome;
    fflush(stdout);
    log_error(name, "%s", error->text);
    return STATUS_ERROR;
}
