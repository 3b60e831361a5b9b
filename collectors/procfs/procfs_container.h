#pragma once
/* What a control group path tells of the container that a process runs in. Pure functions. */
#include "core/slice.h"

/** From the contents of /proc/PID/cgroup: the path in the unified hierarchy; where that is "/" or
 *  absent, the longest path of the others. SLICE_NULL when there is none. */
struct slice procfs_cgroup_path(struct slice contents);
/** The innermost container named in a control group path: the 64 hexadecimal digits that docker,
 *  containerd, CRI-O, podman and Kubernetes use, or the name of an LXC container or of a machine of
 *  machine.slice, as the path writes it. SLICE_NULL: none. Points into @p cgroup. */
struct slice procfs_container_id(struct slice cgroup);
