/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What happens every millisecond while bulk work runs: the token bucket is filled, CPUs that passed tasks over for want of
 * tokens look again, and bulk work makes room for a balanced task that waits and has had less by now. The kernel's own
 * tick, at which a stint ends otherwise, comes every four milliseconds on many kernels.
 */
#pragma once

#define TIMER_NS 1000000ULL
#define IDLE_TIMER_NS 50000000ULL
#define CLOCK_MONOTONIC 1

struct timer {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timer);
} timers SEC(".maps");

struct round {
	__u64 time;
	__u64 waiting; /* balanced tasks for which nobody has made room */
	struct head head;
	bool bulk;
};

static long look_at(__u32 cpu, struct round *round)
{
	struct cpu_state *there = cpu_state_of(cpu);

	if (!there)
		return 1;
	round->bulk |= there->running < CLASS_BALANCED;
	if (there->held) {
		scx_bpf_kick_cpu(cpu, 0);
	} else if (round->waiting && round->head.since && owes(there, round->head.virtual, round->time)) {
		scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
		round->waiting--;
	}
	return 0;
}

static int on_timer(void *map, int *key, struct bpf_timer *timer)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	bool limits = now && now->limited < CLASSES;
	struct round round = {.time = clock_now(), .waiting = waiting_tasks[CLASS_BALANCED], .bulk = waiting_tasks[CLASS_READ] || waiting_tasks[CLASS_WRITE]};

	if (limits)
		refill(now);
	if (round.waiting) {
		/* Linux 6.12 takes this for sleepable, because duplex_init is, and wants to see the lock that a timer has. */
		bpf_rcu_read_lock();
		round.head = head_of(QUEUE(CLASS_BALANCED));
		bpf_rcu_read_unlock();
	}
	bpf_loop(scx_bpf_nr_cpu_ids(), look_at, &round, 0);
	bpf_timer_start(timer, limits || round.bulk ? TIMER_NS : IDLE_TIMER_NS, 0);
	return 0;
}

static __always_inline __s32 start_timer(void)
{
	struct timer *timer = bpf_map_lookup_elem(&timers, &zero);
	__s32 error;

	if (!timer)
		return -EINVAL;
	error = bpf_timer_init(&timer->timer, &timers, CLOCK_MONOTONIC);
	if (error)
		return error;
	bpf_timer_set_callback(&timer->timer, on_timer);
	return bpf_timer_start(&timer->timer, TIMER_NS, 0);
}
