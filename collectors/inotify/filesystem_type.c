/* fanotify wants file handles and an id of the filesystem: those that need inotify give none. The
 * numbers are those of linux/magic.h and of filesystems that have theirs in their own sources. */
#include "collectors/inotify/filesystem_type.h"

#include <linux/magic.h>
#include <stddef.h>

enum kind { OF_KERNEL, NEEDS_INOTIFY, OTHER };

struct filesystem_type {
    int64_t type;
    const char *name;
    enum kind kind;
};

static const struct filesystem_type *find(int64_t type)
{
    static const struct filesystem_type types[] = {
        {PROC_SUPER_MAGIC,      "proc",        OF_KERNEL    },
        {SYSFS_MAGIC,           "sysfs",       OF_KERNEL    },
        {DEVPTS_SUPER_MAGIC,    "devpts",      OF_KERNEL    },
        {DEBUGFS_MAGIC,         "debugfs",     OF_KERNEL    },
        {TRACEFS_MAGIC,         "tracefs",     OF_KERNEL    },
        {SECURITYFS_MAGIC,      "securityfs",  OF_KERNEL    },
        {CGROUP_SUPER_MAGIC,    "cgroup",      OF_KERNEL    },
        {CGROUP2_SUPER_MAGIC,   "cgroup2",     OF_KERNEL    },
        {BPF_FS_MAGIC,          "bpf",         OF_KERNEL    },
        {PSTOREFS_MAGIC,        "pstore",      OF_KERNEL    },
        {EFIVARFS_MAGIC,        "efivarfs",    OF_KERNEL    },
        {SELINUX_MAGIC,         "selinuxfs",   OF_KERNEL    },
        {SMACK_MAGIC,           "smackfs",     OF_KERNEL    },
        {NSFS_MAGIC,            "nsfs",        OF_KERNEL    },
        {BINFMTFS_MAGIC,        "binfmt_misc", OF_KERNEL    },
        {0x62656570,            "configfs",    OF_KERNEL    },
        {0x65735543,            "fusectl",     OF_KERNEL    },
        {0x19800202,            "mqueue",      OF_KERNEL    },
        {OVERLAYFS_SUPER_MAGIC, "overlay",     NEEDS_INOTIFY},
        {NFS_SUPER_MAGIC,       "nfs",         NEEDS_INOTIFY},
        {FUSE_SUPER_MAGIC,      "fuse",        NEEDS_INOTIFY},
        {CIFS_SUPER_MAGIC,      "cifs",        NEEDS_INOTIFY},
        {SMB2_SUPER_MAGIC,      "smb3",        NEEDS_INOTIFY},
        {CEPH_SUPER_MAGIC,      "ceph",        NEEDS_INOTIFY},
        {AFS_FS_MAGIC,          "afs",         NEEDS_INOTIFY},
        {V9FS_MAGIC,            "9p",          NEEDS_INOTIFY},
        {0x786f4256,            "vboxsf",      NEEDS_INOTIFY},
        {TMPFS_MAGIC,           "tmpfs",       OTHER        },
        {RAMFS_MAGIC,           "ramfs",       OTHER        },
        {EXT4_SUPER_MAGIC,      "ext4",        OTHER        },
        {XFS_SUPER_MAGIC,       "xfs",         OTHER        },
        {BTRFS_SUPER_MAGIC,     "btrfs",       OTHER        },
        {F2FS_SUPER_MAGIC,      "f2fs",        OTHER        },
        {MSDOS_SUPER_MAGIC,     "vfat",        OTHER        },
        {ISOFS_SUPER_MAGIC,     "iso9660",     OTHER        },
        {SQUASHFS_MAGIC,        "squashfs",    OTHER        },
    };
    static const struct filesystem_type unknown = {0, "", OTHER};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == type)
            return &types[i];
    return &unknown;
}

bool filesystem_type_is_kernel(int64_t type)
{
    return find(type)->kind == OF_KERNEL;
}

bool filesystem_type_needs_inotify(int64_t type)
{
    return find(type)->kind == NEEDS_INOTIFY;
}

const char *filesystem_type_name(int64_t type)
{
    return find(type)->name;
}
