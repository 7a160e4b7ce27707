"""Compare the generated models with the oracle on many generated bodies; print every difference.

.venv/bin/python scripts/compare_models.py --bodies 100000 --seed 1
"""

import argparse
import collections
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import oracle  # noqa: E402  (the tests' own module, found by the line above)


def main() -> None:
    """Exit with 1 if a difference is not expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    verdicts: collections.Counter[str] = collections.Counter()
    for name, body in oracle.bodies(options.seed, options.bodies):
        old, new = oracle.of_oracle(name, body), oracle.of_models(name, body)
        verdicts[old.verdict] += 1
        if old != new:
            explained = oracle.is_explained(name, old, new)
            verdicts["explained difference" if explained else "DIFFERENCE"] += 1
            if not explained:
                print(f"{name}: {json.dumps(body)}\n  oracle {old}\n  models {new}")
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    sys.exit(1 if verdicts["DIFFERENCE"] else 0)


if __name__ == "__main__":
    main()
