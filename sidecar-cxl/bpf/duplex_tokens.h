/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The token bucket: one class may be limited to so much run time per millisecond, of all CPUs together. What it runs is
 * taken from the bucket, duplex_timer.h fills it.
 */
#pragma once

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

/* Once a millisecond. */
static __always_inline void refill(const struct duplex_parameters *now)
{
	__s64 have = tokens, burst = now->burst_ns;

	/* A long stint may leave a debt, but no more than what can be saved up. */
	if (have < -burst)
		__sync_fetch_and_add(&tokens, -burst - have);
	if (have < burst)
		__sync_fetch_and_add(&tokens, now->refill_ns);
}
