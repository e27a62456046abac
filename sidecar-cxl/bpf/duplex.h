/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What duplex.bpf.c shares with user space. Kernel/DuplexLayout.cs mirrors these structures byte for byte.
 */
#pragma once

enum class {
	CLASS_READ,
	CLASS_WRITE,
	CLASS_BALANCED, /* also whoever has no hint */
	CLASS_LATENCY,
	CLASSES,
};

#define NO_CLASS 0xffffffffU
#define MAX_CPUS 1024

/* Constants of one load. */
struct duplex_settings {
	__u32 use_cgroup_v1; /* ids of the v1 cpu hierarchy instead of the unified one */
	__u32 padding;
};

/* Changed at any time; all of it takes effect with the next pick. */
struct duplex_parameters {
	__u64 slice_ns;	   /* longest stint on a CPU */
	__u64 minimum_ns;  /* shortest one: stints shorten as the queues grow */
	__u64 aging_ns;	   /* wait after which a task goes before its class */
	__u64 refill_ns;   /* run time that the limited class gets per millisecond, of all CPUs */
	__u64 burst_ns;	   /* most run time it can save up */
	__u32 limited;	   /* the class that is limited; NO_CLASS for none */
	__u32 pair;	   /* readers and writers on lanes of their own */
	__u32 guard;	   /* a latency task that wakes up takes a CPU from bulk work */
	__u32 padding;
};

/* What was done for one class on one CPU. All but max_wait_ns only grow. */
struct class_counters {
	__u64 queued;	   /* times a task had to wait in its queue */
	__u64 picked;	   /* times one was taken from its queue */
	__u64 paired;	   /* ... by a CPU whose lane is the class's own */
	__u64 crossed;	   /* ... by a CPU of the other direction's lane */
	__u64 aged;	   /* ... because it had waited for the aging limit */
	__u64 held;	   /* times a CPU passed the class over for want of tokens */
	__u64 preemptions; /* times a task of the class that woke up took a CPU from another */
	__u64 runs;	   /* stints on a CPU */
	__u64 run_ns;
	__u64 wait_ns; /* in the queue */
	__u64 max_wait_ns;
};

/* Why the kernel took the scheduler out; kind 0 while it is in. */
struct exit_record {
	__u64 kind;
	__s64 code;
	char reason[64];
	char message[192];
};
