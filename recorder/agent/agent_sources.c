/* Subscribing comes first: from the moment a source is open the kernel keeps its messages. /proc is
 * the last, so that everything it does not find any more has been heard by the others. */
#include "recorder/agent/agent_sources.h"

#include "collectors/accounts/accounts_source.h"
#include "collectors/audit/audit_source.h"
#include "collectors/bpf/bpf_source.h"
#include "collectors/connector/connector_source.h"
#include "collectors/fanotify/fanotify_source.h"
#include "collectors/inotify/inotify_source.h"
#include "collectors/procfs/names_source.h"
#include "collectors/procfs/proc_source.h"
#include "collectors/programs/programs_source.h"
#include "collectors/resolver/resolver_source.h"
#include "collectors/rtnetlink/rtnetlink_source.h"
#include "collectors/sock_diag/sock_diag_source.h"
#include "collectors/taskstats/taskstats_source.h"
#include "collectors/udev/udev_source.h"
#include "collectors/utmp/utmp_source.h"

#include "core/log.h"

#include <stdio.h>

static const struct source_ops *const all[] = {
    &bpf_source,           &connector_source,    &taskstats_source,   &audit_source,
    &sock_diag_source_ops, &rtnetlink_source,    &names_source_ops,   &resolver_source_ops,
    &programs_source_ops,  &fanotify_source_ops, &inotify_source_ops, &udev_source_ops,
    &accounts_source_ops,  &utmp_source_ops,     &proc_source_ops,
};

const struct source_ops *const *agent_sources_all(size_t *n)
{
    *n = sizeof(all) / sizeof(all[0]);
    return all;
}

bool agent_sources_want(const struct config *config, enum source_id id)
{
    switch (id) {
    case SOURCE_CONNECTOR:
        return strcmp(config->connector_mode, "off") != 0;
    case SOURCE_TASKSTATS:
        return strcmp(config->taskstats_mode, "off") != 0;
    case SOURCE_AUDIT:
        return strcmp(config->audit_mode, "off") != 0;
    case SOURCE_BPF:
        return strcmp(config->bpf_mode, "off") != 0;
    case SOURCE_SOCK_DIAG:
        return strcmp(config->sock_diag_mode, "off") != 0;
    case SOURCE_RTNETLINK:
        return strcmp(config->rtnetlink_mode, "off") != 0;
    case SOURCE_RESOLVER:
        return strcmp(config->resolve_mode, "off") != 0;
    case SOURCE_FANOTIFY:
        return strcmp(config->files_mode, "auto") == 0;
    case SOURCE_INOTIFY:
        return strcmp(config->files_mode, "off") != 0;
    case SOURCE_UDEV:
        return strcmp(config->devices_mode, "off") != 0;
    case SOURCE_UTMP:
        return strcmp(config->sessions_mode, "off") != 0;
    case SOURCE_PROGRAMS:
        return strcmp(config->programs_hash, "off") != 0;
    case SOURCE_ACCOUNTS:
        return strcmp(config->accounts_mode, "off") != 0;
    default:
        return true;
    }
}

static void note_missing(struct agent_sources *sources, enum source_id id, const char *reason)
{
    sources->missing[sources->n_missing].source = id;
    snprintf(sources->missing[sources->n_missing].reason,
             sizeof(sources->missing[sources->n_missing].reason), "%s", reason);
    sources->n_missing++;
}

static void note_open(struct agent_sources *sources, const struct source_ops *ops,
                      struct source *source)
{
    sources->open[sources->n_open++] = (struct reader_source){.ops = ops, .source = source};
    sources->connector |= ops->id == SOURCE_CONNECTOR;
    sources->taskstats |= ops->id == SOURCE_TASKSTATS;
    sources->audit |= ops->id == SOURCE_AUDIT;
    sources->bpf |= ops->id == SOURCE_BPF;
    if (ops->id == SOURCE_PROC)
        sources->proc = source;
    if (ops->id == SOURCE_NAMES)
        sources->names = source;
    if (ops->id == SOURCE_SOCK_DIAG)
        sources->sock_diag = source;
    if (ops->id == SOURCE_RESOLVER)
        sources->resolver = source;
    if (ops->id == SOURCE_PROGRAMS)
        sources->programs = source;
    if (ops->id == SOURCE_FANOTIFY)
        sources->fanotify = source;
    if (ops->id == SOURCE_INOTIFY)
        sources->inotify = source;
    if (ops->id == SOURCE_UTMP)
        sources->utmp = source;
    if (ops->id == SOURCE_UDEV)
        sources->udev = source;
    if (ops->id == SOURCE_BPF)
        sources->bpf_source = source;
}

int agent_sources_open(struct agent_sources *sources, const struct config *config,
                       const struct source_options *options, struct error_text *error)
{
    struct source_options each = *options;
    *sources = (struct agent_sources){0};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct source *source = NULL;
        struct error_text reason = ERROR_TEXT_NULL;
        if (!agent_sources_want(config, all[i]->id)) {
            note_missing(sources, all[i]->id, "switched off by configuration");
        } else if (all[i]->open(&source, &each, &reason) == 0) {
            note_open(sources, all[i], source);
            each.bpf_active = sources->bpf;
            each.fanotify_active = sources->fanotify != NULL;
        } else {
            log_warning(source_name(all[i]->id), "%s; recording goes on without it", reason.text);
            note_missing(sources, all[i]->id, reason.text);
        }
    }
    if (sources->connector || sources->audit || sources->proc)
        return 0;
    agent_sources_close(sources);
    return error_set(error, -ENODEV,
                     "no source of processes could be opened; the warnings above say why");
}

void agent_sources_close(struct agent_sources *sources)
{
    while (sources->n_open) {
        struct reader_source *source = &sources->open[--sources->n_open];
        source->source = source->ops->free(source->source);
    }
    sources->proc = sources->names = sources->sock_diag = sources->resolver = NULL;
    sources->programs = sources->fanotify = sources->inotify = sources->udev = NULL;
    sources->utmp = sources->bpf_source = NULL;
}
