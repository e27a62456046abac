"""Random-weight miniatures with unusual switches, with the reference implementation's outputs."""
import sys, os, torch
torch.set_num_threads(1)
from transformers import AutoConfig, AutoModelForCausalLM
from safetensors.torch import save_file
out=sys.argv[1]; only=sys.argv[2:]
V=96
base=dict(vocab_size=V, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5)
lat=dict(num_key_value_heads=4, intermediate_size=40, moe_intermediate_size=24, n_routed_experts=8, num_experts_per_tok=3, kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=10)
A={
 'mixtral-linear-window': ('mixtral', dict(base, head_dim=20, intermediate_size=40, num_local_experts=6, num_experts_per_tok=3, sliding_window=8, tie_word_embeddings=True, hidden_act='gelu', rope_parameters=dict(rope_type='linear', factor=4.0, rope_theta=5e4)), 'fp32'),
 'mixtral-llama3': ('mixtral', dict(base, num_key_value_heads=1, head_dim=12, intermediate_size=40, num_local_experts=4, num_experts_per_tok=1, rope_parameters=dict(rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64, rope_theta=1e4)), 'bf16'),
 'mixtral-dynamic': ('mixtral', dict(base, max_position_embeddings=16, head_dim=16, intermediate_size=40, num_local_experts=4, num_experts_per_tok=2, rope_parameters=dict(rope_type='dynamic', factor=4.0, rope_theta=1e4)), 'fp32'),
 'qwen2_moe-sparse-yarn': ('qwen2_moe', dict(base, num_hidden_layers=5, intermediate_size=40, moe_intermediate_size=20, shared_expert_intermediate_size=36, num_experts=7, num_experts_per_tok=3, norm_topk_prob=True, qkv_bias=False, decoder_sparse_step=2, mlp_only_layers=[3], use_sliding_window=True, sliding_window=6, max_window_layers=4, rope_parameters=dict(rope_type='yarn', factor=4.0, original_max_position_embeddings=64, rope_theta=1e4)), 'fp32'),
 'qwen3_moe-bias-window': ('qwen3_moe', dict(base, intermediate_size=40, moe_intermediate_size=20, num_experts=9, num_experts_per_tok=2, norm_topk_prob=False, attention_bias=True, mlp_only_layers=[1], use_sliding_window=True, sliding_window=10, tie_word_embeddings=True, hidden_act='gelu_pytorch_tanh', rope_parameters=dict(rope_type='yarn', factor=2.0, attention_factor=1.3, beta_fast=16, beta_slow=2, original_max_position_embeddings=128, rope_theta=1e5)), 'fp16'),
 'olmoe-clip-bias': ('olmoe', dict(base, intermediate_size=20, num_experts=6, num_experts_per_tok=2, norm_topk_prob=True, clip_qkv=0.7, attention_bias=True, tie_word_embeddings=True), 'fp32'),
 'deepseek_v2-lora-yarn': ('deepseek_v2', dict(base, **lat|dict(q_lora_rank=28, first_k_dense_replace=2, n_shared_experts=1, routed_scaling_factor=1.7, topk_method='greedy', attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type='yarn', factor=8.0, mscale=0.707, mscale_all_dim=0.9, beta_fast=32, beta_slow=1, original_max_position_embeddings=32, rope_theta=1e4))), 'fp32'),
 'deepseek_v3-yarn-halves': ('deepseek_v3', dict(base, **lat|dict(q_lora_rank=None, first_k_dense_replace=1, n_shared_experts=2, n_group=2, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.5, rope_interleave=False, attention_bias=True, rope_parameters=dict(rope_type='yarn', factor=8.0, mscale=1.0, mscale_all_dim=0.8, original_max_position_embeddings=32, rope_theta=1e4))), 'bf16'),
 'gpt_oss-plain-rope': ('gpt_oss', dict(base, head_dim=16, intermediate_size=20, num_local_experts=6, num_experts_per_tok=2, sliding_window=5, attention_bias=False, layer_types=['full_attention','sliding_attention','sliding_attention'], rope_parameters=dict(rope_type='default', rope_theta=2e4), tie_word_embeddings=True), 'bf16'),
 'granitemoe-bias-longrope': ('granitemoe', dict(base, intermediate_size=20, num_local_experts=5, num_experts_per_tok=3, attention_bias=True, tie_word_embeddings=True, embedding_multiplier=12.0, logits_scaling=6.0, residual_multiplier=0.22, attention_multiplier=0.1, rope_parameters=dict(rope_type='longrope', short_factor=[1.0,1.1,1.2,1.3,1.4,1.5], long_factor=[1.0,2.0,3.0,4.0,5.0,6.0], factor=4.0, original_max_position_embeddings=64, rope_theta=1e4)), 'fp32'),
 'glm4_moe-groups': ('glm4_moe', dict(base, head_dim=24, intermediate_size=40, moe_intermediate_size=20, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3, first_k_dense_replace=0, n_group=4, topk_group=2, norm_topk_prob=False, routed_scaling_factor=1.7, use_qk_norm=False, attention_bias=True, partial_rotary_factor=0.25), 'fp16'),
 'glm4_moe-llama3': ('glm4_moe', dict(base, head_dim=16, intermediate_size=40, moe_intermediate_size=20, n_routed_experts=6, n_shared_experts=1, num_experts_per_tok=2, first_k_dense_replace=2, use_qk_norm=True, partial_rotary_factor=0.5, tie_word_embeddings=True, rope_parameters=dict(rope_type='llama3', factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64, rope_theta=1e4, partial_rotary_factor=0.5)), 'fp32'),
 'phimoe-longrope': ('phimoe', dict(base, intermediate_size=20, num_local_experts=5, num_experts_per_tok=2, attention_bias=False, lm_head_bias=False, sliding_window=9, router_jitter_noise=0.2, rope_parameters=dict(rope_type='longrope', short_factor=[1.0,1.1,1.2,1.3,1.4,1.5], long_factor=[1.0,2.0,3.0,4.0,5.0,6.0], short_mscale=1.1, long_mscale=1.4, original_max_position_embeddings=64, rope_theta=1e4)), 'fp32'),
 'phimoe-longrope-crossing': ('phimoe', dict(base, intermediate_size=20, num_local_experts=5, num_experts_per_tok=2, attention_bias=True, lm_head_bias=True, rope_parameters=dict(rope_type='longrope', short_factor=[1.0,1.1,1.2,1.3,1.4,1.5], long_factor=[1.0,2.0,3.0,4.0,5.0,6.0], short_mscale=1.1, long_mscale=1.4, original_max_position_embeddings=28, rope_theta=1e4)), 'fp32'),
 'mixtral-longrope-crossing': ('mixtral', dict(base, head_dim=12, intermediate_size=20, num_local_experts=5, num_experts_per_tok=2, rope_parameters=dict(rope_type='longrope', short_factor=[1.0,1.1,1.2,1.3,1.4,1.5], long_factor=[1.0,2.0,3.0,4.0,5.0,6.0], factor=4.0, original_max_position_embeddings=28, rope_theta=1e4)), 'fp32'),
 'deepseek_v3-absent-fields': ('deepseek_v3', dict(base, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, intermediate_size=12, moe_intermediate_size=8, n_routed_experts=16, num_experts_per_tok=8, n_group=8, topk_group=4, n_shared_experts=1, first_k_dense_replace=1, kv_lora_rank=8, q_lora_rank=None, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=6, hidden_act='mish'), 'bf16'),
 'glm4_moe-proportional': ('glm4_moe', dict(base, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=12, moe_intermediate_size=8, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, first_k_dense_replace=1, use_qk_norm=True, hidden_act='relu2', partial_rotary_factor=0.5, rope_parameters=dict(rope_type='proportional', factor=2.0, rope_theta=1e4, partial_rotary_factor=0.5)), 'bf16'),
 'qwen3_moe-absent-fields': ('qwen3_moe', dict(base, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=8, intermediate_size=12, moe_intermediate_size=8, num_experts=12, num_experts_per_tok=8, hidden_act='gelu_fast'), 'bf16'),
}
# Fields that are left out of config.json, where the value is what the family takes for an absent one.
ABSENT={
 'deepseek_v3-absent-fields': ['n_group', 'topk_group', 'num_experts_per_tok', 'n_shared_experts', 'routed_scaling_factor', 'norm_topk_prob', 'rope_interleave'],
 'qwen3_moe-absent-fields': ['num_key_value_heads', 'num_experts_per_tok', 'norm_topk_prob', 'decoder_sparse_step', 'mlp_only_layers'],
}
for i,(name,(fam,kw,dt)) in enumerate(A.items()):
    if only and name not in only: continue
    try:
        torch.manual_seed(900+i)
        cfg=AutoConfig.for_model(fam, **kw); cfg.bos_token_id=1; cfg.eos_token_id=2; cfg.pad_token_id=0
        m=AutoModelForCausalLM.from_config(cfg, attn_implementation='eager').float().eval()
        g=torch.Generator().manual_seed(1900+i)
        with torch.no_grad():
            for n,p in m.named_parameters():
                if p.dim()>=2: p.normal_(0, 0.12 if 'embed' not in n else 0.5, generator=g)
                elif 'norm' in n: p.copy_(1+0.1*torch.randn(p.shape, generator=g))
                else: p.normal_(0,0.05,generator=g)
            for n,b in m.named_buffers():
                if 'e_score_correction_bias' in n: b.normal_(0,0.05,generator=g)
        d=f'{out}/{name}'; os.makedirs(d, exist_ok=True)
        tt={'fp32':torch.float32,'bf16':torch.bfloat16,'fp16':torch.float16}[dt]
        with torch.no_grad():
            for t in list(m.parameters())+[b for n,b in m.named_buffers() if 'e_score' in n]: t.copy_(t.to(tt).float())
        ids=torch.randint(3,V,(2,40),generator=g)
        with torch.no_grad():
            logits=m(ids).logits
            if 'phimoe-longrope-crossing' == name:
                # generate() loses its context at this point in this version; each step over the whole sequence is what is meant.
                gen=ids[:1,:24]
                for _ in range(24): gen=torch.cat([gen,m(gen,use_cache=False).logits[:,-1:].argmax(-1)],1)
            else: gen=m.generate(ids[:1,:24], max_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None)
        save_file({'input_ids':ids.contiguous(),'logits':logits.float().contiguous(),'greedy_input_ids':ids[:1,:24].clone(),'greedy_output_ids':gen.contiguous()}, f'{d}/expected.safetensors')
        m.to(tt); m.save_pretrained(d, safe_serialization=True, max_shard_size='60KB' if dt!='fp32' else '100MB')
        if name in ABSENT:
            import json
            kept={k:v for k,v in json.load(open(d+'/config.json')).items() if k not in ABSENT[name]}
            json.dump(kept,open(d+'/config.json','w'),indent=2)
        print(name,'ok',dt,float(logits.std()),flush=True)
    except Exception as e:
        print(name,'FAIL',repr(e)[:300],flush=True)
