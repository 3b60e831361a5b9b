#pragma once
/* The facts about one login user, section by section, and the forms in which they are told. */
#include "reports/evidence/inquiry.h"
#include "reports/output/html.h"
#include "reports/user/user_sections.h"

enum { USER_COLUMNS_MAX = 24, USER_IDS_MOST = 10 };

/* One sentence and what it is made of. */
struct user_fact {
    const struct user_section *section;
    struct buffer text; /* the sentence */
    size_t n_columns;
    struct {
        char name[64];
        bool is_number, is_moment;
        struct slice value; /* in @ref values */
    } columns[USER_COLUMNS_MAX];
    struct buffer values;
    uint64_t host_id;
    uint64_t ids[USER_IDS_MOST];
    size_t n_ids;
    uint64_t n; /* rows behind it; n_ids of them are named */
};

struct user_report {
    const struct options *options;
    struct inquiry *inquiry;
    const char *name;  /* as it is told: "alice", "user 1001" */
    struct buffer who; /* "alice, number 1001 on web1, ..." */
    bool is_default_window;
    uint64_t limit;   /* facts a section */
    uint64_t n_facts; /* deeds */
    bool is_cut;      /* the section at hand */
};

/** Called for each section in order (facts of one title come in one call). */
struct user_writer {
    int (*section)(void *state, const struct user_section *section, const struct user_fact *facts,
                   size_t n, bool is_cut);
    void *state;
};

/** Ask for everything and give it to the writer. */
int user_report_run(struct user_report *report, const struct user_writer *writer) MUST_CHECK;

/** "session 1/1795666271698376, 1/1795666271698379 and 3 more" */
void user_fact_append_keys(struct buffer *to, const struct user_fact *fact, size_t most);
/** "From ... to ... (default window); all hosts" */
void user_report_append_window(struct buffer *to, const struct user_report *report);

int user_write_text(struct user_report *report) MUST_CHECK;
int user_write_json(struct user_report *report) MUST_CHECK;
int user_write_csv(struct user_report *report) MUST_CHECK;
int user_write_page(struct user_report *report, const char *path) MUST_CHECK;
