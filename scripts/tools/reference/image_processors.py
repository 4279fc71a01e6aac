"""What transformers' image processors (PIL backend) make of pictures, for every setting of preprocessor_config.json.

Writes tests/fixtures/image-processors/: cases.json, one object a case with the file's settings, and expected.safetensors with
the pictures (`picture.NAME`, bytes [height, width, 3]) and the pixel values (`CASE.NAME`, [3, height, width]).
"""

import json

from common import FIXTURES

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoImageProcessor

OUT = FIXTURES / "image-processors"
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SQUARE = {"height": 12, "width": 12}
VIT = {"image_processor_type": "ViTImageProcessor", "size": SQUARE}
CLIP = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 14}, "crop_size": SQUARE}
DPT = {"image_processor_type": "DPTImageProcessor", "size": {"height": 28, "width": 28}, **IMAGENET}

CASES = [
    *[{**VIT, "resample": code} for code in range(6)],
    {**VIT, **IMAGENET},
    {**VIT, "image_mean": 0.4, "image_std": 0.2},
    {**VIT, "do_rescale": False, "image_mean": [120.0, 110.0, 100.0], "image_std": [50.0, 60.0, 70.0]},
    {**VIT, "rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0]},
    {**VIT, "do_normalize": False},
    {**VIT, "do_normalize": None},
    {**VIT, "size": 12},
    {**VIT, "size": [12, 12], "do_convert_rgb": True},
    {**VIT, "size": {"shortest_edge": 13}, "do_center_crop": True, "crop_size": 12},
    {**VIT, "size": {"shortest_edge": 9}, "do_center_crop": True, "crop_size": 12},
    {**VIT, "size": {"shortest_edge": 15, "longest_edge": 19}, "do_center_crop": True, "crop_size": 12},
    {**VIT, "size": {"shortest_edge": 15, "longest_edge": 18}, "do_center_crop": True, "crop_size": 12},
    {**VIT, "size": {"max_height": 12, "max_width": 11}, "do_pad": True, "pad_size": SQUARE},
    {**VIT, "do_resize": False, "do_center_crop": True, "crop_size": SQUARE},
    {"size": 12, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_resize": True, "do_normalize": True},
    {"feature_extractor_type": "ViTFeatureExtractor", "size": 12},
    {"image_processor_type": "ViTImageProcessorFast", "size": SQUARE},
    CLIP,
    {**CLIP, "size": 14, "crop_size": 12},
    {**CLIP, "do_center_crop": False, "size": SQUARE},
    {**CLIP, "do_center_crop": False, "size": 12, "default_to_square": True},
    {**VIT, "do_center_crop": True, "crop_size": 12, "size": 13, "default_to_square": False},
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 14}, "crop_size": SQUARE, **IMAGENET},
    {"image_processor_type": "DeiTImageProcessor", "size": {"height": 15, "width": 15}, "crop_size": SQUARE},
    {"image_processor_type": "BeitImageProcessor", "size": SQUARE},
    {"image_processor_type": "SiglipImageProcessor", "size": SQUARE},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 12}},
    {"image_processor_type": "ConvNextImageProcessor", "size": 12, "crop_pct": 0.7},
    DPT,
    {**DPT, "keep_aspect_ratio": True, "ensure_multiple_of": 14},
    {**DPT, "keep_aspect_ratio": True, "ensure_multiple_of": 1},
    {**DPT, "ensure_multiple_of": 8, "size": 30},
    {**DPT, "do_pad": True, "size_divisor": 9, "size": 26},
    {**DPT, "do_resize": False},
    {**DPT, "resample": 2, "rescale_factor": 0.01, "do_normalize": False},
]


def picture(height, width, seed):
    random = np.random.RandomState(seed)
    return random.randint(0, 256, (height, width, 3)).astype("uint8")


PICTURES = {"tall": picture(21, 13, 0), "wide": picture(17, 40, 1), "small": picture(8, 10, 2), "large": picture(64, 48, 3)}


def main():
    OUT.mkdir(exist_ok=True)
    tensors = {f"picture.{name}": torch.tensor(pixels) for name, pixels in PICTURES.items()}
    for index, case in enumerate(CASES):
        family = "depth_anything" if "DPT" in case.get("image_processor_type", "") else "vit"
        folder = OUT / "folder"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": family}))
        (folder / "preprocessor_config.json").write_text(json.dumps(case))
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        for name, pixels in PICTURES.items():
            values = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
            tensors[f"{index}.{name}"] = torch.tensor(np.ascontiguousarray(values)).float()
    save_file(tensors, OUT / "expected.safetensors")
    (OUT / "cases.json").write_text(json.dumps(CASES, indent=1) + "\n")


main()
