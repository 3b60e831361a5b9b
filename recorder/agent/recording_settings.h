#pragma once
/* What of the tracker's options a recording says, so that its replay gives the same rows: one line
 * of `name=number`, and `name=words` with the words of a list divided by tabs. */
#include "recorder/tracker/tracker.h"

/** Written to @p settings, cut at @p size bytes. */
void recording_settings_write(const struct tracker_options *options, char *settings, size_t size);

/* What the options that were read point at. */
struct recording_lists {
    char *programs, *reads;
};
/** Sets what @p settings tell of, and of what they do not what was usual before they did. Masking
 * is the caller's. */
void recording_settings_read(struct tracker_options *options, struct recording_lists *lists,
                             const char *settings);
/** How it masked. */
enum { RECORDING_UNMASKED, RECORDING_MASKED, RECORDING_MASKED_BY_OWN_RULES };
unsigned recording_settings_masking(const char *settings);
void recording_lists_deinit(struct recording_lists *lists);
