#pragma once
/*
 * Processes as a tree in memory, with what they listen on and talk to. A node is one program image:
 * what a process became by exec is below what it was before.
 */
#include "reports/evidence/inquiry.h"

/* Columns of a process, in the order of the questions in tree.c. */
enum tree_field {
    TREE_ID,
    TREE_PID,
    TREE_PPID,
    TREE_PARENT_ID,
    TREE_PREVIOUS_ID,
    TREE_START_TICKS,
    TREE_CREATED_AT,
    TREE_DESTROYED_AT,
    TREE_END_CAUSE,
    TREE_EXIT_CODE,
    TREE_EXIT_SIGNAL,
    TREE_COMM,
    TREE_EXE,
    TREE_COMMAND,
    TREE_COMMAND_LENGTH, /* in characters, when not all of the command is here */
    TREE_LOGIN_UID,
    TREE_LOGIN_USERNAME,
    TREE_UID,
    TREE_USERNAME,
    TREE_EFFECTIVE_USERNAME,
    TREE_SESSION_ID,
    TREE_LIFETIME_US,
    TREE_IS_EARLIER, /* 1: it ended before :since */
    TREE_FIELDS
};

enum tree_endpoint_field {
    TREE_ENDPOINT_PROCESS_ID,
    TREE_ENDPOINT_PID,
    TREE_ENDPOINT_ID,
    TREE_PROTOCOL,
    TREE_DIRECTION,
    TREE_STATUS,
    TREE_LOCAL,
    TREE_REMOTE,
    TREE_REMOTE_NAME,
    TREE_COUNT,
    TREE_SENT,
    TREE_RECEIVED,
    TREE_ENDPOINT_FIELDS
};

struct tree_endpoint {
    struct tree_endpoint *next;
    struct slice fields[TREE_ENDPOINT_FIELDS]; /* the text follows the struct */
};

struct tree_node {
    struct tree_node *parent, *first_child, *last_child, *next;
    struct tree_endpoint *endpoints, *last_endpoint;
    uint64_t id;
    size_t depth;
    bool asked_for; /* an image of the process that the tree is around */
    bool kept;      /* it, or what is below it, is what was asked for */
    struct slice fields[TREE_FIELDS];
};

struct tree {
    struct tree_node **nodes; /* in the order of their beginning; from tree_link() on */
    size_t n, capacity, limit;
    size_t n_endpoints;
    struct tree_node *first_root, *last_root;
    bool is_cut, endpoints_cut;
};

enum { TREE_ENDPOINTS_MOST = 20000 };

void tree_deinit(struct tree *tree);

/** All that was alive on :host_id at :at. */
int tree_ask_alive(struct tree *tree, struct inquiry *inquiry) MUST_CHECK;
/** The images of one process, its ancestors, and its descendants up to :until. @p id: any image. */
int tree_ask_around(struct tree *tree, struct inquiry *inquiry, uint64_t id) MUST_CHECK;

/** Find parents and children, and leave out what is not of the login user of @p inquiry, or ended
 *  before :since, unless something that is left is below it. */
int tree_link(struct tree *tree, const struct inquiry *inquiry) MUST_CHECK;

int tree_ask_endpoints_alive(struct tree *tree, struct inquiry *inquiry) MUST_CHECK;
int tree_ask_endpoints_of_all(struct tree *tree, struct inquiry *inquiry) MUST_CHECK;

/** The kept node behind @p node, parents before children; the first for NULL; NULL behind the last.
 */
const struct tree_node *tree_next(const struct tree *tree, const struct tree_node *node);

/** Print it in the format of the options. @p n counts the processes. */
int tree_print(const struct tree *tree, const struct options *options, size_t *n,
               struct error_text *error) MUST_CHECK;
