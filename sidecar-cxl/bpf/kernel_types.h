/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel structures that the programs read, with only the members they use. preserve_access_index makes the
 * loader relocate every access to the running kernel's own layout (CO-RE), so one object runs on every kernel with BTF
 * and no generated vmlinux.h is needed to build it.
 */
#pragma once

typedef unsigned char __u8;
typedef signed short __s16;
typedef unsigned short __u16;
typedef signed int __s32;
typedef unsigned int __u32;
typedef signed long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_NO_PREALLOC = 1, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs;

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

/* The kernel's array is longer; the member's offset is what is relocated. */
struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct sched_entity {
	__u64 sum_exec_runtime;
	__u64 nr_migrations;
};

struct sched_ext_entity {
	__u32 flags;
	__u32 weight;
	__u64 slice;
};

/* Complete, because relocation tells a forward declaration from the structure. */
struct cpumask {
	unsigned long bits[1];
};

struct task_struct {
	int pid;
	unsigned int flags;
	int nr_cpus_allowed;
	const void *cpus_ptr; /* as struct cpumask, clang would reduce that to a forward declaration */
	unsigned long nvcsw;
	unsigned long nivcsw;
	__u64 start_time;
	struct sched_entity se;
	struct sched_ext_entity scx;
	struct css_set *cgroups;
};

struct bpf_iter__task {
	struct task_struct *task;
};

enum cgroup_subsys_id {
	cpu_cgrp_id,
};

#pragma clang attribute pop
