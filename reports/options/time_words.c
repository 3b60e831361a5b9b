/* Calendar arithmetic is mktime(3)'s, which knows the zone in use and its changes of the clock; an
 * explicit offset goes through timegm(3). Each form is one function that says whether it matched.
 */
#include "reports/options/time_words.h"
#include "core/buffer.h"
#include "reports/options/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)
/* The first moment of the year 10000, which no DATETIME can hold. */
#define END_OF_TIME_US (INT64_C(253402300800) * SECOND_US)

enum midnight { DAY, WEEK, MONTH };

static const char *const words[] = {"now",       "recent",    "boot",     "today",
                                    "yesterday", "this-week", "week-ago", "this-month"};

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

struct time_reference time_reference_now(void)
{
    int64_t now = clock_us(CLOCK_REALTIME);
    return (struct time_reference){now, now - clock_us(CLOCK_BOOTTIME)};
}

/* The midnight that began the day (week, month) of @p now_us, @p days_before earlier. */
static int64_t midnight_of(int64_t now_us, enum midnight unit, int days_before)
{
    time_t now = (time_t)(now_us / SECOND_US);
    struct tm day;
    localtime_r(&now, &day);
    if (unit == WEEK)
        day.tm_mday -= (day.tm_wday + 6) % 7;
    if (unit == MONTH)
        day.tm_mday = 1;
    day.tm_mday -= days_before;
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    day.tm_isdst = -1;
    return mktime(&day) * SECOND_US;
}

static bool parse_word(int64_t *us, const char *text, const struct time_reference *reference)
{
    int64_t now = reference->now_us;
    if (!strcmp(text, "now"))
        *us = now;
    else if (!strcmp(text, "recent"))
        *us = now - 600 * SECOND_US;
    else if (!strcmp(text, "boot"))
        *us = reference->boot_us;
    else if (!strcmp(text, "today"))
        *us = midnight_of(now, DAY, 0);
    else if (!strcmp(text, "yesterday"))
        *us = midnight_of(now, DAY, 1);
    else if (!strcmp(text, "this-week"))
        *us = midnight_of(now, WEEK, 0);
    else if (!strcmp(text, "week-ago"))
        *us = midnight_of(now, DAY, 7);
    else if (!strcmp(text, "this-month"))
        *us = midnight_of(now, MONTH, 0);
    else
        return false;
    return true;
}

static int64_t unit_us(const char *unit)
{
    static const struct {
        const char *names[5];
        int64_t us;
    } units[] = {
        {{"s", "sec", "secs", "second", "seconds"}, SECOND_US       },
        {{"m", "min", "mins", "minute", "minutes"}, 60 * SECOND_US  },
        {{"h", "hour", "hours"},                    3600 * SECOND_US},
        {{"d", "day", "days"},                      DAY_US          },
        {{"w", "week", "weeks"},                    7 * DAY_US      },
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t j = 0; j < 5 && units[i].names[j]; j++)
            if (!strcmp(unit, units[i].names[j]))
                return units[i].us;
    return 0;
}

/* "2h ago", "90 seconds ago" */
static bool parse_ago(int64_t *us, const char *text, int64_t now_us)
{
    char unit[16];
    int64_t amount = 0;
    const char *at = text;
    int end = -1;
    for (; isdigit((unsigned char)*at) && amount < 1000000000; at++)
        amount = amount * 10 + (*at - '0');
    if (at == text || sscanf(at, " %15[a-z] ago%n", unit, &end) != 1 || end < 0 || at[end])
        return false;
    int64_t length = unit_us(unit);
    if (!length || amount > now_us / length)
        return false;
    *us = now_us - amount * length;
    return true;
}

static bool parse_digits(const char **at, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (!isdigit((unsigned char)**at))
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool parse_separator(const char **at, char separator)
{
    if (**at != separator)
        return false;
    ++*at;
    return true;
}

static bool is_date(const struct tm *parts)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = parts->tm_year + 1900;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return parts->tm_mon >= 0 && parts->tm_mon < 12 && parts->tm_mday >= 1 &&
           parts->tm_mday <= days[parts->tm_mon] + (parts->tm_mon == 1 && leap);
}

static bool parse_date(const char **at, struct tm *parts)
{
    if (!parse_digits(at, 4, &parts->tm_year) || !parse_separator(at, '-') ||
        !parse_digits(at, 2, &parts->tm_mon) || !parse_separator(at, '-') ||
        !parse_digits(at, 2, &parts->tm_mday))
        return false;
    parts->tm_year -= 1900;
    parts->tm_mon -= 1;
    return is_date(parts);
}

static int64_t parse_fraction(const char **at)
{
    int64_t us = 0, unit = SECOND_US / 10;
    for (; isdigit((unsigned char)**at); ++*at, unit /= 10)
        us += (**at - '0') * unit;
    return us;
}

/* " hh:mm[:ss[.uuuuuu]]", with a T or a blank before it */
static bool parse_time(const char **at, struct tm *parts, int64_t *fraction)
{
    ++*at;
    if (!parse_digits(at, 2, &parts->tm_hour) || !parse_separator(at, ':') ||
        !parse_digits(at, 2, &parts->tm_min))
        return false;
    if (parse_separator(at, ':')) {
        if (!parse_digits(at, 2, &parts->tm_sec))
            return false;
        if (parse_separator(at, '.')) {
            if (!isdigit((unsigned char)**at))
                return false;
            *fraction = parse_fraction(at);
        }
    }
    return parts->tm_hour < 24 && parts->tm_min < 60 && parts->tm_sec < 60;
}

/* "Z", "+02", "+02:00", "-0330" */
static bool parse_offset(const char **at, int64_t *seconds)
{
    int hours, minutes = 0;
    *seconds = 0;
    if (parse_separator(at, 'Z'))
        return true;
    int sign = **at == '-' ? -1 : 1;
    ++*at;
    if (!parse_digits(at, 2, &hours))
        return false;
    if ((parse_separator(at, ':') || **at) && !parse_digits(at, 2, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static bool parse_iso(int64_t *us, const char *text)
{
    struct tm parts = {.tm_isdst = -1};
    int64_t fraction = 0, offset = 0;
    if (!parse_date(&text, &parts))
        return false;
    if ((*text == 'T' || *text == ' ') && !parse_time(&text, &parts, &fraction))
        return false;
    bool has_offset = *text && strchr("Z+-", *text);
    if ((has_offset && !parse_offset(&text, &offset)) || *text)
        return false;
    int64_t seconds = has_offset ? timegm(&parts) - offset : mktime(&parts);
    *us = seconds * SECOND_US + fraction;
    return true;
}

/* What may have been meant: "2h" is a time span, and a moment only with "ago" behind it. */
static void append_hint(struct buffer *hint, const char *text)
{
    char with_ago[64];
    int64_t found;
    int length = snprintf(with_ago, sizeof(with_ago), "%s ago", text);
    if (length > 0 && (size_t)length < sizeof(with_ago) && parse_ago(&found, with_ago, INT64_MAX))
        buffer_printf(hint, "; did you mean \"%s\"?", with_ago);
    else
        nearest_append(hint, text, words, sizeof(words) / sizeof(words[0]));
}

int time_words_parse(int64_t *us, const char *text, const struct time_reference *reference,
                     struct error_text *error)
{
    int64_t found;
    if (!parse_word(&found, text, reference) && !parse_ago(&found, text, reference->now_us) &&
        !parse_iso(&found, text)) {
        struct buffer hint = {.limit = 256};
        append_hint(&hint, text);
        error_set(error, 0,
                  "\"%.60s\" is no moment%.*s; write 2026-11-20, 2026-11-20T23:08:00Z, \"2h ago\", "
                  "now, recent, boot, today, yesterday, this-week, week-ago or this-month",
                  text, (int)hint.length, hint.data ? (const char *)hint.data : "");
        buffer_deinit(&hint);
        return -EINVAL;
    }
    if (found < 0 || found >= END_OF_TIME_US)
        return error_set(error, -EINVAL, "\"%.60s\" is not between the years 1970 and 9999", text);
    *us = found;
    return 0;
}

static bool zone_exists(const char *name)
{
    char path[512];
    if (!*name || *name == '/' || strstr(name, ".."))
        return false;
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    return access(path, R_OK) == 0 && strlen(name) < 256;
}

int time_zone_use(const char *name, struct error_text *error)
{
    bool utc = !strcmp(name, "UTC");
    if (!utc && !zone_exists(name))
        return error_set(error, -EINVAL,
                         "there is no time zone \"%.60s\" in /usr/share/zoneinfo; write UTC or a "
                         "name such as Europe/Athens",
                         name);
    char zone[260];
    snprintf(zone, sizeof(zone), utc ? "UTC0" : ":%s", name);
    if (setenv("TZ", zone, 1))
        return error_set(error, -errno, "the time zone cannot be set: out of memory");
    tzset();
    return 0;
}

static void format(char text[TIME_TEXT_SIZE], time_t seconds, const char *fraction)
{
    struct tm parts;
    char date[24], offset[8] = "";
    localtime_r(&seconds, &parts);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &parts);
    if (strcmp(tzname[0], "UTC") || parts.tm_gmtoff)
        strftime(offset, sizeof(offset), "%z", &parts);
    snprintf(text, TIME_TEXT_SIZE, "%s%.7s%.3s%s%.2s", date, fraction, offset, *offset ? ":" : "",
             *offset ? offset + 3 : "");
}

void time_words_format(char text[TIME_TEXT_SIZE], int64_t us)
{
    char fraction[24];
    int64_t rest = us % SECOND_US < 0 ? us % SECOND_US + SECOND_US : us % SECOND_US;
    snprintf(fraction, sizeof(fraction), ".%06d", (int)rest);
    format(text, (time_t)((us - rest) / SECOND_US), fraction);
}

bool time_words_convert(char text[TIME_TEXT_SIZE], struct slice utc)
{
    char copy[TIME_TEXT_SIZE];
    const char *at = copy;
    struct tm parts = {.tm_isdst = 0};
    int64_t fraction = 0;
    if (utc.length < 19 || utc.length > 26)
        return false;
    memcpy(copy, utc.data, utc.length);
    copy[utc.length] = '\0';
    if (!parse_date(&at, &parts) || *at != ' ' || !parse_time(&at, &parts, &fraction) || *at)
        return false;
    format(text, timegm(&parts), copy + 19);
    return true;
}
