"""Random-weight miniatures in the formats of published checkpoints with fewer than 16 bits, with the reference implementation's outputs.

quantized.py OUT. The reference dequantises gpt_oss-mxfp4 and deepseek_v3-fp8 itself. qwen3_moe-fp8-ragged has blocks that
end beyond the matrix, as DeepSeek-V3's kv_a_proj_with_mqa has (576 rows in blocks of 128), which the reference refuses:
there the product is rounded to bf16 here, as DeepSeek's fp8_cast_bf16.py does; on whole blocks both are compared.
"""
import json, os, sys, tempfile, torch
torch.set_num_threads(1)
import transformers.quantizers.quantizer_finegrained_fp8 as fp8_quantizer
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, FineGrainedFP8Config, Mxfp4Config
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
# It is asked for and, on a processor, not used.
fp8_quantizer.is_accelerate_available = lambda *_, **__: True
out = sys.argv[1]
V = 96
base = dict(vocab_size=V, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, rms_norm_eps=1e-5)
MODELS = {
    'gpt_oss-mxfp4': ('gpt_oss', dict(base, hidden_size=64, num_key_value_heads=2, head_dim=16, intermediate_size=32, num_local_experts=6, num_experts_per_tok=2, sliding_window=8)),
    'deepseek_v3-fp8': ('deepseek_v3', dict(base, num_hidden_layers=3, hidden_size=64, num_key_value_heads=4, intermediate_size=96, moe_intermediate_size=32, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=2,
        first_k_dense_replace=1, kv_lora_rank=24, q_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, n_group=4, topk_group=2, rope_parameters=dict(rope_type='yarn', factor=8.0, mscale=1.0, mscale_all_dim=1.0, beta_fast=32, beta_slow=1, original_max_position_embeddings=32, rope_theta=1e4))),
    'qwen3_moe-fp8-ragged': ('qwen3_moe', dict(base, hidden_size=40, num_key_value_heads=2, head_dim=12, intermediate_size=56, moe_intermediate_size=20, num_experts=5, num_experts_per_tok=2, mlp_only_layers=[0])),
}
BLOCKS = {'deepseek_v3-fp8': (16, 32), 'qwen3_moe-fp8-ragged': (16, 16)}
SCALES = {'deepseek_v3-fp8': torch.float32, 'qwen3_moe-fp8-ragged': torch.bfloat16}


def mxfp4(w):
    """[E, inputs, outputs] -> blocks [E, outputs, inputs / 32, 16] and scales [E, outputs, inputs / 32]."""
    w = w.transpose(1, 2).contiguous()
    e, o, i = w.shape
    w = w.reshape(e, o, i // 32, 32)
    scale = torch.floor(torch.log2(w.abs().amax(-1))) - 2
    values = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
    codes = (w.unsqueeze(-1) / torch.exp2(scale)[..., None, None] - values).abs().argmin(-1).to(torch.uint8)
    return codes[..., 0::2] | (codes[..., 1::2] << 4), (scale + 127).to(torch.uint8)


def fp8(w, block, dtype):
    rows, columns = (-(-n // b) for n, b in zip(w.shape, block))
    scale = torch.stack([torch.stack([w[r*block[0]:(r+1)*block[0], c*block[1]:(c+1)*block[1]].abs().max() / 448 for c in range(columns)]) for r in range(rows)]).to(dtype)
    return (w / spread(scale, w, block)).clamp(-448, 448).to(torch.float8_e4m3fn), scale


def spread(scale, w, block):
    return scale.float().repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)[:w.shape[0], :w.shape[1]]


def shards(tensors, directory, count):
    """A scale may lie in another shard than its weight."""
    weight_map, names = {}, sorted(tensors)
    for i in range(count):
        name = f'model-{i+1:05}-of-{count:05}.safetensors'
        part = {n: tensors[n].contiguous() for n in names[i::count]}
        save_file(part, f'{directory}/{name}', metadata={'format': 'pt'})
        weight_map |= {n: name for n in part}
    json.dump({'metadata': {}, 'weight_map': weight_map}, open(f'{directory}/model.safetensors.index.json', 'w'), indent=1)


for i, (name, (family, fields)) in enumerate(MODELS.items()):
    torch.manual_seed(700 + i)
    config = AutoConfig.for_model(family, **fields)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 0
    config.dtype = torch.bfloat16
    model = AutoModelForCausalLM.from_config(config, attn_implementation='eager').float().eval()
    g = torch.Generator().manual_seed(1700 + i)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if p.dim() >= 2: p.normal_(0, 0.12 if 'embed' not in n else 0.5, generator=g)
            elif 'norm' in n: p.copy_(1 + 0.1 * torch.randn(p.shape, generator=g))
            else: p.normal_(0, 0.05, generator=g)
        for n, b in model.named_buffers():
            if 'e_score_correction_bias' in n: b.normal_(0, 0.05, generator=g)
    d = f'{out}/{name}'
    os.makedirs(d, exist_ok=True)
    with tempfile.TemporaryDirectory() as plain:
        model.to(torch.bfloat16).save_pretrained(plain)
        from safetensors.torch import load_file
        weights = load_file(plain + '/model.safetensors')
        stored = json.load(open(plain + '/config.json'))
    tensors, cast = {}, {}
    for n, w in weights.items():
        if family == 'gpt_oss' and n.endswith(('gate_up_proj', 'down_proj')):
            tensors[n + '_blocks'], tensors[n + '_scales'] = mxfp4(w.float())
        elif family != 'gpt_oss' and n.endswith('_proj.weight') or 'kv_a_proj_with_mqa' in n:
            block = BLOCKS[name]
            q, s = fp8(w.float(), block, SCALES[name])
            tensors[n], tensors[n + '_scale_inv'] = q, s
            cast[n] = (q.float() * spread(s, q, block)).to(torch.bfloat16)
            if not any(a % b for a, b in zip(q.shape, block)):
                assert Fp8Dequantize(None)._dequantize_one(q, s, torch.bfloat16).equal(cast[n]), n
        else:
            tensors[n] = cast[n] = w
    if family == 'gpt_oss':
        stored['quantization_config'] = dict(quant_method='mxfp4', modules_to_not_convert=['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'])
    else:
        stored['quantization_config'] = dict(quant_method='fp8', fmt='e4m3', activation_scheme='dynamic', weight_block_size=list(BLOCKS[name]))
    json.dump(stored, open(d + '/config.json', 'w'), indent=2)
    shards(tensors, d, 2)
    if name == 'qwen3_moe-fp8-ragged':
        with tempfile.TemporaryDirectory() as plain:
            json.dump({k: v for k, v in stored.items() if k != 'quantization_config'}, open(plain + '/config.json', 'w'))
            save_file(cast, plain + '/model.safetensors', metadata={'format': 'pt'})
            model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.bfloat16, attn_implementation='eager')
    else:
        how = Mxfp4Config(dequantize=True) if family == 'gpt_oss' else FineGrainedFP8Config(dequantize=True)
        model, told = AutoModelForCausalLM.from_pretrained(d, dtype=torch.bfloat16, attn_implementation='eager', quantization_config=how, output_loading_info=True)
        print(name, {k: v for k, v in told.items() if v})
        for n, w in cast.items():
            if '.experts.' not in n and n in model.state_dict(): assert model.state_dict()[n].to(w.dtype).equal(w), n
    for n, p in list(model.named_parameters()) + list(model.named_buffers()):
        if not n.endswith('inv_freq'): assert p.dtype in (torch.bfloat16, torch.float32), (n, p.dtype)
    model = model.float().eval()
    ids = torch.randint(3, V, (2, 40), generator=g)
    with torch.no_grad():
        logits = model(ids).logits
        generated = model.generate(ids[:1, :24], max_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None)
    save_file({'input_ids': ids.contiguous(), 'logits': logits.contiguous(), 'greedy_input_ids': ids[:1, :24].clone(), 'greedy_output_ids': generated.contiguous()}, d + '/expected.safetensors')
    print(name, type(model).__name__, float(logits.std()))
