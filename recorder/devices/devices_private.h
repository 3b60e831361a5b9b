#pragma once
/* What the files of these lifecycles share; nobody else includes it. */
#include "recorder/devices/devices.h"
#include "recorder/lifecycle/shared_text.h"

#include <openssl/lhash.h>
#include <sys/queue.h>

/* Birth values behind seen_by, in the order of the line. */
enum device_value {
    DEVICE_VALUE_SUBSYSTEM,
    DEVICE_VALUE_DEVPATH,
    DEVICE_VALUE_DEVNODE,
    DEVICE_VALUE_DEVICE,
    DEVICE_VALUE_VENDOR,
    DEVICE_VALUE_MODEL,
    DEVICE_VALUE_SERIAL,
    DEVICE_VALUE_VENDOR_ID,
    DEVICE_VALUE_MODEL_ID,
    DEVICE_VALUE_USERS, /* the last: it is of the row and not of the device */
    DEVICE_VALUE_N
};
enum { DEVICE_IDENTITY_N = DEVICE_VALUE_USERS };

TAILQ_HEAD(device_list, device_row);

struct device_row {
    TAILQ_ENTRY(device_row) in_open;
    TAILQ_ENTRY(device_row) in_waiting;
    uint64_t id, created_us, ended_us;
    enum end_cause end_cause;
    uint32_t generation; /* of the look that last named it */
    bool restored;       /* of an earlier run, and nothing has named it since */
    bool listed;         /* in the open list and the table */
    bool inserted, ended, waits;
    bool settled;                        /* the driver is written, or needs no line any more */
    struct shared_text *driver;          /* NULL: none yet */
    size_t size;                         /* bytes of this and the values */
    struct slice values[DEVICE_VALUE_N]; /* evidence text, behind this structure */
    uint8_t text[];
};

struct devices {
    struct row_output *output;
    struct devices_options options;
    OPENSSL_LHASH *by_path;     /* open rows */
    OPENSSL_LHASH *by_id;       /* while lines are restored */
    struct device_list open;    /* in the order of their beginnings */
    struct device_list waiting; /* rows that the sink refused in whole or in part */
    int refused_error;          /* why the last of them waits */
    struct buffer text;         /* scratch */
    size_t n_rows, n_bytes;
    uint32_t generation;
    bool scanning;
    uint64_t scan_began_ns, last_real_us;
    uint64_t read_ns; /* when all events were read, as it was asked for */
    bool unwatched;
    uint64_t beyond;                    /* rows for which there was no room, not yet in a gap */
    uint64_t scan_beyond, known_beyond; /* likewise, of this look and of the one before */
};

/* devices_rows.c */
unsigned long device_path_hash(const void *row);
int device_path_compare(const void *a, const void *b);
/** A row with these values, in no list; NULL when there is no room, which is counted. */
struct device_row *device_row_new(struct devices *d, const struct slice values[DEVICE_VALUE_N]);
/** Into the open ones. False: there is no memory; the row is freed. */
bool device_row_list(struct devices *d, struct device_row *row);
void device_row_free(struct devices *d, struct device_row *row);
struct device_row *device_row_find(const struct devices *d, struct slice path);
/** A device is there from now on, with these values; NULL when there is no room. */
struct device_row *device_row_begin(struct devices *d, const struct slice values[DEVICE_VALUE_N],
                                    struct slice driver, uint64_t at_ns);
/** Its first driver. */
void device_row_settle(struct devices *d, struct device_row *row, struct slice driver);
/** The row is freed, at once or when it is written. */
void device_row_end(struct devices *d, struct device_row *row, uint64_t ended_us,
                    enum end_cause cause);
