"""Every key of the companion files of our families, as transformers' and diffusers' own classes define them, with defaults.

Writes tests/fixtures/companion-keys.json: {file: {class: {key: default}}}, and what older versions and the published
checkpoints write beside those.
"""

import inspect
import json
import re

from common import FIXTURES  # first: it keeps the hub out

from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, DiTPipeline, DiTTransformer2DModel
from transformers import CLIPConfig, CLIPVisionConfig, DeiTConfig, Dinov2WithRegistersConfig
from transformers import DepthAnythingConfig, Dinov2Config, GenerationConfig, LlamaConfig, PreTrainedConfig, ViTConfig
from transformers import GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerBase
from transformers.tokenization_utils_tokenizers import TokenizersBackend
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


def tokenizer():
    """Names that transformers' tokenizers take, read from their code, which has no list of them."""
    source = inspect.getsource(PreTrainedTokenizerBase.__init__) + inspect.getsource(TokenizersBackend.__init__)
    names = set(re.findall(r'kwargs(?:\.pop|\.get|\.setdefault)\(\s*"([^"]+)"', source))
    # Made while loading, not written.
    names -= {"tokenizer_object", "gguf_file", "post_processor", "tokenizer_truncation", "tokenizer_padding", "_json_truncation",
              "_json_padding", "_spm_precompiled_charsmap", "tokenizer"}  # fmt: skip
    names |= set(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES)
    for cls in (LlamaTokenizer, GPT2Tokenizer):
        names |= set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    return dict.fromkeys(sorted(names))


# As the files of LLaMA 1 to 3.2, TinyLlama, SmolLM2 and their descendants have them, by any version of transformers.
PUBLISHED = [
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder", "additional_special_tokens", "bos_token", "chat_template",
    "clean_up_tokenization_spaces", "eos_token", "extra_special_tokens", "is_local", "legacy", "model_input_names", "model_max_length",
    "pad_token", "padding_side", "sp_model_kwargs", "spaces_between_special_tokens", "special_tokens_map_file", "tokenizer_class",
    "tokenizer_file", "truncation_side", "unk_token", "use_default_system_prompt", "use_fast", "vocab_size", "name_or_path", "auto_map",
    "processor_class", "backend", "tokenizer_type", "from_slow",
]  # fmt: skip

out = {
    "tokenizer_config.json": {"tokenizers": tokenizer(), "published": dict.fromkeys(PUBLISHED)},
    "special_tokens_map.json": {"tokenizers": dict.fromkeys(
        [*PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES, "additional_special_tokens", "extra_special_tokens"])},  # fmt: skip
    "model_index.json": {"DiTPipeline": dict.fromkeys(
        ["_class_name", "_diffusers_version", *list(inspect.signature(DiTPipeline.__init__).parameters)[1:]])},  # fmt: skip
    "config.json": {
        "PreTrainedConfig": config(PreTrainedConfig),
        "ViTConfig": config(ViTConfig),
        "DeiTConfig": config(DeiTConfig),
        "Dinov2Config": config(Dinov2Config),
        "Dinov2WithRegistersConfig": config(Dinov2WithRegistersConfig),
        "CLIPConfig": config(CLIPConfig),
        "CLIPVisionConfig": config(CLIPVisionConfig),
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
