#pragma once
/*
 * Requests to the kernel's audit subsystem, on a socket of their own. Each waits for its answer for
 * at most a second, but for audit_control_poll_status. Functions return 0 or a negative errno:
 * the kernel's own, -ETIMEDOUT without an answer, -EBADMSG for one that makes no sense.
 */
#include "collectors/audit/audit_rules.h"
#include "core/error.h"

#include <libmnl/libmnl.h>
#include <linux/audit.h>

struct audit_control {
    struct mnl_socket *mnl; /* NULL: not open */
    uint32_t sequence;
    uint32_t asked; /* sequence of the status that audit_control_poll_status waits for; 0: none */
};

#define AUDIT_CONTROL_NULL                                                                         \
    {                                                                                              \
        0                                                                                          \
    }

int audit_control_open(struct audit_control *self, struct error_text *error) MUST_CHECK;
void audit_control_close(struct audit_control *self);

int audit_control_status(struct audit_control *self, struct audit_status *status) MUST_CHECK;
/** Set what status->mask names. */
int audit_control_set(struct audit_control *self, const struct audit_status *status) MUST_CHECK;
/** -EEXIST: there is an equal one. */
int audit_control_add_rule(struct audit_control *self,
                           const struct audit_rule_data *rule) MUST_CHECK;
/** -ENOENT: there is none. */
int audit_control_delete_rule(struct audit_control *self,
                              const struct audit_rule_data *rule) MUST_CHECK;
/** Append all rules that the kernel has. */
int audit_control_list_rules(struct audit_control *self, struct audit_rules *rules) MUST_CHECK;

/** Ask for the status and do not wait. */
int audit_control_ask_status(struct audit_control *self) MUST_CHECK;
enum {
    AUDIT_CONTROL_ANSWERED = 0,
    AUDIT_CONTROL_NOTHING = 1 /* no answer yet, or nothing was asked */
};
int audit_control_poll_status(struct audit_control *self, struct audit_status *status) MUST_CHECK;

/** The message that sets what status->mask names, for another socket to send: the kernel sends
 *  records to the socket that registers. @p buffer has AUDIT_CONTROL_SET_SIZE bytes. */
#define AUDIT_CONTROL_SET_SIZE 128
struct nlmsghdr *audit_control_put_set(void *buffer, const struct audit_status *status);
