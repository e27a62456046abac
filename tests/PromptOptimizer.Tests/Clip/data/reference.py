"""Reference values for the tests of CLIP: python3 reference.py OUT.

Needs transformers, torch, tokenizers, numpy, Pillow and onnx. Writes reference.json (tokens, scaled images, similarities) and
tiny.onnx.gz: a CLIPModel of RANDOM WEIGHTS, which judges nothing; it is there to compare two implementations.
"""
import base64, gzip, io, json, struct, sys, zlib

import numpy as np
import PIL
from PIL import Image, ImageOps
import tokenizers
import torch
import transformers
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

out = sys.argv[1]

# Tokens: every byte, every byte at the end of a word, some merges, the two that frame a text.
letters, extra = [], 0
for value in range(256):
    if 0x21 <= value <= 0x7E or 0xA1 <= value <= 0xAC or 0xAE <= value <= 0xFF:
        letters.append(chr(value))
    else:
        letters.append(chr(0x100 + extra))
        extra += 1
merges = ["r e", "re d</w>", "b l", "bl u", "blu e</w>", "l i", "li o", "lio n</w>", "t h", "th e</w>", "' s</w>", "1 9</w>", "Ã ©</w>",
          "i n</w>", "a l", "b al", "bal l</w>", "ð Ł", "! !", "!! !</w>", "a n", "an d</w>", "o o", "m oo", "moo n</w>", "a a", "a a</w>", "aa aa</w>", "aa aa"]
vocabulary = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
assert len(set(vocabulary)) == len(vocabulary)
ids = {token: number for number, token in enumerate(vocabulary)}
start, end = ids["<|startoftext|>"], ids["<|endoftext|>"]

# As transformers.convert_slow_tokenizer builds it for CLIP.
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[tuple(merge.split(" ")) for merge in merges], dropout=None,
                                 continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False, unk_token="<|endoftext|>"))
tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""), behavior="removed", invert=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False)])

texts = ["", "red", "The RED  lion's ball\tin the moon", "don't we're I've it'll he'd I'm '", "'sun !'s 'S", "1999 ½ ²3", "café cafe\u0301 İstanbul ΣΑΣ",
         "lion!!! and... blue, blue-red", "🦁🦁 lion🌙 👩\u200d🚀", "日本の庭 лев שלום", "𝐀𝐁 a𝐂 \U00020000b", "\u00a0nbsp\u3000wide\u2028line\u0085", "aaaa aaaaaa aaaaaaaa",
         "naïve ﬁre ＡＢ", "e\u0301\u0323 \u1112\u1161\u11ab", "\u00ad\u200bzero <lora:x:1> a_b", "red " * 90, "x" * 100]

def encode(text):
    return [start] + tokenizer.encode(text, add_special_tokens=False).ids + [end]

def cut(numbers, most=77):
    return numbers if len(numbers) <= most else numbers[:most - 1] + [end]

# Images, by a formula that the tests have, too.
def picture(width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray(((x * 37 + y * 59 + c * 83 + (x * y % 97) * 5) & 255).astype(np.uint8), "RGB")

plain = {"do_rescale": False, "do_normalize": False}
square = {"size": 8, "crop_size": 8, "resample": 3}
cases = [(square, size) for size in [(8, 8), (40, 30), (30, 41), (9, 8), (7, 5), (101, 67), (8, 150), (1, 1), (5, 1), (257, 64)]]
cases += [({"size": {"shortest_edge": 11}, "crop_size": {"height": 8, "width": 7}, "resample": 3}, (33, 47)),
          ({"size": {"shortest_edge": 9}, "crop_size": {"height": 8, "width": 8}, "resample": 2}, (50, 37)),
          ({"size": {"shortest_edge": 8}, "crop_size": 8, "resample": 2}, (3, 4)),
          ({"size": {"height": 9, "width": 14}, "crop_size": {"height": 6, "width": 10}, "resample": 3}, (31, 33)),
          ({"size": {"height": 6, "width": 9}, "do_center_crop": False, "resample": 2}, (20, 30))]

def process(config, image):
    return np.asarray(CLIPImageProcessorPil(**config)(image, return_tensors="np")["pixel_values"][0])

def scaled(config, size):
    values = process({**config, **plain}, picture(*size))
    return np.round(values).astype(np.uint8).transpose(1, 2, 0)

# Newer versions of Pillow scale down first and then across where that is less work, and may differ by one. CLIP is older.
def across_first(config, size):
    (width, height), wanted = size, config["size"]
    wanted = wanted if isinstance(wanted, dict) else {"shortest_edge": wanted}
    edge = wanted.get("shortest_edge")
    target = (wanted["width"], wanted["height"]) if edge is None else (edge, edge * height // width) if width <= height else (edge * width // height, edge)
    image = picture(*size).resize((target[0], height), config["resample"]).resize(target, config["resample"])
    crop = config.get("crop_size", {"width": target[0], "height": target[1]})
    crop = crop if isinstance(crop, dict) else {"width": crop, "height": crop}
    left, top = (target[0] - crop["width"]) // 2, (target[1] - crop["height"]) // 2
    result = np.asarray(image.crop((left, top, left + crop["width"], top + crop["height"])))
    assert np.abs(result.astype(int) - scaled(config, size)).max() <= 1
    return result

normal = {**square, "rescale_factor": 1 / 255, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}

# Files that a decoder has to understand: Pillow's view of them, in red, green and blue.
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

def png(width, height, depth, colour, rows, *more):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)) + b"".join(more) + \
        chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)) + chunk(b"IEND", b"")

deep = (np.arange(4 * 3 * 3).reshape(3, 4, 3) * 1777 + 300).astype(">u2")
files = {
    "rgb16": png(4, 3, 16, 2, [row.tobytes() for row in deep]),
    "grey": png(4, 3, 8, 0, [bytes(range(start_, start_ + 40, 10)) for start_ in (0, 90, 200)]),
    "greyAlpha": png(2, 2, 8, 4, [bytes([10, 0, 200, 255]), bytes([90, 128, 60, 3])]),
    "rgba": png(2, 2, 8, 6, [bytes([250, 10, 20, 0, 1, 2, 3, 255]), bytes([9, 8, 7, 128, 100, 150, 200, 1])]),
    "palette": png(4, 1, 2, 3, [bytes([0b00011011])], chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 7, 8, 9])), chunk(b"tRNS", bytes([0, 255, 100, 255]))),
    "bits": png(8, 1, 1, 0, [bytes([0b10110010])]),
}
def expected(data):
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGB"))
decoded = [{"name": name, "file": base64.b64encode(data).decode(), "width": expected(data).shape[1], "height": expected(data).shape[0],
            "pixels": base64.b64encode(expected(data).tobytes()).decode()} for name, data in files.items()]

# Corners of an image in four colours, as seen: red, green, blue and white from the top left, row by row, before it is turned.
corners = Image.new("RGB", (16, 8))
for index, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]):
    corners.paste(colour, (index % 2 * 8, index // 2 * 4, index % 2 * 8 + 8, index // 2 * 4 + 4))
def seen(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    corners.save(data, "PNG", exif=exif)
    image = ImageOps.exif_transpose(Image.open(data))
    names = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B", (255, 255, 255): "W"}
    width, height = image.size
    return f"{width}x{height} " + "".join(names[image.getpixel(at)[:3]] for at in [(1, 1), (width - 2, 1), (1, height - 2), (width - 2, height - 2)])
orientations = {str(number): seen(number) for number in range(1, 9)}

# A whole model. Its weights are rounded, so that they pack well.
torch.manual_seed(7)
config = CLIPConfig(
    text_config=dict(vocab_size=len(vocabulary), hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=77,
                     projection_dim=6, bos_token_id=start, eos_token_id=end, pad_token_id=end, hidden_act="quick_gelu"),
    vision_config=dict(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4, projection_dim=6, hidden_act="quick_gelu"),
    projection_dim=6, logit_scale_init_value=2.6592)
model = CLIPModel(config).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if name != "logit_scale":
            parameter.copy_(torch.round(torch.randn_like(parameter) * 8) / 16 + (1 if name.endswith("norm1.weight") or name.endswith("norm2.weight") else 0))
pairs = [("the red lion", (40, 30)), ("a blue ball in the moon", (30, 41)), ("", (8, 8)), ("red " * 90, (101, 67))]
similarities = []
for text, size in pairs:
    tokens = torch.tensor([cut(encode(text))])
    pixels = torch.tensor(process(normal, picture(*size)))[None].float()
    with torch.no_grad():
        answer = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), pixel_values=pixels)
    cosine = torch.nn.functional.cosine_similarity(answer.text_embeds, answer.image_embeds).item()
    assert abs(answer.logits_per_image.item() / model.logit_scale.exp().item() - cosine) < 1e-5
    similarities.append({"text": text, "width": size[0], "height": size[1], "cosine": round(cosine, 6)})

class Exported(torch.nn.Module):
    """The outputs in the order that Hugging Face's export has."""
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, pixel_values, attention_mask):
        answer = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return answer.logits_per_image, answer.logits_per_text, answer.text_embeds, answer.image_embeds

example = torch.tensor([cut(encode("the red lion"))])
buffer = io.BytesIO()
torch.onnx.export(Exported(), (example, torch.zeros(1, 3, 8, 8), torch.ones_like(example)), buffer, opset_version=17, dynamo=False,
                  input_names=["input_ids", "pixel_values", "attention_mask"], output_names=["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
                  dynamic_axes={"input_ids": {0: "text_batch_size", 1: "sequence_length"}, "pixel_values": {0: "image_batch_size"},
                                "attention_mask": {0: "text_batch_size", 1: "sequence_length"}, "text_embeds": {0: "text_batch_size"}, "image_embeds": {0: "image_batch_size"}})
with open(f"{out}/tiny.onnx.gz", "wb") as file:
    file.write(gzip.compress(buffer.getvalue(), 9, mtime=0))

reference = {
    "about": "Made by reference.py. The model beside this has RANDOM WEIGHTS.",
    "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "pillow": PIL.__version__, "torch": torch.__version__},
    "merges": merges,
    "texts": [{"text": text, "ids": cut(encode(text)), "cut": len(encode(text)) > 77} for text in texts],
    "scaled": [{"config": config_, "width": size[0], "height": size[1], "pixels": base64.b64encode(across_first(config_, size).tobytes()).decode()} for config_, size in cases],
    "normal": {"config": normal, "width": 40, "height": 30, "values": [round(float(value), 5) for value in process(normal, picture(40, 30)).flatten()[::11]]},
    "decoded": decoded,
    "orientations": orientations,
    "similarities": similarities,
}
with open(f"{out}/reference.json", "w") as file:
    file.write("{\n" + ",\n".join(f"  {json.dumps(key)}: " + (
        "[\n" + ",\n".join("    " + json.dumps(item, ensure_ascii=True) for item in value) + "\n  ]" if isinstance(value, list) and key != "merges" else json.dumps(value)) for key, value in reference.items()) + "\n}\n")
