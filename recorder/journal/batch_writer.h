#pragma once
/*
 * Makes the bytes of a sealed batch or a checkpoint: lines are digested and compressed as they
 * come, so that the text of a batch is never held in memory a second time. One object belongs to
 * one thread at a time; it is used again after a clear.
 */
#include "recorder/journal/batch_reader.h"

struct batch_writer;

int batch_writer_new(struct batch_writer **writerp) MUST_CHECK;
struct batch_writer *batch_writer_free(struct batch_writer *writer);
/** Forget the lines; memory above what a usual batch takes is given back. */
void batch_writer_clear(struct batch_writer *writer);

/** Add a line, given with its newline. Returns 0, -ENOMEM or -EIO; after an error the contents are
 *  of no use and only a clear is legal. */
int batch_writer_add(struct batch_writer *writer, enum verb verb, enum table_id table, uint64_t id,
                     struct slice line) MUST_CHECK;
/** Add the lines that @p reader has left. Returns 0, or the error of reading or adding; the lines
 *  before it are kept. */
int batch_writer_add_all(struct batch_writer *writer, struct batch_reader *reader,
                         struct error_text *error) MUST_CHECK;
size_t batch_writer_lines(const struct batch_writer *writer);

/** End the batch: sets n_lines, hash and signature of @p header, whose format is that of the lines,
 *  and gives the file's bytes, two pieces to be
 *  written one after the other, which live until the next clear. May be called again with another
 *  header. @p key may be NULL: not signed, as are all of format 1. Returns 0, -ENOMEM or -EIO. */
int batch_writer_finish(struct batch_writer *writer, struct batch_header *header,
                        const struct signing_key *key, struct slice pieces[2]) MUST_CHECK;
