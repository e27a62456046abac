/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who has had less of the machine: virtual time is run time by weight. A task that slept has saved up a stint at most, so
 * one that works little runs soon after it wakes up, and one that works much waits like the others.
 */
#pragma once

#define DEFAULT_WEIGHT 100

/* The most that a task had had when it came on. Far from 0, so that there is room below it. */
static __u64 virtual_now = 1ULL << 40;

/* Before a task waits, or runs without having waited. */
static __always_inline void enter(struct task_state *state, const struct duplex_parameters *now)
{
	__u64 least = virtual_now - now->slice_ns;

	if (!state->virtual)
		state->virtual = virtual_now; /* a new one */
	else if (state->virtual < least)
		state->virtual = least;
}

static __always_inline __u64 weighted(__u64 ran, __u32 weight)
{
	return ran * DEFAULT_WEIGHT / (weight ?: DEFAULT_WEIGHT);
}

static __always_inline void charge(struct task_struct *p, struct task_state *state, __u64 ran)
{
	state->virtual += weighted(ran, p->scx.weight);
}

/* A task comes on, or goes on: what others compare themselves with. */
static __always_inline void show(struct cpu_state *here, struct task_struct *p, const struct task_state *state, __u64 time)
{
	here->since = time;
	here->virtual = state->virtual;
	here->weight = p->scx.weight;
}

/* What the running task has had by now. */
static __always_inline __u64 virtual_there(const struct cpu_state *there, __u64 time)
{
	return there->virtual + weighted(elapsed(there->since, time), there->weight);
}

static __always_inline void advance(const struct task_state *state)
{
	if (virtual_now < state->virtual)
		virtual_now = state->virtual;
}

/*
 * Whether a task that woke up takes a CPU from whoever runs there. Under the guard a latency task takes it from bulk work,
 * however short the stint was, but not before half a stint since this happened there last. Otherwise they do when they
 * have had less; from a balanced task by a shortest stint, because tasks that wake each other would only change places.
 */
static __always_inline bool may_preempt(const struct cpu_state *there, const struct task_state *state, const struct duplex_parameters *now, __u64 time)
{
	__u64 grain;

	if (there->running >= CLASS_LATENCY)
		return false;
	if (state->class == CLASS_LATENCY && now->guard && there->running < CLASS_BALANCED)
		return elapsed(there->preempted_at, time) >= now->slice_ns / 2;
	grain = there->running == CLASS_BALANCED ? now->minimum_ns : 0;
	return state->virtual + grain < virtual_there(there, time);
}

/* Whether bulk work runs there that has had more by now than somebody who waits. */
static __always_inline bool owes(const struct cpu_state *there, __u64 virtual, __u64 time)
{
	return there->running < CLASS_BALANCED && virtual < virtual_there(there, time);
}
