#pragma once
/* `vestige server retention`: words as for the other commands of reports/command.h. */

int server_retention_command(int argc, char **argv);
