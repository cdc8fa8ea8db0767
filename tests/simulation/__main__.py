"""`python -m tests.simulation SEED`: run one history and print its trace. `--many COUNT [FROM]`: run many."""

import sys
import time

from tests.simulation.simulation import simulate


def main(arguments: list[str]) -> int:
    """Run what was asked."""
    if arguments[:1] == ["--digest"]:
        print("\n".join(simulate(int(seed)).digest for seed in arguments[1:]))
        return 0
    if arguments[:1] == ["--many"]:
        first = int(arguments[2]) if len(arguments) > 2 else 0
        began, bad, virtual = time.process_time(), 0, 0.0
        for seed in range(first, first + int(arguments[1])):
            verdict = simulate(seed)
            virtual += verdict.seconds
            if verdict.violations:
                bad += 1
                print(f"seed {seed}:", *verdict.violations, sep="\n  ")
        took = time.process_time() - began
        print(f"{arguments[1]} seeds, {bad} bad, {took:.1f} s of CPU, {virtual / 60:.0f} virtual minutes")
        return bool(bad)
    verdict = simulate(int(arguments[0]))
    print(verdict.report())
    return bool(verdict.violations)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
