/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who runs next on a CPU: the rules at the head of duplex.bpf.c.
 */
#pragma once

#define MAX_LEAD 4

/* What a task has run since it came on, or since this was done last. */
static __always_inline void book(struct task_struct *p, struct task_state *state, const struct duplex_parameters *now, __u64 time)
{
	struct class_counters *counts = counters_of(state->class);
	__u64 ran = elapsed(state->started_at, time);

	if (counts)
		counts->run_ns += ran;
	charge(p, state, ran);
	spend(now, state->class, ran);
	state->started_at = time;
}

/*
 * Before a pick, because a task that goes on never stops in the kernel's eyes: it would spend no tokens, and nobody would
 * see what it has had, until it leaves the CPU.
 */
static __always_inline void book_so_far(const struct duplex_parameters *now, struct cpu_state *here, struct task_struct *prev)
{
	struct task_state *state;
	__u64 time;

	if (!prev || !(prev->scx.flags & SCX_TASK_QUEUED))
		return;
	state = state_of(prev);
	if (!state || !state->started_at)
		return;
	time = clock_now();
	book(prev, state, now, time);
	advance(state);
	show(here, prev, state, time);
}

/* Who was running goes on, unless it has no tokens; then it is queued and the timer looks after it. */
static __always_inline void go_on(const struct duplex_parameters *now, struct cpu_state *here, struct task_struct *prev)
{
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED) && !out_of_tokens(now, here->running)) {
		prev->scx.slice = now->slice_ns;
		here->lead++;
	}
}

static __always_inline void pick(const struct duplex_parameters *now, struct cpu_state *here, __s32 cpu, struct task_struct *prev)
{
	__u64 since[CLASSES], virtual[CLASSES], balanced_virtual, oldest_since = 0, time = clock_now();
	struct head bound = {};
	__u32 oldest = NO_CLASS, own, other, key = cpu, *lane = bpf_map_lookup_elem(&lanes, &key);
	bool aged, passed, prev_waits, prev_own = false;

	if (!lane)
		return;
	own = now->pair ? *lane & 1 : NO_CLASS;
	for (__u32 class = 0; class < CLASSES; class++) {
		struct head head = {};

		if (waiting_tasks[class])
			head = head_of(QUEUE(class));
		since[class] = head.since;
		virtual[class] = head.virtual;
	}
	if (here->waiting)
		bound = head_of(CPU_QUEUE(cpu));
	balanced_virtual = bound.since && (!since[CLASS_BALANCED] || bound.since < since[CLASS_BALANCED]) ? bound.virtual : virtual[CLASS_BALANCED];
	for (__u32 class = 0; class < CLASS_LATENCY; class++) {
		if (since[class] && (!oldest_since || since[class] < oldest_since)) {
			oldest_since = since[class];
			oldest = class;
		}
	}
	if (bound.since && (!oldest_since || bound.since < oldest_since)) {
		oldest_since = bound.since;
		oldest = CLASS_BALANCED;
	}
	aged = oldest_since && elapsed(oldest_since, time) >= now->aging_ns;
	here->held = 0;

	passed = aged && here->after_latency;
	if (since[CLASS_LATENCY] && !passed && take(CLASS_LATENCY, own, false)) {
		here->after_latency = 1;
		goto switched;
	}
	here->after_latency = 0;

	if (aged) {
		if (own < CLASS_BALANCED && since[own] && since[own] <= oldest_since + now->aging_ns && !out_of_tokens(now, own) &&
		    take(own, own, elapsed(since[own], time) >= now->aging_ns))
			goto switched;
		if (oldest == CLASS_BALANCED ? take_balanced(cpu, since[CLASS_BALANCED], &bound, own, true)
					     : oldest < CLASS_BALANCED && take(oldest, own, true))
			goto switched;
	}

	prev_waits = prev && (prev->scx.flags & SCX_TASK_QUEUED);
	if (own < CLASS_BALANCED) {
		bool balanced_waits = since[CLASS_BALANCED] || bound.since;
		bool own_may = since[own] && !out_of_tokens(now, own);

		if (own_may && (!balanced_waits || virtual[own] <= balanced_virtual) && take(own, own, false))
			goto switched;
		if (balanced_waits && take_balanced(cpu, since[CLASS_BALANCED], &bound, own, false))
			goto switched;
		if (own_may && take(own, own, false))
			goto switched;
		other = !own;
		prev_own = prev_waits && here->running == own && here->lead < MAX_LEAD && !out_of_tokens(now, own);
		if (since[other] && !prev_own && !out_of_tokens(now, other) && take(other, own, false))
			goto switched;
	} else {
		__u32 first = since[CLASS_READ] && (!since[CLASS_WRITE] || since[CLASS_READ] <= since[CLASS_WRITE]) ? CLASS_READ : CLASS_WRITE;

		if (out_of_tokens(now, first))
			first = !first;
		if ((since[CLASS_BALANCED] || bound.since) && (!since[first] || balanced_virtual < virtual[first]) &&
		    take_balanced(cpu, since[CLASS_BALANCED], &bound, own, false))
			goto switched;
		if (since[first] && !out_of_tokens(now, first) && take(first, own, false))
			goto switched;
		if (take_balanced(cpu, since[CLASS_BALANCED], &bound, own, false))
			goto switched;
		first = !first;
		if (since[first] && !out_of_tokens(now, first) && take(first, own, false))
			goto switched;
	}

	/* It was passed over for somebody who may not run here, and nor may anybody else. */
	if (passed && since[CLASS_LATENCY] && take(CLASS_LATENCY, own, false)) {
		here->after_latency = 1;
		goto switched;
	}

	if (now->limited < CLASS_BALANCED && tokens <= 0) {
		/* limited is masked again for the verifier, which has forgotten its bound. */
		__u32 limited = now->limited & 1;

		if (since[limited]) {
			struct class_counters *counts = counters_of(limited);

			here->held = 1;
			if (counts)
				counts->held++;
		}
	}
	go_on(now, here, prev);
	return;
switched:
	here->lead = 0;
}
