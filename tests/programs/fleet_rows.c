/* Numbers come from hashing the id; each table has a function for each kind of line. */
#include "fleet_rows.h"

#include <stdio.h>

#define EXE_SHA256        "3b1f0a8d5c6e4f7092a1b4c3d8e7f6051a2b3c4d5e6f708192a3b4c5d6e7f809"
#define EXE_MODIFIED_US   UINT64_C(1663667890123456)
#define SECOND_US         UINT64_C(1000000)
#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const char *const programs[] = {"bash", "cc1",  "python3", "sshd", "ls",  "git",
                                       "make", "curl", "cron",    "sed",  "awk", "systemctl"};

uint64_t fleet_mix(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/** The @p n-th number of a row, below @p below. */
static uint64_t pick(const struct fleet_row *row, unsigned n, uint64_t below)
{
    return fleet_mix(row->id * 64 + n) % below;
}

static const char *program(const struct fleet_row *row)
{
    return programs[pick(row, 1, N_ELEMENTS(programs))];
}

static uint64_t user(const struct fleet_row *row)
{
    return 1000 + pick(row, 2, 40);
}

static void add_user(struct line *line, uint64_t uid)
{
    char name[32];
    snprintf(name, sizeof(name), "user%llu", (unsigned long long)uid);
    line_u64(line, uid);
    line_word(line, name);
}

static void printed(struct line *line, const char *format, uint64_t a, uint64_t b)
{
    char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, (unsigned long long)a, (unsigned long long)b);
#pragma GCC diagnostic pop
    line_text(line, slice_text(text));
}

static uint64_t end_us(const struct fleet_row *row)
{
    return row->id + (row->open ? fleet_row_delay(row, VERB_END) : 1000 + pick(row, 3, 200000));
}

static void common_end(const struct fleet_row *row, struct line *line)
{
    line_time(line, end_us(row));
    line_word(line, row->table == TABLE_PROCESS ? "exit" : "closed");
}

/** Nothing but a moment: it ends when it begins. */
static void moment_end(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "closed");
}

static void process_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "audit,connector,taskstats");
    line_word(line, FLEET_BOOT_ID);
    line_u64(line, 300 + pick(row, 4, 30000));
    line_u64(line, row->id / 10000 % 1000000000);
    line_u64(line, 200 + pick(row, 5, 100));
    line_u64(line, row->id - 1 - pick(row, 6, 1000000));
    line_null(line);
    add_user(line, user(row));
    add_user(line, user(row));
    line_u64(line, user(row));
    line_u64(line, user(row));
    line_null(line);
    line_u64(line, 4026531836);
    line_u64(line, 4026531841);
    line_u64(line, 4026531840);
    line_u64(line, 0);
    line_u64(line, 0);
}

static void process_settle(const struct fleet_row *row, struct line *line)
{
    line_word(line, program(row));
    printed(line, "/usr/bin/program-%llu", pick(row, 1, N_ELEMENTS(programs)), 0);
    line_word(line, program(row));
    printed(line, "--output /var/tmp/build/object-%llu.o -I include 'a b\\tc%llu'",
            pick(row, 7, 1000000), pick(row, 8, 100));
    line_u64(line, 6);
    line_null(line);
    printed(line, "/home/user%llu/src/project-%llu", user(row), pick(row, 9, 30));
    line_word(line, "pts/3");
    line_word(line, EXE_SHA256);
    line_u64(line, 35664);
    line_time(line, EXE_MODIFIED_US);
    line_u64(line, 17 + pick(row, 10, 50));
    add_user(line, user(row));
}

static void process_end(const struct fleet_row *row, struct line *line)
{
    common_end(row, line);
    line_u64(line, 812 + pick(row, 11, 100000));
    line_u64(line, 404 + pick(row, 12, 50000));
    line_u64(line, 2312 + pick(row, 13, 60000));
    line_u64(line, 4096 * pick(row, 14, 100));
    line_u64(line, 4096 * pick(row, 15, 10));
    line_u64(line, user(row));
    line_u64(line, pick(row, 16, 20) ? 0 : 1);
    line_null(line);
}

static void add_actor(const struct fleet_row *row, struct line *line)
{
    line_u64(line, row->id - 1 - pick(row, 6, 1000000));
    line_u64(line, 300 + pick(row, 4, 30000));
}

static void add_people(const struct fleet_row *row, struct line *line)
{
    line_word(line, program(row));
    add_user(line, user(row));
    add_user(line, user(row));
}

static void endpoint_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "audit,sock_diag,bpf");
    add_actor(row, line);
    line_word(line, "exact");
    add_people(row, line);
    line_word(line, "tcp");
    line_word(line, "out");
    printed(line, "198.51.%llu.%llu", pick(row, 17, 100), pick(row, 18, 250));
    line_u64(line, 443);
    line_null(line);
    line_u64(line, 4026531840);
    line_u64(line, row->id);
}

static void endpoint_settle(const struct fleet_row *row, struct line *line)
{
    line_word(line, "established");
    printed(line, "192.0.2.%llu", pick(row, 19, 250), 0);
    line_u64(line, 32768 + pick(row, 20, 28000));
    line_null(line);
    printed(line, "host-%llu.example.org", pick(row, 17, 100), 0);
}

static void endpoint_end(const struct fleet_row *row, struct line *line)
{
    common_end(row, line);
    line_u64(line, pick(row, 21, 100000));
    line_u64(line, pick(row, 22, 10000000));
}

static void file_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "fanotify");
    add_actor(row, line);
    add_people(row, line);
    printed(line, "/home/user%llu/src/project/part/module-%llu.c", user(row), pick(row, 23, 5000));
    line_null(line);
    line_u64(line, 0);
    line_u64(line, 0);
    line_word(line, "8:1");
    line_u64(line, 100000 + pick(row, 24, 9000000));
}

static void file_end(const struct fleet_row *row, struct line *line)
{
    common_end(row, line);
    line_word(line, pick(row, 25, 4) ? "read" : "read,write,create");
    line_u64(line, 1 + pick(row, 26, 3));
    line_u64(line, 33188);
    line_u64(line, pick(row, 27, 100000));
}

static void change_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "connector");
    line_u64(line, row->id - 1 - pick(row, 6, 1000000));
    line_word(line, "uid");
    line_word(line, "1000");
    line_word(line, "0");
}

static void name_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "agent");
    printed(line, "198.51.%llu.%llu", pick(row, 17, 100), pick(row, 18, 250));
    printed(line, "host-%llu.example.org", pick(row, 17, 100), 0);
    line_word(line, "dns");
}

static void session_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "audit,utmp");
    line_word(line, FLEET_BOOT_ID);
    line_u64(line, 17 + pick(row, 10, 50));
    add_user(line, user(row));
    line_word(line, "pts/3");
    line_word(line, "sshd");
    line_u64(line, 300 + pick(row, 4, 30000));
    line_u64(line, row->id - 1);
    printed(line, "198.51.%llu.%llu", pick(row, 17, 100), pick(row, 18, 250));
    line_null(line);
}

static void attempt_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "audit");
    printed(line, "user%llu", user(row), 0);
    line_word(line, "sshd");
    line_word(line, pick(row, 28, 3) ? "success" : "failure");
    printed(line, "198.51.%llu.%llu", pick(row, 17, 100), pick(row, 18, 250));
    line_word(line, "ssh");
    line_u64(line, row->id - 1);
}

static void kernel_event_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "audit");
    add_actor(row, line);
    add_people(row, line);
    line_word(line, "mount");
    printed(line, "/mnt/volume-%llu", pick(row, 29, 20), 0);
    line_word(line, "success");
}

static void gap_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "agent");
    line_word(line, FLEET_BOOT_ID);
    line_word(line, "fanotify");
    line_word(line, "queue_overflow");
    line_word(line, "event");
    line_nulls(line, 4);
}

static void host_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "agent");
    line_word(line, "simulated");
    printed(line, "0123456789abcdef0123%012llx", row->id & 0xffffffffffff, 0);
    line_word(line, "Debian GNU/Linux");
    line_word(line, "12");
    line_word(line, "6.1.0");
    line_word(line, "x86_64");
    line_nulls(line, 2);
    line_word(line, "UTC");
}

static void boot_birth(const struct fleet_row *row, struct line *line)
{
    line_time(line, row->id);
    line_word(line, "agent");
    line_word(line, FLEET_BOOT_ID);
    line_word(line, "6.1.0");
    line_word(line, "root=/dev/vda1 audit=1");
}

static void coverage_birth(const struct fleet_row *row, struct line *line)
{
    static const char *const sources[] = {"audit", "connector", "taskstats", "fanotify"};
    line_time(line, row->id);
    line_word(line, "agent");
    line_word(line, FLEET_BOOT_ID);
    line_word(line, sources[row->id % N_ELEMENTS(sources)]);
    line_word(line, "owner");
    line_null(line);
}

typedef void (*part_function)(const struct fleet_row *row, struct line *line);

static const struct kind {
    unsigned permille; /* of all rows */
    unsigned open_permille, unsettled_permille;
    part_function birth, settle, end;
} kinds[TABLE_N] = {
    [TABLE_PROCESS] = {450, 250,  40,  process_birth,      process_settle,  process_end },
    [TABLE_ENDPOINT] = {180, 500,  300, endpoint_birth,     endpoint_settle, endpoint_end},
    [TABLE_FILE_ACCESS] = {280, 150,  0,   file_birth,         NULL,            file_end    },
    [TABLE_PROCESS_CHANGE] = {30,  0,    0,   change_birth,       NULL,            moment_end  },
    [TABLE_ADDRESS_NAME] = {25,  0,    0,   name_birth,         NULL,            common_end  },
    [TABLE_AUTH_ATTEMPT] = {10,  0,    0,   attempt_birth,      NULL,            moment_end  },
    [TABLE_KERNEL_EVENT] = {12,  0,    0,   kernel_event_birth, NULL,            moment_end  },
    [TABLE_SESSION] = {6,   1000, 0,   session_birth,      NULL,            common_end  },
    [TABLE_GAP] = {7,   0,    0,   gap_birth,          NULL,            moment_end  },
    [TABLE_HOST] = {0,   1000, 0,   host_birth,         NULL,            NULL        },
    [TABLE_BOOT] = {0,   1000, 0,   boot_birth,         NULL,            NULL        },
    [TABLE_COVERAGE] = {0,   1000, 0,   coverage_birth,     NULL,            NULL        },
};

struct fleet_row fleet_row_choose(uint64_t id)
{
    struct fleet_row row = {.table = TABLE_PROCESS, .id = id};
    uint64_t place = pick(&row, 30, 1000);
    for (int table = 0; table < TABLE_N; table++) {
        if (place < kinds[table].permille) {
            row.table = (enum table_id)table;
            break;
        }
        place -= kinds[table].permille;
    }
    row.open = pick(&row, 31, 1000) < kinds[row.table].open_permille;
    row.unsettled = pick(&row, 32, 1000) < kinds[row.table].unsettled_permille;
    return row;
}

struct fleet_row fleet_row_standing(uint64_t id, unsigned index)
{
    static const enum table_id tables[FLEET_STANDING_N] = {
        TABLE_HOST, TABLE_BOOT, TABLE_COVERAGE, TABLE_COVERAGE, TABLE_COVERAGE, TABLE_COVERAGE};
    return (struct fleet_row){.table = tables[index], .id = id, .open = true};
}

/** Lives are short or long: each power of two from a third of a second to a minute is as likely. */
uint64_t fleet_row_delay(const struct fleet_row *row, enum verb verb)
{
    if (verb == VERB_SETTLE)
        return 50000 + pick(row, 33, 2 * SECOND_US);
    uint64_t shortest = (SECOND_US / 3) << pick(row, 34, 8);
    return shortest + pick(row, 35, shortest);
}

static void add_part(const struct fleet_row *row, part_function part, enum verb verb, bool known,
                     struct line *line)
{
    size_t first, n = catalogue_line_columns(catalogue_table(row->table), verb, &first);
    if (part && known)
        part(row, line);
    else
        line_nulls(line, n);
}

int fleet_row_line(const struct fleet_row *row, enum verb verb, struct line *line)
{
    const struct kind *kind = &kinds[row->table];
    line_begin(line, verb, row->table, row->id);
    if (verb == VERB_INSERT) {
        kind->birth(row, line);
        add_part(row, kind->settle, VERB_SETTLE, !row->unsettled, line);
        add_part(row, kind->end, VERB_END, !row->open, line);
    } else if (verb == VERB_SETTLE) {
        kind->settle(row, line);
    } else {
        kind->end(row, line);
    }
    return line_finish(line);
}
