#pragma once
/* A list of what was looked at and how it is, as `status` and `doctor` print it. */
#include "reports/output/output.h"

enum finding_level {
    FINDING_OK,
    FINDING_NOTE, /* worth knowing; not wrong */
    FINDING_WRONG,
    FINDING_LEVEL_N
};

enum { FINDING_TEXTS = 4 };

struct finding {
    enum finding_level level;
    char *texts[FINDING_TEXTS];
};

struct findings {
    struct finding *array;
    size_t n;
    size_t n_wrong;
    bool failed; /* out of memory: something is not in the list */
};

#define FINDINGS_NULL                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

/** Texts are copied; NULL is allowed. */
void findings_add(struct findings *findings, enum finding_level level, const char *first,
                  const char *second, const char *third, const char *fourth);
/** Leave only what is wrong or a note; returns how many were not. */
size_t findings_drop_well(struct findings *findings);
/** Print them all under these titles; "level" comes behind the first @p level_at of them. A column
 *  without any text is left out of a table. Returns 0 or a negated errno. */
int findings_print(const struct findings *findings, enum output_format format,
                   const char *const titles[FINDING_TEXTS], size_t level_at) MUST_CHECK;
void findings_deinit(struct findings *findings);
