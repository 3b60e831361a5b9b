#pragma once
/* `vestige server hold`: words as for the other commands of reports/command.h. */

int server_hold_command(int argc, char **argv);
