#pragma once
/*
 * Which paths are told, by the configuration. Pure. A path is an absolute one, as the host sees it;
 * globs are those of fnmatch(3) without flags, so that * matches slashes too, and are divided by
 * blanks. One that ends in * and matches a directory with a slash behind it matches everything in
 * it: so most directories have one verdict for all that is below them, which a source can keep.
 */
#include "collectors/source.h"

/* Longer ones are not told as paths by any source: the name of a file does not grow without bound.
 */
enum { FILE_PATH_MOST = 8191 };

enum file_verdict {
    FILE_EXCLUDED, /* nothing of it is told */
    FILE_CHANGES,  /* reads are not told */
    FILE_INCLUDED,
    FILE_MIXED /* of a directory: it depends on the path below */
};

struct file_selection;

/** Of the options only files_include, files_exclude, files_exclude_reads, files_exclude_types and
 *  own_directory are looked at; nothing of them is kept. */
int file_selection_new(struct file_selection **selectionp, const struct source_options *options,
                       struct error_text *error) MUST_CHECK;
struct file_selection *file_selection_free(struct file_selection *selection);
/** Never FILE_MIXED. A path longer than FILE_PATH_MOST is judged by its beginning. */
enum file_verdict file_selection_path(const struct file_selection *selection, struct slice path);
/** Of all paths below a directory, however deep; not of the directory itself. */
enum file_verdict file_selection_below(const struct file_selection *selection,
                                       struct slice directory);
/** Filesystems of this type ("tmpfs") are not watched. */
bool file_selection_excludes_type(const struct file_selection *selection, struct slice type);

/* inline helpers */

/** Is a set of enum file_event told? A set that holds a change is told as a whole. */
static inline bool file_verdict_tells(enum file_verdict verdict, uint32_t events)
{
    const uint32_t reads = FILE_OPENED | FILE_EXECUTED | FILE_CLOSED;
    return verdict == FILE_INCLUDED || (verdict == FILE_CHANGES && (events & ~reads) != 0);
}
