/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The queues: one for each class, first in first out, and one for each CPU with the tasks that are bound to it, which
 * wait there as balanced ones.
 */
#pragma once

#define QUEUE(class) (0x100ULL + (class))
#define CPU_QUEUE(cpu) (0x10000ULL + (cpu))

/*
 * Tasks in the classes' queues. Counted here, because asking the kernel means looking the queue up. A task counts from
 * before it is queued until it runs, so that none is overlooked.
 */
static __u64 waiting_tasks[CLASSES];

static __always_inline void count_in(struct task_state *state, __u64 time)
{
	if (state->bound) {
		struct cpu_state *there = cpu_state_of(state->bound - 1);

		if (there)
			__sync_fetch_and_add(&there->waiting, 1);
	} else {
		__sync_fetch_and_add(&waiting_tasks[state->class & (CLASSES - 1)], 1);
	}
	state->queued_at = time;
}

static __always_inline void count_out(struct task_state *state)
{
	if (!state->queued_at)
		return;
	state->queued_at = 0;
	if (state->bound) {
		struct cpu_state *there = cpu_state_of(state->bound - 1);

		if (there)
			__sync_fetch_and_add(&there->waiting, -1);
		state->bound = 0;
	} else {
		__sync_fetch_and_add(&waiting_tasks[state->class & (CLASSES - 1)], -1);
	}
}

static __always_inline __u64 count_waiting(void)
{
	return waiting_tasks[CLASS_READ] + waiting_tasks[CLASS_WRITE] + waiting_tasks[CLASS_BALANCED] + waiting_tasks[CLASS_LATENCY];
}

/* The more wait, the shorter the stints, so that a round does not grow with the number of tasks. */
static __always_inline __u64 slice(const struct duplex_parameters *now, __u64 waiting)
{
	__u64 count = scx_bpf_nr_cpu_ids() ?: 1, result = now->slice_ns * count / (count + waiting);

	return result > now->minimum_ns ? result : now->minimum_ns;
}

/* The first task of a queue. */
struct head {
	__u64 since; /* when it began to wait; 0 if the queue is empty */
	__u64 virtual;
	__u32 class;
};

static __always_inline struct head head_of(__u64 queue)
{
	struct bpf_iter_scx_dsq iterator;
	struct task_struct *p;
	struct head head = {};

	if (!bpf_iter_scx_dsq_new(&iterator, queue, 0)) {
		p = bpf_iter_scx_dsq_next(&iterator);
		if (p) {
			struct task_state *state = state_of(p);

			head.since = state && state->queued_at ? state->queued_at : 1;
			head.virtual = state ? state->virtual : 0;
			head.class = state ? state->class : CLASS_BALANCED;
		}
	}
	bpf_iter_scx_dsq_destroy(&iterator);
	return head;
}

/* Takes the first task of a class that may run here. */
static __always_inline bool take(__u32 class, __u32 lane, bool aged)
{
	struct class_counters *counts;

	if (!move_to_local(QUEUE(class)))
		return false;
	counts = counters_of(class);
	if (counts) {
		counts->picked++;
		if (class == lane)
			counts->paired++;
		else if (class < CLASS_BALANCED)
			counts->crossed++;
		if (aged)
			counts->aged++;
	}
	return true;
}

/* The same, of the tasks that are bound to the CPU; they count for their own class, that of the first. */
static __always_inline bool take_bound(__s32 cpu, __u32 class, bool aged)
{
	struct class_counters *counts;

	if (!move_to_local(CPU_QUEUE(cpu)))
		return false;
	counts = counters_of(class);
	if (counts) {
		counts->picked++;
		if (aged)
			counts->aged++;
	}
	return true;
}

/* The balanced task that waits longest: bound to the CPU, or of the class's queue, whose first may not run here. */
static __always_inline bool take_balanced(__s32 cpu, __u64 shared_since, const struct head *bound, __u32 lane, bool aged)
{
	bool bound_first = bound->since && (!shared_since || bound->since < shared_since);

	if (bound_first && take_bound(cpu, bound->class, aged))
		return true;
	if (shared_since && take(CLASS_BALANCED, lane, aged))
		return true;
	return bound->since && !bound_first && take_bound(cpu, bound->class, aged);
}
