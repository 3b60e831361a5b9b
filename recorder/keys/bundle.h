#pragma once
/*
 * A bundle: all that a host needs from its enrolment, in one file of text.
 *
 *     Vestige bundle 1
 *     file NAME LENGTH
 *     LENGTH bytes, and a newline behind them
 *     ...
 *     end SHA-256 of all that is before this line
 *
 * The names are fixed; each may come once. In the files of options @directory@ stands for the
 * directory on the host. A token has token.cnf, the options of its one-time account, and no keys;
 * there @user@, @password@ and @host_id@ stand for what the host learns later.
 */
#include "core/buffer.h"

enum bundle_part {
    BUNDLE_HOST,          /* the host's name */
    BUNDLE_OPTIONS,       /* agent.cnf */
    BUNDLE_CONFIGURATION, /* vestiged.conf */
    BUNDLE_SIGNING_KEY,
    BUNDLE_AUTHORITY, /* ca.pem */
    BUNDLE_CERTIFICATE,
    BUNDLE_KEY,
    BUNDLE_TOKEN, /* token.cnf */
    BUNDLE_PART_N
};

#define BUNDLE_DIRECTORY "@directory@"
#define BUNDLE_USER      "@user@"
#define BUNDLE_PASSWORD  "@password@"
#define BUNDLE_HOST_ID   "@host_id@"
enum { BUNDLE_MOST = 256 << 10, BUNDLE_PART_MOST = 64 << 10 };

struct bundle {
    struct slice parts[BUNDLE_PART_N]; /* SLICE_NULL: not there. They point into the text */
};

/** The name of the part's file; "host" for BUNDLE_HOST. */
const char *bundle_name(enum bundle_part part);
/** -EINVAL: it is none, or is damaged; @p error says where. */
int bundle_parse(struct bundle *bundle, struct slice text, struct error_text *error) MUST_CHECK;

void bundle_begin(struct buffer *to);
void bundle_append(struct buffer *to, enum bundle_part part, struct slice data);
/** Returns 0, -ENOMEM or -EIO. */
int bundle_end(struct buffer *to) MUST_CHECK;

struct bundle_word {
    const char *word, *value; /* "@directory@" */
};
/** @p text with each of the words replaced. */
void bundle_fill_in(struct buffer *to, struct slice text, const struct bundle_word *words,
                    size_t n_words);
