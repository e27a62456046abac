/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What observe.bpf.c shares with user space. Kernel/ObserverLayout.cs mirrors these structures byte for byte.
 */
#pragma once

/* Constants of one load. */
struct settings {
	__u32 use_cgroup_v1;   /* ids of the v1 cpu hierarchy instead of the unified one */
	__u32 use_perf_events; /* traffic comes from perf events; else it is estimated from page faults */
	__u64 burst_threshold; /* reads + writes in one stint on a CPU; 0: no bursts */
	__u64 read_period;     /* perf events for each sample of a read */
	__u64 write_period;
};

/* Counters of one cgroup on one CPU. All only grow. */
struct cgroup_counters {
	__u64 run_ns;	    /* time on the CPU */
	__u64 switches;	    /* times a task of the cgroup left the CPU */
	__u64 wakeups;	    /* times a task of the cgroup slept until it was woken */
	__u64 migrations;   /* times a task of the cgroup changed CPU */
	__u64 read_faults;  /* page faults on user memory for a read */
	__u64 write_faults; /* page faults on user memory for a write */
	__u64 mem_reads;    /* read-direction perf events, in whole periods */
	__u64 mem_writes;   /* write-direction perf events, in whole periods */
	__u64 bursts;	    /* times a stint's traffic reached burst_threshold */
};

/* What a CPU has counted since it was last flushed into the map of cgroups, and the stint that runs on it. */
struct cpu_account {
	__u64 owner; /* cgroup id; 0 before the first fault */
	__u64 read_faults;
	__u64 write_faults;
	__u64 bursts;
	__u64 task;	   /* the stint: its task and how often that had left a CPU before */
	__u64 departures;
	__u64 reads;	   /* traffic of the stint since the last burst */
	__u64 writes;
	__u64 exec_base;   /* sum_exec_runtime when that began */
};

/* Everything that was not counted is counted here. */
struct losses {
	__u64 cgroups; /* updates dropped because the map of cgroups was full or busy */
	__u64 events;  /* bursts not delivered because the ring buffer was full */
	__u64 tasks;   /* times a task could not be looked up; what it did is counted the next time, unless it was the last */
	__u64 read_samples; /* not a loss: samples taken, to hold against what the hardware counted */
	__u64 write_samples;
};

/* A stint on a CPU with unusual memory traffic. */
struct burst {
	__u64 cgroup_id;
	__u64 reads;
	__u64 writes;
	__u64 run_ns; /* up to the last scheduler tick */
	__u32 cpu;
	__u32 pid;
};
