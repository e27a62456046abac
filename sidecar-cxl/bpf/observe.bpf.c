// SPDX-License-Identifier: GPL-2.0
/*
 * Per-cgroup telemetry for the node agent: run time, switches, wake-ups, migrations, page faults by direction, and
 * memory reads and writes where a pair of perf events could be opened.
 *
 * Nothing runs on a context switch. The kernel counts run time, switches and migrations of every task anyway: once per
 * interval user space walks all tasks (iter/task), and what a task did since it was seen last is added to its cgroup.
 * Tasks are also seen when they move to another cgroup and when they are gone, so no counter is lost with its task.
 * Differences are taken by exchange, so two who see a task at once add up to what it did.
 */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "cgroup.h"
#include "observe.h"

char LICENSE[] SEC("license") = "GPL";

/* Set by user space before loading; a section of its own, so that its layout is the structure's. */
const volatile struct settings settings SEC(".rodata.settings") = {};

/* When the first walk began: what tasks had done before that is not counted. */
static __u64 started;

/* What of a task is counted already. */
struct task_seen {
	__u64 cgroup; /* 0: never seen */
	__u64 run_ns;
	__u64 voluntary;
	__u64 involuntary;
	__u64 migrations;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_seen);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct cgroup_counters);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_account);
} accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct losses);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} bursts SEC(".maps");

static const __u32 zero;
static const struct cgroup_counters empty;

#define COUNT_LOSS(kind)                                                   \
	({                                                                 \
		struct losses *losses = bpf_map_lookup_elem(&lost, &zero); \
                                                                           \
		if (losses)                                                \
			__sync_fetch_and_add(&losses->kind, 1);            \
	})

/* The counters of a cgroup on this CPU; created on first sight. */
static __always_inline struct cgroup_counters *counters_of(__u64 id)
{
	struct cgroup_counters *counters = bpf_map_lookup_elem(&cgroups, &id);

	if (!counters) {
		bpf_map_update_elem(&cgroups, &id, &empty, BPF_NOEXIST);
		counters = bpf_map_lookup_elem(&cgroups, &id);
	}
	if (!counters)
		COUNT_LOSS(cgroups);
	return counters;
}

/* What is added to in an interrupt and elsewhere needs an atomic addition, though it is per CPU. */
#define ADD_GROWTH(field, now, last)                                           \
	({                                                                     \
		__u64 grown = (now) - __sync_lock_test_and_set((last), (now)); \
                                                                               \
		__sync_fetch_and_add(&counters->field, grown);                 \
		grown;                                                         \
	})

/* Adds what a task did since it was seen last to the cgroup in which it was then. */
static __always_inline void account(struct task_struct *task)
{
	struct task_seen *seen = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct cgroup_counters *counters;
	__u64 id = cgroup_id_of(task, settings.use_cgroup_v1), owner, run_ns, voluntary, involuntary, migrations;

	if (!seen) {
		COUNT_LOSS(tasks);
		return;
	}
	owner = seen->cgroup;
	run_ns = task->se.sum_exec_runtime;
	voluntary = task->nvcsw;
	involuntary = task->nivcsw;
	migrations = task->se.nr_migrations;
	seen->cgroup = id;
	if (!owner && task->start_time < started) {
		seen->run_ns = run_ns;
		seen->voluntary = voluntary;
		seen->involuntary = involuntary;
		seen->migrations = migrations;
		return;
	}
	if (owner == id && seen->run_ns == run_ns && seen->voluntary == voluntary && seen->migrations == migrations)
		return; /* slept all the time */
	counters = counters_of(owner ?: id);
	if (!counters)
		return; /* nothing is exchanged: it is counted when there is room */
	ADD_GROWTH(run_ns, run_ns, &seen->run_ns);
	ADD_GROWTH(migrations, migrations, &seen->migrations);
	voluntary = ADD_GROWTH(wakeups, voluntary, &seen->voluntary);
	__sync_fetch_and_add(&counters->switches, voluntary);
	ADD_GROWTH(switches, involuntary, &seen->involuntary);
}

SEC("iter/task")
int walk(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;

	if (!started)
		started = bpf_ktime_get_ns();
	if (task)
		account(task);
	return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	if (started)
		account(task);
	return 0;
}

/* The task is in the other cgroup already; its threads are seen on the next walk. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_attach, struct cgroup *to, const char *path, struct task_struct *task, bool threadgroup)
{
	if (started)
		account(task);
	return 0;
}

static __always_inline void report_burst(struct cpu_account *here, __u64 owner, struct task_struct *task)
{
	struct burst *burst = bpf_ringbuf_reserve(&bursts, sizeof(*burst), 0);

	if (!burst) {
		COUNT_LOSS(events);
		return;
	}
	burst->cgroup_id = owner;
	burst->reads = here->reads;
	burst->writes = here->writes;
	burst->run_ns = task->se.sum_exec_runtime - here->exec_base;
	burst->cpu = bpf_get_smp_processor_id();
	burst->pid = task->pid;
	bpf_ringbuf_submit(burst, 0);
}

/* Adds traffic to the stint on this CPU; true if that made a burst, which then begins anew. */
static __always_inline bool add_to_stint(struct cpu_account *here, __u64 owner, struct task_struct *task, __u64 reads, __u64 writes)
{
	__u64 departures = task->nvcsw + task->nivcsw;

	if (!settings.burst_threshold)
		return false;
	if (here->task != task->pid || here->departures != departures) {
		here->task = task->pid;
		here->departures = departures;
		here->reads = 0;
		here->writes = 0;
		here->exec_base = task->se.sum_exec_runtime;
	}
	here->reads += reads;
	here->writes += writes;
	if (here->reads + here->writes < settings.burst_threshold)
		return false;
	report_burst(here, owner, task);
	here->reads = 0;
	here->writes = 0;
	here->exec_base = task->se.sum_exec_runtime;
	return true;
}

/* Page faults come in thousands from one task: they touch one per-CPU record until another cgroup faults on the CPU. */
static __always_inline void flush(struct cpu_account *here)
{
	struct cgroup_counters *counters = counters_of(here->owner);

	if (counters) {
		counters->read_faults += here->read_faults;
		counters->write_faults += here->write_faults;
		__sync_fetch_and_add(&counters->bursts, here->bursts); /* samples add to it in an interrupt */
	}
	here->read_faults = 0;
	here->write_faults = 0;
	here->bursts = 0;
}

#define PAGE_FAULT_WRITE 2 /* bit 1 of the x86 page-fault error code */

static __always_inline int count_fault(unsigned long address, unsigned long error_code)
{
	struct cpu_account *here = bpf_map_lookup_elem(&accounts, &zero);
	struct task_struct *task = bpf_get_current_task_btf();
	bool write = error_code & PAGE_FAULT_WRITE;
	__u64 id;

	/* The upper half of the addresses is the kernel's own. */
	if (!here || (long)address < 0)
		return 0;
	id = cgroup_id_of(task, settings.use_cgroup_v1);
	if (here->owner != id) {
		if (here->owner)
			flush(here);
		here->owner = id;
	}
	if (write)
		here->write_faults++;
	else
		here->read_faults++;
	if (!settings.use_perf_events && add_to_stint(here, id, task, !write, write))
		here->bursts++;
	return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(on_user_fault, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	return count_fault(address, error_code);
}

/* The kernel touching user memory on behalf of a system call, such as read(2) into a fresh buffer. */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(on_kernel_fault, unsigned long address, struct pt_regs *regs, unsigned long error_code)
{
	return count_fault(address, error_code);
}

/* One sample stands for a whole period of events; whoever runs when a period is full gets all of it. */
static __always_inline void count_sample(__u64 reads, __u64 writes)
{
	struct cpu_account *here = bpf_map_lookup_elem(&accounts, &zero);
	struct losses *losses = bpf_map_lookup_elem(&lost, &zero);
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 id = cgroup_id_of(task, settings.use_cgroup_v1);
	struct cgroup_counters *counters = counters_of(id);

	if (!here || !losses || !counters)
		return;
	counters->mem_reads += reads;
	counters->mem_writes += writes;
	losses->read_samples += !!reads;
	losses->write_samples += !!writes;
	if (task->pid && add_to_stint(here, id, task, reads, writes))
		counters->bursts++;
}

SEC("perf_event")
int on_memory_reads(void *context)
{
	count_sample(settings.read_period, 0);
	return 0;
}

SEC("perf_event")
int on_memory_writes(void *context)
{
	count_sample(0, settings.write_period);
	return 0;
}
