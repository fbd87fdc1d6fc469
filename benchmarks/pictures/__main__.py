"""`python -m benchmarks.pictures [FOLDER]`: draws all pictures anew, into docs/pictures if no folder is given."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.pictures import beliefs, regret

DOCS = Path(__file__).parents[2] / "docs" / "pictures"


def main(folder: Path) -> None:
    """Draw the pictures; the same code gives the same bytes."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by the processes below; a matrix product rounds the same in all
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        drawn = {
            "regret.svg": regret.picture(pool),
            "narrowing.svg": beliefs.narrowing(),
            "forgetting.svg": beliefs.forgetting(pool),
        }
    for name, picture in drawn.items():
        (folder / name).write_text(picture, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
