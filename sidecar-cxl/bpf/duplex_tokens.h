/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The token bucket: one class may be limited to so much run time per millisecond, of all CPUs together. What it runs is
 * taken from the bucket, a timer fills it, and CPUs that passed tasks over for want of tokens are woken by the timer.
 */
#pragma once

#define TIMER_NS 1000000ULL
#define IDLE_TIMER_NS 50000000ULL
#define CLOCK_MONOTONIC 1

struct refill {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct refill);
} refills SEC(".maps");

static __s64 tokens;

static __always_inline bool out_of_tokens(const struct duplex_parameters *now, __u32 class)
{
	return now->limited == class && tokens <= 0;
}

/* What a task of the class has run. */
static __always_inline void spend(const struct duplex_parameters *now, __u32 class, __u64 ran)
{
	if (now && now->limited == class)
		__sync_fetch_and_sub(&tokens, ran);
}

static int on_refill(void *map, int *key, struct bpf_timer *timer)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	bool limits = now && now->limited < CLASSES;
	__u32 count = scx_bpf_nr_cpu_ids();

	if (limits) {
		__s64 have = tokens, burst = now->burst_ns;

		/* A long stint may leave a debt, but no more than what can be saved up. */
		if (have < -burst)
			__sync_fetch_and_add(&tokens, -burst - have);
		if (have < burst)
			__sync_fetch_and_add(&tokens, now->refill_ns);
	}
	for (__u32 cpu = 0; cpu < MAX_CPUS && cpu < count; cpu++) {
		struct cpu_state *state = cpu_state_of(cpu);

		if (state && state->held)
			scx_bpf_kick_cpu(cpu, 0);
	}
	bpf_timer_start(timer, limits ? TIMER_NS : IDLE_TIMER_NS, 0);
	return 0;
}

static __always_inline __s32 start_refill(void)
{
	struct refill *refill = bpf_map_lookup_elem(&refills, &zero);
	__s32 error;

	if (!refill)
		return -EINVAL;
	error = bpf_timer_init(&refill->timer, &refills, CLOCK_MONOTONIC);
	if (error)
		return error;
	bpf_timer_set_callback(&refill->timer, on_refill);
	return bpf_timer_start(&refill->timer, TIMER_NS, 0);
}
