/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the scheduler remembers: of the machine, of every CPU and of every task. Include after duplex.h.
 */
#pragma once

#define EINVAL 22
const volatile struct duplex_settings settings SEC(".rodata.settings") = {};

struct task_state {
	__u64 queued_at;  /* 0: not in a queue */
	__u64 started_at; /* 0: not running */
	__u64 virtual;	  /* see duplex_fair.h; 0: never waited */
	__u32 class;
	__u32 bound; /* in the queue of CPU bound - 1; 0: in that of its class */
};

/* Written by its own CPU; others only look. */
struct cpu_state {
	__u64 preempted_at;
	__u64 since;	    /* when the running task came on */
	__u64 virtual;	    /* its virtual time then */
	__u32 weight;	    /* its weight */
	__u32 running;	    /* class; NO_CLASS while idle or unknown */
	__u32 after_latency; /* the last pick was a latency task */
	__u32 lead;	    /* stints by which the running task has gone on */
	__u32 held;	    /* the CPU passed tasks over for want of tokens */
	__u32 padding;
	__u64 waiting;	    /* tasks in the CPU's own queue */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct duplex_parameters);
} parameters SEC(".maps");

/* By CPU: CLASS_READ or CLASS_WRITE. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, __u32);
} lanes SEC(".maps");

/* Cgroup id to class. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, __u32);
	__type(value, struct class_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exit_record);
} exits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, struct cpu_state);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

static const __u32 zero;

#ifdef MOEBIUS_FAULTS
/* For the tests of what happens then: 1 breaks a rule of sched_ext, 2 lets every task wait. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} faults SEC(".maps");

static __always_inline __u32 fault(void)
{
	__u32 *wanted = bpf_map_lookup_elem(&faults, &zero);

	return wanted ? *wanted : 0;
}
#else
#define fault() 0
#endif

/* The run queue's own clock where the kernel lends it (6.14): reading the machine's costs far more on some machines. */
static __always_inline __u64 clock_now(void)
{
	return scx_bpf_now ? scx_bpf_now() : bpf_ktime_get_ns();
}

/* The clocks of two CPUs may differ by a little. */
static __always_inline __u64 elapsed(__u64 since, __u64 now)
{
	return now > since ? now - since : 0;
}

static __always_inline struct task_state *state_of(struct task_struct *p)
{
	return bpf_task_storage_get(&tasks, p, 0, 0);
}

static __always_inline struct cpu_state *cpu_state_of(__s32 cpu)
{
	__u32 key = cpu;

	return bpf_map_lookup_elem(&cpus, &key);
}

static __always_inline struct class_counters *counters_of(__u32 class)
{
	return bpf_map_lookup_elem(&counters, &class);
}

static __always_inline __u32 class_of(struct task_struct *p)
{
	__u64 id;
	__u32 *hint;

	/* Others wait for what they do; among them is the kernel's watchdog over this scheduler. */
	if (p->flags & PF_KTHREAD)
		return CLASS_LATENCY;
	id = cgroup_id_of(p, settings.use_cgroup_v1);
	hint = bpf_map_lookup_elem(&hints, &id);
	return hint && *hint < CLASSES ? *hint : CLASS_BALANCED;
}
