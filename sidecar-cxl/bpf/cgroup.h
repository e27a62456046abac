/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

/* The id of a task's cgroup: in the unified hierarchy, or in the v1 hierarchy of the cpu controller. */
static __always_inline __u64 cgroup_id_of(struct task_struct *task, bool version1)
{
	if (version1) {
		/* A constant offset once the loader has filled in both numbers, so the verifier lets us walk on. */
		void *slot = (void *)task->cgroups + bpf_core_field_offset(struct css_set, subsys) +
			     bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id) * sizeof(void *);

		return (*(struct cgroup_subsys_state **)slot)->cgroup->kn->id;
	}
	return task->cgroups->dfl_cgrp->kn->id;
}
