/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What observe.bpf.c shares with user space. Kernel/ObserverLayout.cs mirrors these structures byte for byte.
 */
#pragma once

/* Constants of one load. */
struct settings {
	__u32 use_cgroup_v1;   /* ids of the v1 cpu hierarchy instead of the unified one */
	__u32 use_perf_events; /* both arrays of perf events are filled */
	__u64 burst_threshold; /* reads + writes in one stint; 0: no bursts */
};

/* Counters of one cgroup on one CPU. All only grow. */
struct cgroup_counters {
	__u64 run_ns;	    /* time on the CPU */
	__u64 switches;	    /* times a task of the cgroup left the CPU */
	__u64 wakeups;	    /* times a task of the cgroup slept until it was woken */
	__u64 migrations;   /* times a task of the cgroup changed CPU */
	__u64 read_faults;  /* page faults on user memory for a read */
	__u64 write_faults; /* page faults on user memory for a write */
	__u64 mem_reads;    /* read-direction perf event, while on the CPU */
	__u64 mem_writes;   /* write-direction perf event, while on the CPU */
	__u64 bursts;	    /* stints whose traffic reached burst_threshold */
};

/* One CPU's running account: what its owner did since the last flush into the map of cgroups. */
struct cpu_account {
	__u64 owner; /* cgroup id; 0 before the first switch */
	__u64 task;  /* pid of the running task */
	struct cgroup_counters pending;
	__u64 exec_base;  /* sum_exec_runtime of the running task when it came on */
	__u64 sleep_base; /* voluntary switches of the running task when it came on */
	__u64 read_base;  /* perf counters when it came on; without perf events, pending faults */
	__u64 write_base;
};

/* Everything that was not counted is counted here. */
struct losses {
	__u64 cgroups;	   /* flushes dropped because the map of cgroups was full */
	__u64 events;	   /* bursts not delivered because the ring buffer was full */
	__u64 perf_reads;  /* perf counters that could not be read */
	__u64 stints;	   /* stints whose beginning was not seen; they are not counted */
};

/* A stint on the CPU with unusual memory traffic. */
struct burst {
	__u64 cgroup_id;
	__u64 reads;
	__u64 writes;
	__u64 run_ns;
	__u32 cpu;
	__u32 pid;
};
