"""The model that Parley is made for, as far as it can be described before any of it is here. Pure figures."""

from app.plan import Sizes

REPOSITORY = "TevunahAi/Qwen3.5-27B-TevunahAi-GPTQ"
NAME = "Qwen3.5-27B"
PRECISION = "INT4 · INT8 attention · EoRA 64"
DOWNLOAD = 20_400_000_000
"""Bytes to fetch, as its tensors add up to (its card says 17.8 GB); the hub says it exactly once it is asked."""
SIZES = Sizes(
    weights=16_983_953_152,
    embeddings=2_542_796_800,
    tower=925_146_032,
    token=65_536,
    state=153_944_064,
    workspace=1_079_984_128,
    library=905_969_664,
    most=262_144,
)
"""What `engine/sizes.py` makes of a checkpoint of its shapes; once it is here, its own files are asked instead."""
LINE = 12_500_000
"""Bytes a second of a line of 100 Mbit/s, by which its time is told before anything is measured."""


def name_of(repository: str) -> str:
    """A repository in short: its name without its owner, of an address its end; the recommended one's own name."""
    repository = repository.strip("/")
    return NAME if repository.endswith(REPOSITORY) else repository.rpartition("/")[2]
