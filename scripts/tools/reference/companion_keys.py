"""Every key of the companion files of our families, as transformers' and diffusers' own classes define them, with defaults.

Writes tests/fixtures/companion-keys.json: {file: {class: {key: default}}}, and what older versions and the published
checkpoints write beside those.
"""

import inspect
import json

from common import FIXTURES  # first: it keeps the hub out

from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, DiTTransformer2DModel
from transformers import DepthAnythingConfig, Dinov2Config, GenerationConfig, LlamaConfig, PreTrainedConfig, ViTConfig
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

PROCESSORS = [
    BeitImageProcessorPil, BitImageProcessorPil, CLIPImageProcessorPil, ConvNextImageProcessorPil, DeiTImageProcessorPil,
    DPTImageProcessorPil, SiglipImageProcessorPil, ViTImageProcessorPil,
]


def plain(value):
    """A default as JSON holds it."""
    if hasattr(value, "value"):
        value = value.value
    if isinstance(value, tuple):
        value = list(value)
    try:
        json.dumps(value)
        return value
    except TypeError:
        return repr(value)


def config(cls):
    return {key: plain(value) for key, value in sorted(cls().to_dict().items()) if key != "transformers_version"}


def arguments(cls):
    return {
        name: plain(each.default)
        for name, each in inspect.signature(cls.__init__).parameters.items()
        if name not in ("self", "kwargs")
    }


def processor(cls):
    made = cls()
    return {
        name: plain(dict(value) if hasattr(value, "height") else value)
        for name in sorted(cls.valid_kwargs.__annotations__)
        for value in [getattr(made, name, None)]
    } | {"default_to_square": getattr(cls, "default_to_square", None)}


def sized(settings):
    """Sizes without the keys that are not set."""
    return {
        key: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
        for key, value in settings.items()
    }


out = {
    "config.json": {
        "PreTrainedConfig": config(PreTrainedConfig),
        "ViTConfig": config(ViTConfig),
        "Dinov2Config": config(Dinov2Config),
        "DepthAnythingConfig": config(DepthAnythingConfig),
        "LlamaConfig": config(LlamaConfig),
        "DiTTransformer2DModel": arguments(DiTTransformer2DModel),
        "AutoencoderKL": arguments(AutoencoderKL),
    },
    "preprocessor_config.json": {cls.__name__.removesuffix("Pil"): sized(processor(cls)) for cls in PROCESSORS},
    "generation_config.json": {"GenerationConfig": config(GenerationConfig)},
    "scheduler_config.json": {cls.__name__: arguments(cls) for cls in (DDPMScheduler, DDIMScheduler)},
}
(FIXTURES / "companion-keys.json").write_text(json.dumps(out, indent=1, sort_keys=True) + "\n")
