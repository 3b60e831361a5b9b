#pragma once
/* What `vestige doctor` looks at. Each function adds its findings: what was looked at, how it is,
 * why that loses evidence, and what to do. */
#include "reports/evidence/findings.h"

struct doctor {
    struct findings findings;
    char command_line[4096];   /* of the kernel */
    char state_directory[256]; /* of the agent */
    char configuration[256];   /* of the agent */
    char signing_key[256];     /* of the agent */
    char option_file[256];     /* of the agent */
    bool agent_runs;
    unsigned agent_pid;   /* 0: not known */
    char agent_calls[16]; /* how its system calls are filtered: on, log, off */
};

static inline void doctor_add(struct doctor *doctor, enum finding_level level, const char *what,
                              const char *found, const char *why, const char *advice)
{
    findings_add(&doctor->findings, level, what, found, why, advice);
}

void doctor_check_audit(struct doctor *doctor);
void doctor_check_kernel(struct doctor *doctor);
void doctor_check_network(struct doctor *doctor);
void doctor_check_files(struct doctor *doctor);
void doctor_check_logins(struct doctor *doctor);
void doctor_check_signing(struct doctor *doctor);
void doctor_check_credential(struct doctor *doctor);
void doctor_check_agent(struct doctor *doctor);
void doctor_check_host(struct doctor *doctor);
