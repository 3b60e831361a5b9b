#pragma once
/* The agent's sources: which there are, which could be opened, and why the others could not. */
#include "recorder/agent/config.h"
#include "recorder/reader/reader.h"

enum { AGENT_SOURCES_MOST = 16 };

struct agent_sources {
    struct reader_source open[AGENT_SOURCES_MOST];
    size_t n_open;
    /* Among the open ones; NULL: not open. */
    struct source *proc, *names, *resolver, *sock_diag, *programs, *fanotify, *inotify;
    struct source *udev, *utmp, *bpf_source;
    bool connector, taskstats, audit, bpf;
    struct {
        enum source_id source;
        char reason[512];
    } missing[AGENT_SOURCES_MOST]; /* not open: configured off, or the kernel has none */
    size_t n_missing;
};

/** The table of all, for decoders: @p n of them. */
const struct source_ops *const *agent_sources_all(size_t *n);
/** Whether the configuration asks for it. */
bool agent_sources_want(const struct config *config, enum source_id id);
/** Open what the configuration asks for. What fails is a warning and stands in `missing`. Returns
 * 0; an error only when nothing at all can be recorded. */
int agent_sources_open(struct agent_sources *sources, const struct config *config,
                       const struct source_options *options, struct error_text *error) MUST_CHECK;
/** To be called after the reader has stopped. */
void agent_sources_close(struct agent_sources *sources);
