/* A list: seldom do more than one wait at a time. */
#include "collectors/inotify/moves.h"

#include <stdlib.h>

void moves_init(struct moves *moves)
{
    *moves = (struct moves){.n = 0};
    TAILQ_INIT(&moves->list);
}

void moves_deinit(struct moves *moves)
{
    while (!TAILQ_EMPTY(&moves->list))
        moves_remove(moves, TAILQ_FIRST(&moves->list));
}

struct move *moves_add(struct moves *moves, uint32_t cookie, int32_t from_watch, struct slice path,
                       struct slice name)
{
    if (moves->n == MOVES_MOST)
        return NULL;
    struct move *move = calloc(1, sizeof(*move) + path.length);
    if (!move)
        return NULL;
    *move = (struct move){.cookie = cookie,
                          .from_watch = from_watch,
                          .path = slice_of(move->bytes, path.length),
                          .name = slice_of(move->bytes + path.length - name.length, name.length)};
    memcpy(move->bytes, path.data, path.length);
    TAILQ_INSERT_TAIL(&moves->list, move, in_list);
    moves->n++;
    return move;
}

int moves_arrive(struct move *move, int32_t to_watch, struct slice new_name)
{
    uint8_t *bytes = malloc(new_name.length + 1);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, new_name.data, new_name.length);
    free(move->new_bytes);
    move->new_bytes = bytes;
    move->new_name = slice_of(bytes, new_name.length);
    move->to_watch = to_watch;
    move->told = true;
    return 0;
}

struct move *moves_find(const struct moves *moves, uint32_t cookie)
{
    struct move *move;
    TAILQ_FOREACH_REVERSE(move, &moves->list, move_list, in_list)
    if (move->cookie == cookie && !move->told)
        return move;
    return NULL;
}

struct move *moves_find_place(const struct moves *moves, int32_t from_watch, struct slice name)
{
    struct move *move;
    TAILQ_FOREACH(move, &moves->list, in_list)
    if (move->directory && move->from_watch == from_watch && slice_equal(move->name, name))
        return move;
    return NULL;
}

struct move *moves_first(const struct moves *moves)
{
    return TAILQ_FIRST(&moves->list);
}

void moves_remove(struct moves *moves, struct move *move)
{
    TAILQ_REMOVE(&moves->list, move, in_list);
    moves->n--;
    free(move->new_bytes);
    free(move);
}
