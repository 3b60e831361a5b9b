#pragma once
/*
 * Rows as a host of a fleet makes them: processes, connections, files and what is rarer, some
 * complete at once, others settled and ended later. All values follow from the row's id, so that
 * any line of it can be made again.
 */
#include "recorder/row/line.h"

#define FLEET_BOOT_ID "01234567-89ab-4cde-8f01-23456789abcd"

struct fleet_row {
    enum table_id table;
    uint64_t id;    /* also the moment when it was made */
    bool unsettled; /* a settle line follows */
    bool open;      /* an end line follows */
};

/** A number that follows from @p number alone, and looks as if it did not. */
uint64_t fleet_mix(uint64_t number);

/** Choose table and course of life of a row with this id. */
struct fleet_row fleet_row_choose(uint64_t id);
/** Microseconds from the row's birth until its settle or end line. */
uint64_t fleet_row_delay(const struct fleet_row *row, enum verb verb);
/** Build the line; line_finish has been called. Returns what that gave. */
int fleet_row_line(const struct fleet_row *row, enum verb verb, struct line *line) MUST_CHECK;

/* What an agent writes when it starts: the host, its boot, what is watched. */
#define FLEET_STANDING_N 6
/** The row number @p index of these. */
struct fleet_row fleet_row_standing(uint64_t id, unsigned index);
