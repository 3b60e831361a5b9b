#pragma once
/*
 * A recording: the gulps as the tracker got them, so that `--replay` gives the same rows.
 *
 *   file    = magic, header, gulp...          DIR/recording.vst, one file a run
 *   magic   = "vestige recording 1\n"         20 bytes; 1 is the format's version
 *   header  = lines "key=value\n", then one empty line; at most 8 KiB
 *             byte_order (little or big), host_id, boot_id, boot_ns, real_ns, ticks_per_second,
 *             own_pid, hostname, kernel, settings; unknown keys are ignored
 *   gulp    = u32 "GULP" (0x504c5547 read as a number), u32 flags (1: caught_up), u64 boot_ns,
 *             i64 real_ns, u64 length, then `length` bytes as in core/gulp.h, at most 4 MiB
 *
 * Numbers are in the order of the recording host, as the kernel's messages are; a host of the other
 * byte order refuses the file. A recording that ends inside of a gulp (the agent was killed) is
 * read up to there and then gives an error that says so.
 */
#include "core/gulp.h"

#define RECORDING_FILE       "recording.vst"
#define RECORDING_GULP_LIMIT ((size_t)4 * 1024 * 1024)

/* What a replay must know of the host. Text fields hold no newline. */
struct recording_header {
    uint64_t host_id;
    char boot_id[37];
    uint64_t boot_ns; /* CLOCK_BOOTTIME at the start, nanoseconds */
    int64_t real_ns;  /* CLOCK_REALTIME at the same moment */
    uint32_t ticks_per_second;
    uint32_t own_pid; /* of the agent */
    char hostname[257];
    char kernel[257];
    char settings[5121]; /* the caller's own, one line */
};

struct recording_writer;

/** Makes @p directory (0700) if missing; refuses to overwrite a recording. */
int recording_writer_open(struct recording_writer **writerp, const char *directory,
                          const struct recording_header *header,
                          struct error_text *error) MUST_CHECK;
/** Append a gulp. Buffered; flushed once a second of the gulps' clock. */
int recording_writer_add(struct recording_writer *writer, const struct gulp *gulp) MUST_CHECK;
/** Flushes and frees, also on error. Returns 0 or the first error that there was. */
int recording_writer_close(struct recording_writer *writer, struct error_text *error) MUST_CHECK;

struct recording_reader;

/** @p path is a directory or a file. */
int recording_reader_open(struct recording_reader **readerp, const char *path,
                          struct error_text *error) MUST_CHECK;
/** The same from memory, which must outlive the reader. */
int recording_reader_open_memory(struct recording_reader **readerp, struct slice bytes,
                                 struct error_text *error) MUST_CHECK;
struct recording_reader *recording_reader_free(struct recording_reader *reader);
const struct recording_header *recording_reader_header(const struct recording_reader *reader);

enum { RECORDING_GULP = 0, RECORDING_END = 1 };
/** The next gulp, the reader's own, valid until the next call. RECORDING_GULP, RECORDING_END, or
 *  -EBADMSG with the offset of the fault. */
int recording_reader_next(struct recording_reader *reader, const struct gulp **gulpp,
                          struct error_text *error) MUST_CHECK;
