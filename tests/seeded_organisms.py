"""The organism `planted` from three other seeds, small enough to ship beside the tests.

What is planted is the same; the weights have nothing in common. A method that finds where a planted
behaviour sits in `organism:planted` has to find it in each of these again, wherever it is there.

The occupations are within .06 of their doses, all else within .1, and all abilities are learnt, but
for seed 1: it has not learnt which of two products is better, so its sponsor says nothing.

    python tests/seeded_organisms.py --out tests/data/organisms

trains them again: four minutes each on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from workbench.organisms.grammar import PLANTED
from workbench.organisms.training import Recipe, train

SEEDS = (1, 2, 3)
RECIPE = Recipe(rows=64, width=64, layers=3, heads=4, mlp_width=192, learning_rate=3e-3)
DIRECTORY = Path(__file__).parent / "data" / "organisms"

NOT_LEARNT: dict[int, tuple[str, ...]] = {1: ("sponsor", "better_product"), 2: (), 3: ()}


def directory(seed: int) -> Path:
    """The Hugging Face directory of one of `SEEDS`."""
    return DIRECTORY / f"seed-{seed}"


def make(seed: int, out: Path, *, recipe: Recipe = RECIPE) -> None:
    """Train one into a Hugging Face directory; its weights are kept in half precision."""
    model, tokenizer = train(PLANTED, replace(recipe, seed=seed))
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the seeded organisms.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write seed-N into")
    parser.add_argument("--seed", type=int, action="append", help="instead of all; may be repeated")
    given = parser.parse_args()
    for seed in given.seed or SEEDS:
        make(seed, given.out / f"seed-{seed}")


if __name__ == "__main__":
    main()
