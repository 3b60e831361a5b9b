#pragma once
/* What the files of an enrolment share: enrol.c has its order, enrol_stage.c what is made ready,
 * enrol_token.c what the host asks for by a token, enrol_place.c where the files go. */
#include "recorder/enrol/enrol.h"

#include "core/buffer.h"
#include "recorder/keys/bundle.h"

enum { ENROL_PATH_SIZE = 4400, ENROL_SOURCE_SIZE = 65 };

/* Files of the stage besides those of a bundle. */
#define ENROL_WORD       "word" /* that only this host knows */
#define ENROL_PASSWORD   "password"
#define ENROL_REQUEST    "request.pem"
#define ENROL_CONNECTION "connection.cnf"

struct enrol {
    const struct enrol_options *options;
    struct buffer text;
    struct bundle bundle;
    char directory[4096]; /* from the root: it goes into option files */
    char stage[4120];
    char source[ENROL_SOURCE_SIZE];
    char host_id[24];
    int lock; /* of the directory */
};

/** The configuration comes last: with it the agent knows who it is. */
enum { ENROL_PLACED_N = 6 };
extern const enum bundle_part enrol_placed[ENROL_PLACED_N];

static inline bool enrol_is_token(const struct enrol *enrol)
{
    return !slice_is_null(enrol->bundle.parts[BUNDLE_TOKEN]);
}

/* -- enrol_stage.c -- */
/** -EEXIST: a token was begun with. Keys that were made here for it would be lost, so it has to be
 *  said; a bundle has its keys with it. */
int enrol_stage_begin(struct enrol *enrol, struct error_text *error) MUST_CHECK;
void enrol_stage_remove(const struct enrol *enrol);
void enrol_staged(const struct enrol *enrol, const char *name, char path[ENROL_PATH_SIZE]);
bool enrol_is_staged(const struct enrol *enrol, const char *name);
/** In @p to a NUL is behind the text. */
int enrol_read_staged(const struct enrol *enrol, const char *name, struct buffer *to,
                      struct error_text *error) MUST_CHECK;
int enrol_stage_text(const struct enrol *enrol, const char *name, struct slice text,
                     struct error_text *error) MUST_CHECK;
/** A part with its words filled in, for the directory in which it will be read. */
int enrol_stage_options(const struct enrol *enrol, struct slice text, const char *name,
                        const char *directory, const char *user, const char *password,
                        struct error_text *error) MUST_CHECK;
/** What names the agent's own account; "" where the bundle has the password itself. */
int enrol_stage_own(const struct enrol *enrol, const char *password,
                    struct error_text *error) MUST_CHECK;
int enrol_stage_bundle(const struct enrol *enrol, struct error_text *error) MUST_CHECK;

/* -- enrol_place.c -- */
void enrol_final(const struct enrol *enrol, const char *name, char path[ENROL_PATH_SIZE]);
/** The number in the directory's configuration; 0: none. */
int enrol_present_host(const struct enrol *enrol, uint64_t *host_id,
                       struct error_text *error) MUST_CHECK;
/** -EEXIST: it has the identity of another host than @p coming. */
int enrol_check_identity(const struct enrol *enrol, uint64_t coming,
                         struct error_text *error) MUST_CHECK;
/** Copied, not moved: after an interruption all is still there. */
int enrol_place_files(const struct enrol *enrol, struct error_text *error) MUST_CHECK;

/* -- enrol_token.c -- */
/** Keys are made here, and the server is asked until somebody has approved. */
int enrol_run_token(struct enrol *enrol, struct error_text *error) MUST_CHECK;
