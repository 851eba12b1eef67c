"""The libraries that references come from: GPTQModel and transformers. Importing this module takes ten seconds, so
import it inside fixtures and tests. Their own warnings are not ours to fix; everybody else's stay errors.
"""

import os
import warnings
from typing import Any

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(os.cpu_count() or 1))
os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
os.environ["TORCHDYNAMO_DISABLE"] = "1"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from gptqmodel import GPTQModel
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization.config import dynamic_get
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module, convert_gptq_v2_to_v1_format_module
    from transformers import DynamicCache
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen3_5 import modeling_qwen3_5 as _modeling
    from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5Config
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
    from transformers.video_utils import VideoMetadata

# Half annotated, and the tests reach into it on purpose.
modeling_qwen3_5: Any = _modeling

__all__ = [
    "DynamicCache",
    "GPTQModel",
    "Qwen2VLImageProcessor",
    "Qwen3VLVideoProcessor",
    "Qwen3_5Config",
    "TorchLinear",
    "VideoMetadata",
    "convert_gptq_v1_to_v2_format_module",
    "convert_gptq_v2_to_v1_format_module",
    "dynamic_get",
    "modeling_qwen3_5",
]
