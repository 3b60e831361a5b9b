#pragma once
/*
 * Moments as people write them, in the time zone of the process (UTC unless --time-zone is given):
 *
 *   2026-11-20   2026-11-20 23:08   2026-11-20T23:08:00.25   each with Z, +02 or +02:00 behind it
 *   2h ago, 90 seconds ago, 1 week ago (s, m, h, d, w)
 *   now        this moment                  recent      10 minutes ago
 *   boot       when this host was started   today       the midnight before now
 *   yesterday  the midnight before today    this-week   the midnight that began Monday
 *   week-ago   midnight seven days ago      this-month  midnight of the first of this month
 */
#include "core/error.h"
#include "core/slice.h"

/* What the words are relative to; microseconds since 1970. */
struct time_reference {
    int64_t now_us;
    int64_t boot_us;
};

/** Of this host, now. */
struct time_reference time_reference_now(void);

/** Reads no clock: all it needs is in @p reference and the time zone in use. Returns 0, or -EINVAL
 *  with the text of what was expected. */
int time_words_parse(int64_t *us, const char *text, const struct time_reference *reference,
                     struct error_text *error) MUST_CHECK;

/** Use this zone of the zone database for reading and showing times. Returns 0, or -EINVAL when
 *  there is no such zone. */
int time_zone_use(const char *name, struct error_text *error) MUST_CHECK;

enum { TIME_TEXT_SIZE = 48 };

/** "YYYY-MM-DD hh:mm:ss.uuuuuu", with the offset behind it unless the zone in use is UTC. */
void time_words_format(char text[TIME_TEXT_SIZE], int64_t us);
/** The server's "YYYY-MM-DD hh:mm:ss[.uuuuuu]", which is UTC, in the zone in use, with as many
 *  decimals. False when the text is no such moment. */
bool time_words_convert(char text[TIME_TEXT_SIZE], struct slice utc);
