#pragma once
/* Sets of numbers, as ranges or one by one. Zeros are an empty one; the caller frees the array. */
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

struct number_range {
    uint64_t first, last;
};

struct number_ranges {
    struct number_range *ranges;
    size_t n, size;
};

struct number_list {
    uint64_t *numbers;
    size_t n, size;
};

/** A range that goes on where the last one ended makes that one longer. */
int number_ranges_add(struct number_ranges *ranges, uint64_t first, uint64_t last) MUST_CHECK;
/** To be called before the first question, unless they were added in order. */
void number_ranges_sort(struct number_ranges *ranges);
bool number_ranges_has(const struct number_ranges *ranges, uint64_t number);

int number_list_add(struct number_list *list, uint64_t number) MUST_CHECK;
/** Likewise. */
void number_list_sort(struct number_list *list);
bool number_list_has(const struct number_list *list, uint64_t number);
