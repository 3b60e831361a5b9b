#pragma once
/* What `vestige user` tells: questions, each of whose rows makes one sentence (sentence.h).
 * Columns: those that the form names, row_host_id and row_ids (of :table, with commas between, the
 * first :ids_most of them). Values: :name and :uid, one of which may be NULL, :host_id, the window
 * and :row_limit. */
#include <stdbool.h>
#include <stddef.h>

struct user_section {
    const char *title; /* sections with the same title stand under one heading */
    const char *table; /* of the rows behind it */
    const char *form;
    const char *sql;
    bool is_remark;   /* about the evidence; no deed of the user */
    const char *none; /* what is said when there are no rows */
};

/* The numbers that :name has, or :uid. Up to eight are bound as :u0 to :u7, twice if there are
 * fewer; with more :many is 1. */
extern const char user_numbers[];
extern const struct user_section user_sections[];
extern const size_t user_sections_n;
