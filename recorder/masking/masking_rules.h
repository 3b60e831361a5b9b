#pragma once
/*
 * Rules that say where a command line holds a secret. A rule is a line: PROGRAMS KIND PATTERN
 * [PATTERN]
 *
 * PROGRAMS are globs for the last part of a program's path, separated by commas, `*` for any; with
 * `a+b` both have to be there. Any word before the one that is looked at may be the program, so
 * that `sudo mysql -pSECRET` is found too. Kinds:
 *
 *   in      the pattern's group `secret` is masked in the word
 *   after   the word behind one that the pattern matches is masked; with a second pattern, only the
 *           group `secret` of that
 *   last    the last word is masked when a word before it matches the pattern
 *   code    the word behind one that the pattern matches is code of a shell: the words in it are
 *           looked at, it is no value as a whole
 *   except  a word that the pattern matches is no reason to mask the one behind it
 *
 * Patterns are those of pcre2pattern(3), without blanks (write \s or \x20). Empty lines and lines
 * that begin with # are left out.
 */
#include "core/error.h"
#include "core/slice.h"

enum { MASKING_RULES_MOST = 256, MASKING_LINE_MOST = 1024 };

enum masking_kind { MASKING_IN, MASKING_AFTER, MASKING_LAST, MASKING_CODE, MASKING_EXCEPT };

struct masking_rules;

int masking_rules_new(struct masking_rules **rulesp) MUST_CHECK;
struct masking_rules *masking_rules_free(struct masking_rules *rules);
/** Add the rules of @p text, which came from a file called @p name. -EINVAL: @p error says line and
 *  what is wrong. */
int masking_rules_parse(struct masking_rules *rules, const char *name, struct slice text,
                        struct error_text *error) MUST_CHECK;
/** Likewise from a file. */
int masking_rules_load(struct masking_rules *rules, const char *path,
                       struct error_text *error) MUST_CHECK;
/** The rules for the usual tools, as text. */
const char *masking_rules_default(void);
/** To be called once, behind the last rule and before the first match. */
int masking_rules_finish(struct masking_rules *rules) MUST_CHECK;

/** Whether a rule names this program: the last part of its path. */
bool masking_rules_name(const struct masking_rules *rules, struct slice program);
/** Whether any pattern matches @p word; when no program is @p named, only of the rules for any. */
bool masking_rules_suspect(struct masking_rules *rules, struct slice word, bool named);

/** What a rule wants of a word. */
struct masking_span {
    size_t from, to; /* bytes of the word that are secret; nothing when equal */
};
size_t masking_rules_count(const struct masking_rules *rules);
enum masking_kind masking_rules_kind(const struct masking_rules *rules, size_t rule);
/** Whether the programs of the rule are among the @p n names. */
bool masking_rules_concern(const struct masking_rules *rules, size_t rule,
                           const struct slice *names, size_t n);
/** Whether the (first) pattern matches, from @p start on. Of an `in` rule @p span is the secret.
 *  A pattern that takes more steps than it may counts as a match of the whole word. */
bool masking_rules_match(struct masking_rules *rules, size_t rule, struct slice word, size_t start,
                         struct masking_span *span);
/** What of @p word, which stands behind a match of an `after` rule, is secret. */
bool masking_rules_behind(struct masking_rules *rules, size_t rule, struct slice word,
                          struct masking_span *span);
