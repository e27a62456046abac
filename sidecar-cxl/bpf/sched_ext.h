/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of the kernel's sched_ext interface that the scheduler uses. Include after kernel_types.h.
 */
#pragma once

enum {
	SCX_TASK_QUEUED = 1 << 0,
	SCX_KICK_IDLE = 1 << 0,
	SCX_KICK_PREEMPT = 1 << 1,
	SCX_OPS_ENQ_LAST = 1 << 1,
	PF_KTHREAD = 0x00200000,
};

#define SCX_DSQ_LOCAL 0x8000000000000002ULL
#define SCX_ENQ_WAKEUP 1ULL
#define SCX_ENQ_LAST (1ULL << 41)

struct scx_init_task_args;

/* The kernel's own width: an iterator of another one is refused. */
struct bpf_iter_scx_dsq {
	__u64 opaque[6];
} __attribute__((aligned(8)));

struct bpf_timer {
	__u64 opaque[2];
} __attribute__((aligned(8)));

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* An enum and not a number: relocation tells them apart. */
enum scx_exit_kind {
	SCX_EXIT_NONE,
};

struct scx_exit_info {
	enum scx_exit_kind kind;
	__s64 exit_code;
	const char *reason;
	char *msg;
};

/* Members are matched by name: the order and what is left out do not matter. */
struct sched_ext_ops {
	__s32 (*select_cpu)(struct task_struct *, __s32, __u64);
	void (*enqueue)(struct task_struct *, __u64);
	void (*dispatch)(__s32, struct task_struct *);
	void (*running)(struct task_struct *);
	void (*stopping)(struct task_struct *, bool);
	__s32 (*init_task)(struct task_struct *, struct scx_init_task_args *);
	void (*disable)(struct task_struct *);
	__s32 (*init)(void);
	void (*exit)(struct scx_exit_info *);
	__u64 flags;
	__u32 timeout_ms;
	char name[128];
};

#pragma clang attribute pop

#define KFUNC __attribute__((section(".ksyms")))

extern __s32 scx_bpf_create_dsq(__u64 dsq_id, __s32 node) KFUNC;
extern void scx_bpf_dsq_insert(struct task_struct *p, __u64 dsq_id, __u64 slice, __u64 enq_flags) KFUNC __attribute__((weak));
extern bool scx_bpf_dsq_move_to_local(__u64 dsq_id) KFUNC __attribute__((weak));
extern __s32 scx_bpf_select_cpu_dfl(struct task_struct *p, __s32 prev_cpu, __u64 wake_flags, bool *is_idle) KFUNC;
extern __s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, __u64 flags) KFUNC;
extern __s32 scx_bpf_task_cpu(const struct task_struct *p) KFUNC;
extern __u32 scx_bpf_nr_cpu_ids(void) KFUNC;
extern void scx_bpf_kick_cpu(__s32 cpu, __u64 flags) KFUNC;
extern int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, __u64 dsq_id, __u64 flags) KFUNC;
extern struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it) KFUNC;
extern void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it) KFUNC;
extern void bpf_rcu_read_lock(void) KFUNC;
extern void bpf_rcu_read_unlock(void) KFUNC;
extern bool bpf_cpumask_test_cpu(__u32 cpu, const struct cpumask *cpumask) KFUNC;
extern __u64 scx_bpf_now(void) KFUNC __attribute__((weak));
/* The names of Linux 6.12. */
extern void scx_bpf_dispatch(struct task_struct *p, __u64 dsq_id, __u64 slice, __u64 enq_flags) KFUNC __attribute__((weak));
extern bool scx_bpf_consume(__u64 dsq_id) KFUNC __attribute__((weak));

static __always_inline void insert(struct task_struct *p, __u64 queue, __u64 slice, __u64 flags)
{
	if (scx_bpf_dsq_insert)
		scx_bpf_dsq_insert(p, queue, slice, flags);
	else
		scx_bpf_dispatch(p, queue, slice, flags);
}

static __always_inline bool move_to_local(__u64 queue)
{
	return scx_bpf_dsq_move_to_local ? scx_bpf_dsq_move_to_local(queue) : scx_bpf_consume(queue);
}
