#pragma once
/*
 * The subcommands of `vestige`. Each main function lives in a file of its own, gets its own words
 * (argv[0] is the name of the subcommand, as the user typed it) and returns the exit status.
 */

/* Exit status of every subcommand. */
enum {
    STATUS_ROWS = 0,    /* there is an answer; or: done; or: nothing is wrong */
    STATUS_NO_ROWS = 1, /* the question is answered and the answer is empty */
    STATUS_WRONG = 1,   /* status, doctor, journal check, verify: something is wrong */
    STATUS_ERROR = 2    /* it could not be done; one line on standard error says why */
};

/** @p status where @p outcome is 0. Else it is an error, also a positive outcome of a function. */
static inline int command_status(int outcome, int status)
{
    return outcome > 0 ? -outcome : outcome < 0 ? outcome : status;
}

struct error_text;
/** How a subcommand ends: what it could not do (@p outcome is an error) is told behind what it has
 *  written. Returns its exit status, else @p outcome. */
int command_end(const char *name, int outcome, const struct error_text *error);

int standalone_command(int argc, char **argv);
int server_command(int argc, char **argv);
int client_command(int argc, char **argv);
int report_command(int argc, char **argv);
int schedule_command(int argc, char **argv);
int notify_command(int argc, char **argv);
int tree_command(int argc, char **argv);
int diff_command(int argc, char **argv);
int user_command(int argc, char **argv);
int query_command(int argc, char **argv);
int seal_command(int argc, char **argv);
int export_command(int argc, char **argv);
int status_command(int argc, char **argv);
int sync_command(int argc, char **argv);
int doctor_command(int argc, char **argv);
int timeline_command(int argc, char **argv);
int journal_command(int argc, char **argv);
int verify_command(int argc, char **argv);
