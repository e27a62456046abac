// SPDX-License-Identifier: GPL-2.0
/*
 * The duplex scheduler: a full-duplex memory link carries most when reads and writes share it, so readers run beside
 * writers (CXLAimPod, arXiv 2508.15980).
 *
 * Each class of workload has a queue, first in first out; tasks bound to one CPU wait in that CPU's own queue as
 * balanced ones. Every CPU has a lane, reading or writing, that user space assigns; lanes are fixed, because CPUs that
 * follow a common count of readers and writers all turn together. A CPU picks, in this order:
 *
 *   1. a latency task, but not twice in a row while rule 2 has somebody;
 *   2. once the longest waiting task has waited for the aging limit A: a task of its own lane that came at most A after
 *      that one, else that one;
 *   3. the first of its own lane's or of the balanced tasks, whichever has had less of the machine (duplex_fair.h), else
 *      the other direction's. A task of the CPU's own lane goes on for up to MAX_LEAD stints rather than cross.
 *
 * In between, who wakes up may take a CPU (duplex_fair.h), and bulk work makes room once a millisecond (duplex_timer.h).
 * A class without tokens is passed over in rules 1 and 3, never in rule 2's oldest. So a task that may run on all C CPUs
 * (or on one, then C = 1) among N runnable ones waits no longer than
 *
 *   2 A + (2 ceil((N - 1) / C) + 1) S,    S: the longest stint, which ends with a tick,
 *
 * because from 2 A on only those go first that came before it or up to A after, and a latency task between each two.
 * Kernel threads are latency tasks; those bound to a CPU, and wake-ups that find an idle CPU, do not queue.
 */
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "cgroup.h"
#include "duplex.h"
#include "sched_ext.h"
#include "duplex_maps.h"
#include "duplex_tokens.h"
#include "duplex_fair.h"
#include "duplex_queues.h"
#include "duplex_timer.h"
#include "duplex_pairing.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/duplex_select_cpu")
__s32 BPF_PROG(duplex_select_cpu, struct task_struct *p, __s32 prev_cpu, __u64 wake_flags)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	bool idle = false;
	__s32 cpu;

	if (!now || (now->limited < CLASSES && out_of_tokens(now, class_of(p))))
		return prev_cpu;
	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
	if (idle && !fault())
		insert(p, SCX_DSQ_LOCAL, now->slice_ns, 0);
	return cpu;
}

/* CPUs that a task which woke up looks at for one that it may take. */
#define LOOK_AT 8

/* A task that woke up and found no idle CPU takes one from whoever has had more: its own, else one near it. */
static __always_inline void preempt_for(struct task_struct *p, const struct task_state *state, const struct duplex_parameters *now, __s32 cpu)
{
	__u32 count = scx_bpf_nr_cpu_ids() ?: 1;

	for (__u32 i = 0; i < LOOK_AT && i < count; i++) {
		__u32 other = ((__u32)cpu + i) % count;
		struct cpu_state *there = cpu_state_of(other);
		struct class_counters *counts;

		if (!there || !may_preempt(there, state, now, state->queued_at) || !bpf_cpumask_test_cpu(other, p->cpus_ptr))
			continue;
		there->preempted_at = state->queued_at;
		counts = counters_of(state->class);
		if (counts)
			counts->preemptions++;
		scx_bpf_kick_cpu(other, SCX_KICK_PREEMPT);
		return;
	}
}

SEC("struct_ops/duplex_enqueue")
void BPF_PROG(duplex_enqueue, struct task_struct *p, __u64 enq_flags)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct task_state *state = state_of(p);
	struct class_counters *counts;
	bool held;
	__u64 waiting;
	__u32 class;
	__s32 cpu;

	if (!now || !state)
		goto local;
	if (fault() == 1) {
		insert(p, 0xdead, now->slice_ns, enq_flags);
		return;
	}
	if ((p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1 && !fault())
		goto local;
	class = class_of(p);
	held = out_of_tokens(now, class);
	cpu = scx_bpf_task_cpu(p);
	if ((enq_flags & SCX_ENQ_LAST) && held) {
		struct cpu_state *here = cpu_state_of(cpu);

		if (here)
			here->held = 1;
	}
	count_out(state); /* it may have waited elsewhere before */
	state->class = class;
	state->bound = p->nr_cpus_allowed == 1 ? cpu + 1 : 0;
	waiting = count_waiting();
	count_in(state, clock_now());
	enter(state, now);
	counts = counters_of(class);
	if (counts)
		counts->queued++;
	if (state->bound) {
		insert(p, CPU_QUEUE(cpu), slice(now, waiting), enq_flags);
		if ((enq_flags & SCX_ENQ_WAKEUP) && class >= CLASS_BALANCED)
			preempt_for(p, state, now, cpu);
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return;
	}
	insert(p, QUEUE(class), slice(now, waiting), enq_flags);
	if (held)
		return; /* the timer looks after it */
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	else if ((enq_flags & SCX_ENQ_WAKEUP) && class >= CLASS_BALANCED)
		preempt_for(p, state, now, scx_bpf_task_cpu(p));
	return;
local:
	insert(p, SCX_DSQ_LOCAL, now ? now->slice_ns : 1000000, enq_flags);
}

SEC("struct_ops/duplex_dispatch")
void BPF_PROG(duplex_dispatch, __s32 cpu, struct task_struct *prev)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct cpu_state *here = cpu_state_of(cpu);

	if (!now || !here || fault() == 2)
		return;
	book_so_far(now, here, prev);
	if (here->waiting || count_waiting()) {
		pick(now, here, cpu, prev);
		return;
	}
	here->held = 0;
	here->after_latency = 0;
	go_on(now, here, prev);
}

SEC("struct_ops/duplex_running")
void BPF_PROG(duplex_running, struct task_struct *p)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct task_state *state = state_of(p);
	struct cpu_state *here = cpu_state_of(bpf_get_smp_processor_id());
	struct class_counters *counts;
	__u64 time = clock_now();

	if (!now || !state || !here)
		return;
	if (!state->queued_at) { /* came without waiting in a queue */
		state->class = class_of(p);
		enter(state, now);
	}
	advance(state);
	here->running = state->class;
	show(here, p, state, time);
	counts = counters_of(state->class);
	if (counts) {
		counts->runs++;
		if (state->queued_at) {
			__u64 wait = elapsed(state->queued_at, time);

			counts->wait_ns += wait;
			if (wait > counts->max_wait_ns)
				counts->max_wait_ns = wait;
		}
	}
	count_out(state);
	state->started_at = time;
}

SEC("struct_ops/duplex_stopping")
void BPF_PROG(duplex_stopping, struct task_struct *p, bool runnable)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct task_state *state = state_of(p);
	struct cpu_state *here = cpu_state_of(bpf_get_smp_processor_id());

	if (here && !runnable)
		here->running = NO_CLASS;
	if (!state || !state->started_at)
		return;
	book(p, state, now, clock_now());
	state->started_at = 0;
}

/* A task that leaves for another scheduler, or for good. */
SEC("struct_ops/duplex_disable")
void BPF_PROG(duplex_disable, struct task_struct *p)
{
	struct task_state *state = state_of(p);

	if (state)
		count_out(state);
}

SEC("struct_ops.s/duplex_init_task")
__s32 BPF_PROG(duplex_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	/* Here and not on the way to a CPU, where it might fail. */
	return bpf_task_storage_get(&tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE) ? 0 : -12;
}

SEC("struct_ops.s/duplex_init")
__s32 BPF_PROG(duplex_init)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	__u32 count = scx_bpf_nr_cpu_ids();
	__s32 error;

	if (!now || !now->slice_ns || count > MAX_CPUS)
		return -EINVAL;
	for (__u32 class = 0; class < CLASSES; class++) {
		error = scx_bpf_create_dsq(QUEUE(class), -1);
		if (error)
			return error;
	}
	for (__u32 cpu = 0; cpu < MAX_CPUS && cpu < count; cpu++) {
		struct cpu_state *state = cpu_state_of(cpu);

		if (state)
			state->running = NO_CLASS;
		error = scx_bpf_create_dsq(CPU_QUEUE(cpu), -1);
		if (error)
			return error;
	}
	return start_timer();
}

SEC("struct_ops/duplex_exit")
void BPF_PROG(duplex_exit, struct scx_exit_info *info)
{
	struct exit_record *record = bpf_map_lookup_elem(&exits, &zero);

	if (!record)
		return;
	bpf_probe_read_kernel_str(record->reason, sizeof(record->reason), info->reason);
	bpf_probe_read_kernel_str(record->message, sizeof(record->message), info->msg);
	record->code = info->exit_code;
	record->kind = info->kind;
}

/* Members that this file does not set are the kernel's defaults. */
SEC(".struct_ops.link")
struct sched_ext_ops duplex = {
	.select_cpu = (void *)duplex_select_cpu,
	.enqueue = (void *)duplex_enqueue,
	.dispatch = (void *)duplex_dispatch,
	.running = (void *)duplex_running,
	.stopping = (void *)duplex_stopping,
	.init_task = (void *)duplex_init_task,
	.disable = (void *)duplex_disable,
	.init = (void *)duplex_init,
	.exit = (void *)duplex_exit,
	.flags = SCX_OPS_ENQ_LAST,
	/* A stall is noticed after one to one and a half of these. */
	.timeout_ms = 600,
	.name = "moebius_duplex",
};
