/* Both are filled first and asked afterwards. */
#include "reports/verify/numbers.h"

#include "core/array.h"

int number_ranges_add(struct number_ranges *ranges, uint64_t first, uint64_t last)
{
    struct number_range *end = ranges->n ? &ranges->ranges[ranges->n - 1] : NULL;
    if (end && first == end->last + 1) {
        end->last = last;
        return 0;
    }
    int error = ARRAY_GROW(ranges->ranges, ranges->n, ranges->size);
    if (!error)
        ranges->ranges[ranges->n++] = (struct number_range){first, last};
    return error;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct number_range *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

void number_ranges_sort(struct number_ranges *ranges)
{
    if (ranges->n)
        qsort(ranges->ranges, ranges->n, sizeof(*ranges->ranges), compare_ranges);
}

bool number_ranges_has(const struct number_ranges *ranges, uint64_t number)
{
    size_t low = 0, high = ranges->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ranges->n && ranges->ranges[low].first <= number;
}

int number_list_add(struct number_list *list, uint64_t number)
{
    int error = ARRAY_GROW(list->numbers, list->n, list->size);
    if (!error)
        list->numbers[list->n++] = number;
    return error;
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

void number_list_sort(struct number_list *list)
{
    if (list->n)
        qsort(list->numbers, list->n, sizeof(*list->numbers), compare_numbers);
}

bool number_list_has(const struct number_list *list, uint64_t number)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->n && list->numbers[low] == number;
}
