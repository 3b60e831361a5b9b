#pragma once
/* The list of questions, for a reader at a terminal. */
#include "reports/question/question_files.h"

/** Print the questions with @p tag (NULL: all) in groups by their first tag, by name, folded
 *  between words to the terminal. */
void report_list_print(const struct question_files *files, const char *tag);
/** Whether @p tag is one of the question's. */
bool report_list_has_tag(const struct question *question, const char *tag);
