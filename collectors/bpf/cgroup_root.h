#pragma once
/* The root of the cgroup2 hierarchy, to which programs for all sockets are attached. */
#include "core/error.h"

/** A descriptor of its directory. -ENOENT: it is mounted nowhere here; only a part of it may be. */
int cgroup_root_open(void) MUST_CHECK;
