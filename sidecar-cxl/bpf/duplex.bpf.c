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
 *   3. the older of its own lane's and the balanced tasks, else the other direction's. A task of the CPU's own lane goes
 *      on for up to MAX_LEAD stints rather than cross.
 *
 * A class without tokens is passed over in rules 1 and 3, never in rule 2's oldest. So a task that may run on all C CPUs
 * (or on one, then C = 1) among N runnable ones waits no longer than
 *
 *   2 A + (2 ceil((N - 1) / C) + 1) S,    S: the longest stint,
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

char LICENSE[] SEC("license") = "GPL";

#define QUEUE(class) (0x100ULL + (class))
#define CPU_QUEUE(cpu) (0x10000ULL + (cpu))
#define MAX_LEAD 4
#define TIMER_NS 1000000ULL
#define IDLE_TIMER_NS 50000000ULL
#define CLOCK_MONOTONIC 1
#define EINVAL 22

const volatile struct duplex_settings settings SEC(".rodata.settings") = {};

struct task_state {
	__u64 queued_at;  /* 0: not in a queue */
	__u64 started_at; /* 0: not running */
	__u32 class;
	__u32 padding;
};

/* Written by its own CPU; others only look. */
struct cpu_state {
	__u64 preempted_at;
	__u32 running;	    /* class; NO_CLASS while idle or unknown */
	__u32 after_latency; /* the last pick was a latency task */
	__u32 lead;	    /* stints by which the running task has gone on */
	__u32 held;	    /* the CPU passed tasks over for want of tokens */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct duplex_parameters);
} parameters SEC(".maps");

/* By CPU: CLASS_READ or CLASS_WRITE. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, __u32);
} lanes SEC(".maps");

/* Cgroup id to class. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, __u32);
	__type(value, struct class_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exit_record);
} exits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, struct cpu_state);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

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
static const __u32 zero;

#ifdef MOEBIUS_FAULTS
/* For the tests of what happens then: 1 breaks a rule of sched_ext, 2 lets every task wait. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} faults SEC(".maps");

static __always_inline __u32 fault(void)
{
	__u32 *wanted = bpf_map_lookup_elem(&faults, &zero);

	return wanted ? *wanted : 0;
}
#else
#define fault() 0
#endif

static __always_inline struct task_state *state_of(struct task_struct *p)
{
	return bpf_task_storage_get(&tasks, p, 0, 0);
}

static __always_inline struct cpu_state *cpu_state_of(__s32 cpu)
{
	__u32 key = cpu;

	return bpf_map_lookup_elem(&cpus, &key);
}

static __always_inline struct class_counters *counters_of(__u32 class)
{
	return bpf_map_lookup_elem(&counters, &class);
}

static __always_inline __u32 class_of(struct task_struct *p)
{
	__u64 id;
	__u32 *hint;

	/* Others wait for what they do; among them is the kernel's watchdog over this scheduler. */
	if (p->flags & PF_KTHREAD)
		return CLASS_LATENCY;
	id = cgroup_id_of(p, settings.use_cgroup_v1);
	hint = bpf_map_lookup_elem(&hints, &id);
	return hint && *hint < CLASSES ? *hint : CLASS_BALANCED;
}

static __always_inline bool out_of_tokens(const struct duplex_parameters *now, __u32 class)
{
	return now->limited == class && tokens <= 0;
}

/* The more wait, the shorter the stints, so that a round does not grow with the number of tasks. */
static __always_inline __u64 slice(const struct duplex_parameters *now)
{
	__u64 waiting = scx_bpf_dsq_nr_queued(QUEUE(CLASS_READ)) + scx_bpf_dsq_nr_queued(QUEUE(CLASS_WRITE)) +
			scx_bpf_dsq_nr_queued(QUEUE(CLASS_BALANCED)) + scx_bpf_dsq_nr_queued(QUEUE(CLASS_LATENCY));
	__u64 result = now->slice_ns / (1 + waiting / (scx_bpf_nr_cpu_ids() ?: 1));

	return result > now->minimum_ns ? result : now->minimum_ns;
}

/* When the first task of a queue began to wait; 0 if the queue is empty. */
static __always_inline __u64 first_since(__u64 queue)
{
	struct bpf_iter_scx_dsq iterator;
	struct task_struct *p;
	__u64 since = 0;

	if (scx_bpf_dsq_nr_queued(queue) <= 0)
		return 0;
	if (!bpf_iter_scx_dsq_new(&iterator, queue, 0)) {
		p = bpf_iter_scx_dsq_next(&iterator);
		if (p) {
			struct task_state *state = state_of(p);

			since = state && state->queued_at ? state->queued_at : 1;
		}
	}
	bpf_iter_scx_dsq_destroy(&iterator);
	return since;
}

/* Takes the first task of a class that may run here. */
static __always_inline bool take(__u32 class, __u32 lane, bool aged)
{
	struct class_counters *counts;

	if (!scx_bpf_dsq_move_to_local(QUEUE(class)))
		return false;
	counts = counters_of(class);
	if (counts) {
		counts->picked++;
		if (class == lane)
			counts->paired++;
		else if (class < CLASS_BALANCED)
			counts->crossed++;
		if (aged)
			counts->aged++;
	}
	return true;
}

/* As take, for the queue of the CPU itself when that is who waits longer. */
static __always_inline bool take_balanced(__s32 cpu, __u64 shared_since, __u64 own_since, __u32 lane, bool aged)
{
	if (own_since && (!shared_since || own_since < shared_since) && scx_bpf_dsq_move_to_local(CPU_QUEUE(cpu))) {
		struct class_counters *counts = counters_of(CLASS_BALANCED);

		if (counts) {
			counts->picked++;
			if (aged)
				counts->aged++;
		}
		return true;
	}
	if (shared_since && take(CLASS_BALANCED, lane, aged))
		return true;
	return own_since && scx_bpf_dsq_move_to_local(CPU_QUEUE(cpu));
}

SEC("struct_ops/duplex_select_cpu")
__s32 BPF_PROG(duplex_select_cpu, struct task_struct *p, __s32 prev_cpu, __u64 wake_flags)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	bool idle = false;
	__s32 cpu;

	if (!now || out_of_tokens(now, class_of(p)))
		return prev_cpu;
	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
	if (idle && !fault())
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, now->slice_ns, 0);
	return cpu;
}

static __always_inline void preempt_for(struct task_struct *p, const struct duplex_parameters *now, __u64 time)
{
	__s32 cpu = scx_bpf_task_cpu(p);
	struct cpu_state *state = cpu_state_of(cpu);
	struct class_counters *counts = counters_of(CLASS_LATENCY);

	/* Whoever is taken off has had half a stint since the last time this happened here. */
	if (!state || state->running >= CLASS_LATENCY || time - state->preempted_at < now->slice_ns / 2)
		return;
	state->preempted_at = time;
	if (counts)
		counts->preemptions++;
	scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
}

SEC("struct_ops/duplex_enqueue")
void BPF_PROG(duplex_enqueue, struct task_struct *p, __u64 enq_flags)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct task_state *state = state_of(p);
	struct class_counters *counts;
	bool held;
	__u32 class;
	__s32 cpu;

	if (!now || !state)
		goto local;
	if (fault() == 1) {
		scx_bpf_dsq_insert(p, 0xdead, now->slice_ns, enq_flags);
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
	state->class = class;
	state->queued_at = bpf_ktime_get_ns();
	counts = counters_of(class);
	if (counts)
		counts->queued++;
	if (p->nr_cpus_allowed == 1) {
		scx_bpf_dsq_insert(p, CPU_QUEUE(cpu), slice(now), enq_flags);
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		return;
	}
	scx_bpf_dsq_insert(p, QUEUE(class), slice(now), enq_flags);
	if (held)
		return; /* the timer looks after it */
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	else if (class == CLASS_LATENCY && now->guard)
		preempt_for(p, now, state->queued_at);
	return;
local:
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, now ? now->slice_ns : 1000000, enq_flags);
}

SEC("struct_ops/duplex_dispatch")
void BPF_PROG(duplex_dispatch, __s32 cpu, struct task_struct *prev)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct cpu_state *here = cpu_state_of(cpu);
	__u64 since[CLASSES], own_since, oldest_since = 0, time = bpf_ktime_get_ns();
	__u32 oldest = NO_CLASS, own, other, key = cpu, *lane = bpf_map_lookup_elem(&lanes, &key);
	bool aged, prev_waits, prev_own = false;

	if (!now || !here || !lane || fault() == 2)
		return;
	own = now->pair ? *lane & 1 : NO_CLASS;
	for (__u32 class = 0; class < CLASSES; class++)
		since[class] = first_since(QUEUE(class));
	own_since = first_since(CPU_QUEUE(cpu));
	for (__u32 class = 0; class < CLASS_LATENCY; class++) {
		if (since[class] && (!oldest_since || since[class] < oldest_since)) {
			oldest_since = since[class];
			oldest = class;
		}
	}
	if (own_since && (!oldest_since || own_since < oldest_since)) {
		oldest_since = own_since;
		oldest = CLASS_BALANCED;
	}
	aged = oldest_since && time > oldest_since && time - oldest_since >= now->aging_ns;
	here->held = 0;

	if (since[CLASS_LATENCY] && !(aged && here->after_latency) && take(CLASS_LATENCY, own, false)) {
		here->after_latency = 1;
		goto switched;
	}
	here->after_latency = 0;

	if (aged) {
		if (own < CLASS_BALANCED && since[own] && since[own] <= oldest_since + now->aging_ns && !out_of_tokens(now, own) &&
		    take(own, own, time - since[own] >= now->aging_ns))
			goto switched;
		if (oldest == CLASS_BALANCED ? take_balanced(cpu, since[CLASS_BALANCED], own_since, own, true)
					     : oldest < CLASS_BALANCED && take(oldest, own, true))
			goto switched;
	}

	prev_waits = prev && (prev->scx.flags & SCX_TASK_QUEUED);
	if (own < CLASS_BALANCED) {
		__u64 balanced_since = since[CLASS_BALANCED];
		bool own_may = since[own] && !out_of_tokens(now, own);

		if (own_since && (!balanced_since || own_since < balanced_since))
			balanced_since = own_since;
		if (own_may && (!balanced_since || since[own] <= balanced_since) && take(own, own, false))
			goto switched;
		if (balanced_since && take_balanced(cpu, since[CLASS_BALANCED], own_since, own, false))
			goto switched;
		if (own_may && take(own, own, false))
			goto switched;
		other = !own;
		prev_own = prev_waits && here->running == own && here->lead < MAX_LEAD;
		if (since[other] && !prev_own && !out_of_tokens(now, other) && take(other, own, false))
			goto switched;
	} else if (oldest == CLASS_BALANCED && take_balanced(cpu, since[CLASS_BALANCED], own_since, own, false)) {
		goto switched;
	} else {
		__u32 first = since[CLASS_READ] && (!since[CLASS_WRITE] || since[CLASS_READ] <= since[CLASS_WRITE]) ? CLASS_READ : CLASS_WRITE;

		if (out_of_tokens(now, first))
			first = !first;
		if (since[first] && !out_of_tokens(now, first) && take(first, own, false))
			goto switched;
		if (take_balanced(cpu, since[CLASS_BALANCED], own_since, own, false))
			goto switched;
		first = !first;
		if (since[first] && !out_of_tokens(now, first) && take(first, own, false))
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
	/* Nobody else: who was running goes on, unless it has no tokens; then it is queued and the timer looks after it. */
	if (prev_waits && !out_of_tokens(now, here->running)) {
		prev->scx.slice = now->slice_ns;
		here->lead++;
	}
	return;
switched:
	here->lead = 0;
}

SEC("struct_ops/duplex_running")
void BPF_PROG(duplex_running, struct task_struct *p)
{
	struct task_state *state = state_of(p);
	struct cpu_state *here = cpu_state_of(bpf_get_smp_processor_id());
	struct class_counters *counts;
	__u64 time = bpf_ktime_get_ns();

	if (!state || !here)
		return;
	if (!state->queued_at)
		state->class = class_of(p); /* came without waiting in a queue */
	here->running = state->class;
	counts = counters_of(state->class);
	if (counts) {
		counts->runs++;
		if (state->queued_at && time > state->queued_at) {
			__u64 wait = time - state->queued_at;

			counts->wait_ns += wait;
			if (wait > counts->max_wait_ns)
				counts->max_wait_ns = wait;
		}
	}
	state->queued_at = 0;
	state->started_at = time;
}

SEC("struct_ops/duplex_stopping")
void BPF_PROG(duplex_stopping, struct task_struct *p, bool runnable)
{
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	struct task_state *state = state_of(p);
	struct cpu_state *here = cpu_state_of(bpf_get_smp_processor_id());
	struct class_counters *counts;
	__u64 ran;

	if (here && !runnable)
		here->running = NO_CLASS;
	if (!state || !state->started_at)
		return;
	ran = bpf_ktime_get_ns() - state->started_at;
	state->started_at = 0;
	counts = counters_of(state->class);
	if (counts)
		counts->run_ns += ran;
	if (now && now->limited == state->class)
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

SEC("struct_ops.s/duplex_init_task")
__s32 BPF_PROG(duplex_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	/* Here and not on the way to a CPU, where it might fail. */
	return bpf_task_storage_get(&tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE) ? 0 : -12;
}

SEC("struct_ops.s/duplex_init")
__s32 BPF_PROG(duplex_init)
{
	struct refill *refill = bpf_map_lookup_elem(&refills, &zero);
	struct duplex_parameters *now = bpf_map_lookup_elem(&parameters, &zero);
	__u32 count = scx_bpf_nr_cpu_ids();
	__s32 error;

	if (!refill || !now || !now->slice_ns || count > MAX_CPUS)
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
	error = bpf_timer_init(&refill->timer, &refills, CLOCK_MONOTONIC);
	if (error)
		return error;
	bpf_timer_set_callback(&refill->timer, on_refill);
	return bpf_timer_start(&refill->timer, TIMER_NS, 0);
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
	.init = (void *)duplex_init,
	.exit = (void *)duplex_exit,
	.flags = SCX_OPS_ENQ_LAST,
	/* A stall is noticed after one to one and a half of these. */
	.timeout_ms = 600,
	.name = "moebius_duplex",
};
