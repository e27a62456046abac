// SPDX-License-Identifier: GPL-2.0
/*
 * Per-cgroup telemetry for the node agent: run time, switches, wake-ups, migrations, page faults by direction, and
 * memory reads and writes where a pair of perf events could be opened.
 *
 * Cost decides the shape. A context switch is the hot path, so it touches one per-CPU record and nothing else as long as
 * the same cgroup keeps the CPU; only when another cgroup takes over is the record flushed into the hash map. Idle time
 * does not change the owner. Run time comes from the scheduler's own sum_exec_runtime, so no clock is read. User space
 * adds the unflushed records to what it finds in the map.
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

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} perf_reads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} perf_writes SEC(".maps");

static const __u32 zero;
static const struct cgroup_counters empty;

static __always_inline struct losses *losses_of_cpu(void)
{
	return bpf_map_lookup_elem(&lost, &zero);
}

/* The counters of a cgroup on this CPU; created on first sight. */
static __always_inline struct cgroup_counters *counters_of(__u64 id)
{
	struct cgroup_counters *counters = bpf_map_lookup_elem(&cgroups, &id);

	if (!counters) {
		bpf_map_update_elem(&cgroups, &id, &empty, BPF_NOEXIST);
		counters = bpf_map_lookup_elem(&cgroups, &id);
	}
	if (!counters) {
		struct losses *losses = losses_of_cpu();

		if (losses)
			losses->cgroups++;
	}
	return counters;
}

static __always_inline __u64 read_perf(void *map)
{
	struct bpf_perf_event_value value = {};

	if (bpf_perf_event_read_value(map, BPF_F_CURRENT_CPU, &value, sizeof(value))) {
		struct losses *losses = losses_of_cpu();

		if (losses)
			losses->perf_reads++;
		return 0;
	}
	return value.counter;
}

static __always_inline void flush(struct cpu_account *account)
{
	struct cgroup_counters *counters = counters_of(account->owner);

	if (counters) {
		counters->run_ns += account->pending.run_ns;
		counters->switches += account->pending.switches;
		counters->wakeups += account->pending.wakeups;
		counters->migrations += account->pending.migrations;
		counters->read_faults += account->pending.read_faults;
		counters->write_faults += account->pending.write_faults;
		counters->mem_reads += account->pending.mem_reads;
		counters->mem_writes += account->pending.mem_writes;
		counters->bursts += account->pending.bursts;
	}
	__builtin_memset(&account->pending, 0, sizeof(account->pending));
}

static __always_inline void report_burst(struct cpu_account *account, struct task_struct *task, __u64 reads, __u64 writes,
					 __u64 run_ns)
{
	struct burst *burst = bpf_ringbuf_reserve(&bursts, sizeof(*burst), 0);

	account->pending.bursts++;
	if (!burst) {
		struct losses *losses = losses_of_cpu();

		if (losses)
			losses->events++;
		return;
	}
	burst->cgroup_id = account->owner;
	burst->reads = reads;
	burst->writes = writes;
	burst->run_ns = run_ns;
	burst->cpu = bpf_get_smp_processor_id();
	burst->pid = task->pid;
	bpf_ringbuf_submit(burst, 0);
}

/* Growth of a counter since the stint began; a read that failed left 0 and gives no growth. */
static __always_inline __u64 growth(__u64 now, __u64 base)
{
	return base && now > base ? now - base : 0;
}

/* The task that leaves: book its stint on the CPU's account. */
static __always_inline void book(struct cpu_account *account, struct task_struct *prev, __u64 reads_now, __u64 writes_now)
{
	__u64 run_ns = prev->se.sum_exec_runtime - account->exec_base;
	__u64 reads, writes;

	account->pending.run_ns += run_ns;
	account->pending.switches++;
	/* Who goes to sleep will be woken once: counted here, it needs no program on the wake-up path. */
	account->pending.wakeups += prev->nvcsw - account->sleep_base;
	if (settings.use_perf_events) {
		reads = growth(reads_now, account->read_base);
		writes = growth(writes_now, account->write_base);
		account->pending.mem_reads += reads;
		account->pending.mem_writes += writes;
	} else {
		reads = account->pending.read_faults - account->read_base;
		writes = account->pending.write_faults - account->write_base;
	}
	if (settings.burst_threshold && reads + writes >= settings.burst_threshold)
		report_burst(account, prev, reads, writes, run_ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct cpu_account *account = bpf_map_lookup_elem(&accounts, &zero);
	__u64 reads_now = 0, writes_now = 0;

	if (!account)
		return 0;
	if (settings.use_perf_events) {
		reads_now = read_perf(&perf_reads);
		writes_now = read_perf(&perf_writes);
	}
	if (prev->pid && account->owner) {
		if (account->task == prev->pid) {
			book(account, prev, reads_now, writes_now);
		} else {
			/* Not every kernel announces every switch; a stint without its beginning has no length. */
			struct losses *losses = losses_of_cpu();

			if (losses)
				losses->stints++;
		}
	}
	if (!next->pid)
		return 0;

	__u64 id = cgroup_id_of(next, settings.use_cgroup_v1);

	if (account->owner != id) {
		if (account->owner)
			flush(account);
		account->owner = id;
	}
	account->task = next->pid;
	account->exec_base = next->se.sum_exec_runtime;
	account->sleep_base = next->nvcsw;
	account->read_base = settings.use_perf_events ? reads_now : account->pending.read_faults;
	account->write_base = settings.use_perf_events ? writes_now : account->pending.write_faults;
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *task, int cpu)
{
	struct cpu_account *account = bpf_map_lookup_elem(&accounts, &zero);
	struct cgroup_counters *counters;
	__u64 id = cgroup_id_of(task, settings.use_cgroup_v1);

	if (account && account->owner == id) {
		account->pending.migrations++;
		return 0;
	}
	counters = counters_of(id);
	if (counters)
		counters->migrations++;
	return 0;
}

#define PAGE_FAULT_WRITE 2 /* bit 1 of the x86 page-fault error code */

/* The faulting task is the running one, so its cgroup owns the account. */
static __always_inline int count_fault(unsigned long address, unsigned long error_code)
{
	struct cpu_account *account = bpf_map_lookup_elem(&accounts, &zero);

	/* The upper half of the addresses is the kernel's own. */
	if (!account || !account->owner || (long)address < 0)
		return 0;
	if (error_code & PAGE_FAULT_WRITE)
		account->pending.write_faults++;
	else
		account->pending.read_faults++;
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
