#pragma once
/*
 * Masks secrets in command lines before anything of them is written. What is masked is `***`,
 * whatever its length. An argument is looked at as a whole, and when it holds blanks also word by
 * word, as a shell would read it (`sh -c "mysql -pSECRET"`).
 *
 * It finds what the rules name, and nothing else: a secret that is a word like any other stays.
 */
#include "recorder/masking/masking_rules.h"

struct masking;

/** Takes over the rules, which masking_rules_finish has seen. */
int masking_new(struct masking **maskingp, struct masking_rules *rules) MUST_CHECK;
/** The usual rules, and those of the file @p path; "": there is none. */
int masking_open(struct masking **maskingp, const char *path, struct error_text *error) MUST_CHECK;
/** It was opened with more than the usual rules. */
bool masking_has_own_rules(const struct masking *masking);
struct masking *masking_free(struct masking *masking);

/** Returns 1 when something is masked: @p maskedp then are @p n arguments, valid until the next
 * call; 0: nothing is; -ENOMEM: it cannot be said, and the arguments must not be written. */
int masking_apply(struct masking *masking, struct slice exe, const struct slice *arguments,
                  size_t n, const struct slice **maskedp) MUST_CHECK;
