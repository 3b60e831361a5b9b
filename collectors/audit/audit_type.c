/* One row a type; types that are not in the table are skipped like the others. The table is indexed
 * by the type itself, so that a record costs one load. */
#include "collectors/audit/audit_type.h"

#include <linux/audit.h>
#include <stddef.h>

#define FIRST_RECORD AUDIT_FIRST_USER_MSG

struct type_row {
    const char *name;
    enum audit_use use;
};

static const struct type_row kernel_types[] = {
#define ROW(type, action) [AUDIT_##type - AUDIT_SYSCALL] = {#type, AUDIT_USE_##action}
    ROW(SYSCALL, EXEC),
    ROW(PATH, KERNEL),
    ROW(IPC, SKIP),
    ROW(SOCKETCALL, SKIP),
    ROW(CONFIG_CHANGE, KERNEL),
    ROW(SOCKADDR, SOCKET),
    ROW(CWD, EXEC),
    ROW(EXECVE, EXEC),
    ROW(IPC_SET_PERM, SKIP),
    ROW(MQ_OPEN, SKIP),
    ROW(MQ_SENDRECV, SKIP),
    ROW(MQ_NOTIFY, SKIP),
    ROW(MQ_GETSETATTR, SKIP),
    ROW(KERNEL_OTHER, SKIP),
    ROW(FD_PAIR, SKIP),
    ROW(OBJ_PID, KERNEL),
    ROW(TTY, SKIP),
    ROW(EOE, EXEC),
    ROW(BPRM_FCAPS, SKIP),
    ROW(CAPSET, SKIP),
    ROW(MMAP, SKIP),
    ROW(NETFILTER_PKT, SKIP),
    ROW(NETFILTER_CFG, SKIP),
    ROW(SECCOMP, SKIP),
    ROW(PROCTITLE, SKIP),
    ROW(FEATURE_CHANGE, SKIP),
    ROW(REPLACE, CONTROL),
    ROW(KERN_MODULE, KERNEL),
    ROW(FANOTIFY, SKIP),
    ROW(TIME_INJOFFSET, KERNEL),
    ROW(TIME_ADJNTPVAL, KERNEL),
    ROW(BPF, KERNEL),
    ROW(EVENT_LISTENER, SKIP),
#undef ROW
};

/* Of those below, what is said of logins, and that the host goes down. */
static bool is_of_logins(uint16_t type)
{
    switch (type - AUDIT_FIRST_USER_MSG) {
    case 0:  /* USER_AUTH */
    case 1:  /* USER_ACCT */
    case 5:  /* USER_START */
    case 6:  /* USER_END */
    case 12: /* USER_LOGIN */
    case 13: /* USER_LOGOUT */
    case 23: /* USER_CMD */
    case 28: /* SYSTEM_SHUTDOWN */
        return true;
    default:
        return false;
    }
}

/* Records of user programs, as libaudit numbers them; the kernel passes them on. */
static const char *const user_types[] = {
    "USER_AUTH",     "USER_ACCT",    "USER_MGMT",        "CRED_ACQ",        "CRED_DISP",
    "USER_START",    "USER_END",     "USER_AVC",         "USER_CHAUTHTOK",  "USER_ERR",
    "CRED_REFR",     "USYS_CONFIG",  "USER_LOGIN",       "USER_LOGOUT",     "ADD_USER",
    "DEL_USER",      "ADD_GROUP",    "DEL_GROUP",        "DAC_CHECK",       "CHGRP_ID",
    "TEST",          "TRUSTED_APP",  "USER_SELINUX_ERR", "USER_CMD",        "USER_TTY",
    "CHUSER_ID",     "GRP_AUTH",     "SYSTEM_BOOT",      "SYSTEM_SHUTDOWN", "SYSTEM_RUNLEVEL",
    "SERVICE_START", "SERVICE_STOP",
};

static const struct type_row *kernel_type(uint16_t type)
{
    size_t index = (size_t)type - AUDIT_SYSCALL;
    if (type < AUDIT_SYSCALL || index >= sizeof(kernel_types) / sizeof(kernel_types[0]))
        return NULL;
    return &kernel_types[index];
}

enum audit_use audit_type_use(uint16_t type)
{
    if (type == AUDIT_LOGIN)
        return AUDIT_USE_LOGIN;
    if (type < FIRST_RECORD)
        return AUDIT_USE_CONTROL;
    if (is_of_logins(type))
        return AUDIT_USE_USER;
    const struct type_row *row = kernel_type(type);
    return row ? row->use : AUDIT_USE_SKIP;
}

const char *audit_type_name(uint16_t type)
{
    size_t user = (size_t)type - AUDIT_FIRST_USER_MSG;
    if (type == AUDIT_LOGIN)
        return "LOGIN";
    if (type >= AUDIT_FIRST_USER_MSG && user < sizeof(user_types) / sizeof(user_types[0]))
        return user_types[user];
    const struct type_row *row = kernel_type(type);
    return row ? row->name : NULL;
}
