/* The vestige command: a table of subcommands, each in a file of its own. */
#include "core/buffer.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/options/nearest.h"
#include "reports/output/output.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"standalone", standalone_command,
     "record this host into a private database, in the foreground"                                   },
    {"report",     report_command,     "ask a canned question, or list them"                         },
    {"tree",       tree_command,       "who was alive on a host at a time, or all around a process"  },
    {"timeline",   timeline_command,   "what happened when, as events or drawn on a page"            },
    {"diff",       diff_command,       "what changed between two times, or differs between two hosts"},
    {"user",       user_command,       "all about one login user, on a page"                         },
    {"query",      query_command,      "ask in SQL"                                                  },
    {"export",     export_command,     "rows for other tools: a case bundle, ECS, Timesketch, TLN"   },
    {"schedule",   schedule_command,   "ask a question again and again; what is new is kept"         },
    {"notify",     notify_command,     "tell people of new findings"                                 },
    {"verify",     verify_command,     "whether the evidence is as the hosts have sealed it"         },
    {"status",     status_command,     "how the agent, the hosts and the server are doing"           },
    {"sync",       sync_command,       "wait until all that was seen can be queried"                 },
    {"doctor",     doctor_command,     "what of this host's set-up loses evidence"                   },
    {"seal",       seal_command,       "where the chain of each host ends, to be kept elsewhere"     },
    {"journal",    journal_command,    "list, show and check batches that are not shipped yet"       },
    {"server",     server_command,     "set up and keep a central MariaDB"                           },
    {"client",     client_command,     "credentials of hosts: enroll, list, rotate, revoke"          },
};

static void print_help(FILE *to)
{
    fprintf(to,
            "Usage: vestige COMMAND [options]\n\n"
            "Who did what, with which program, on which host, from when to when.\n\nCommands:\n");
    for (size_t i = 0; i < N_ELEMENTS(commands); i++)
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nvestige COMMAND --help says more about one of them.\n"
                "  --version    show the version\n  --help       show this\n");
}

static int refuse(const char *word)
{
    const char *names[N_ELEMENTS(commands)];
    struct buffer hint = {.limit = 256};
    for (size_t i = 0; i < N_ELEMENTS(commands); i++)
        names[i] = commands[i].name;
    nearest_append(&hint, word, names, N_ELEMENTS(commands));
    log_error("command", "there is no command \"%.60s\"%.*s (see vestige --help)", word,
              (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return STATUS_ERROR;
}

/* Without a UTF-8 locale libsmartcols would show every letter beyond ASCII as bytes. */
static void use_utf8(void)
{
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* What was printed last may still be in the buffer, and the place it goes to full. */
static int end_output(int status)
{
    if (status == STATUS_ERROR || fflush(stdout) == 0)
        return status;
    int error = errno;
    output_end_if_unread(-error);
    log_error("command", "standard output cannot be written: %s", strerror(error));
    return STATUS_ERROR;
}

int main(int argc, char **argv)
{
    log_set_program("vestige");
    use_utf8();
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        print_help(stderr);
        return STATUS_ERROR;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "help")) {
        print_help(stdout);
        return end_output(STATUS_ROWS);
    }
    if (!strcmp(word, "--version")) {
        printf("vestige %s\n", VESTIGE_VERSION);
        return end_output(STATUS_ROWS);
    }
    for (size_t i = 0; i < N_ELEMENTS(commands); i++)
        if (!strcmp(word, commands[i].name))
            return end_output(commands[i].run(argc - 1, argv + 1));
    return refuse(word);
}
