/* The last `audit=` of the command line counts, as in the kernel. */
#include "collectors/audit/audit_inspect.h"

#include "collectors/audit/audit_control.h"
#include "core/cleanup.h"

#include <stdio.h>

static void read_command_line(struct audit_inspection *inspection)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/cmdline", "re");
    AUTO_FREE char *line = NULL;
    size_t capacity = 0;
    if (!file || getline(&line, &capacity, file) < 0)
        return;
    char *rest = line, *word;
    while ((word = strtok_r(rest, " \n", &rest))) {
        if (strncmp(word, "audit=", 6) != 0)
            continue;
        inspection->off_at_boot = strcmp(word + 6, "0") == 0 || strcmp(word + 6, "off") == 0;
        inspection->on_at_boot = !inspection->off_at_boot;
    }
}

static int inspect_rules(struct audit_inspection *inspection, struct audit_control *control)
{
    struct audit_rules rules = AUDIT_RULES_NULL;
    int r = audit_control_list_rules(control, &rules);
    inspection->n_rules = rules.n;
    for (size_t i = 0; i < rules.n; i++) {
        inspection->n_own_rules += audit_rule_is_keyed(rules.list[i]);
        inspection->task_never |= audit_rule_is_task_never(rules.list[i]);
    }
    audit_rules_deinit(&rules);
    return r;
}

int audit_inspect(struct audit_inspection *inspection, struct error_text *error)
{
    struct audit_control control = AUDIT_CONTROL_NULL;
    struct audit_status status;
    *inspection = (struct audit_inspection){0};
    read_command_line(inspection);
    int r = audit_control_open(&control, error);
    if (r < 0)
        return r;
    r = audit_control_status(&control, &status);
    if (r == 0) {
        inspection->enabled = status.enabled;
        inspection->owner_pid = status.pid;
        inspection->backlog_limit = status.backlog_limit;
        inspection->backlog_wait_time = status.backlog_wait_time;
        inspection->lost = status.lost;
        r = inspect_rules(inspection, &control);
    }
    audit_control_close(&control);
    return r < 0 ? error_set(error, r, "audit: status and rules cannot be read: %s", strerror(-r))
                 : 0;
}
