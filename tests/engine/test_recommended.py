"""What is told of the recommended model before it is here is what the engine makes of its shapes."""

import pytest

from app.bench.synthetic import BIG, bits_of
from app.engine.layout import linear_shapes
from app.engine.sizes import Contents, gpu_sizes
from app.models.recommended import SIZES

LARGEST_PICTURE = 16_384 * 32 * 32


def test_its_sizes_are_those_of_its_shapes() -> None:
    linears = linear_shapes(BIG.model)
    bits = {name: bits_of(name) for name in linears if bits_of(name) != 16}
    contents = Contents(BIG.model, bits, lambda _linear: BIG.rank, LARGEST_PICTURE)
    found = gpu_sizes(contents, context_taken=False)
    for least in (False, True):
        bytes_needed = [each.fixed(tower_parked=least, embeddings_outside=least) for each in (found, SIZES)]
        assert bytes_needed[1] == pytest.approx(bytes_needed[0], rel=0.01), "what is said is “about”, and no more"
    assert (found.token, found.embeddings, found.most) == (SIZES.token, SIZES.embeddings, SIZES.most)
