"""`python -m tests.simulation SEED`: run one history and print its trace. `--many COUNT [FROM]`: run many."""

import sys
import time

from tests.simulation.simulation import simulate


def main(arguments: list[str]) -> int:
    """Run what was asked."""
    say = sys.stdout.write
    if arguments[:1] == ["--digest"]:
        say("".join(f"{simulate(int(seed)).digest}\n" for seed in arguments[1:]))
        return 0
    if arguments[:1] == ["--many"]:
        return many(int(arguments[1]), int(arguments[2]) if len(arguments) > 2 else 0)
    verdict = simulate(int(arguments[0]))
    say(f"{verdict.report()}\n")
    return bool(verdict.violations)


def many(count: int, first: int) -> int:
    """Run a range of seeds and say which are bad."""
    began, bad, virtual = time.process_time(), 0, 0.0
    for seed in range(first, first + count):
        verdict = simulate(seed)
        virtual += verdict.seconds
        if verdict.violations:
            bad += 1
            sys.stdout.write("\n  ".join([f"seed {seed}:", *verdict.violations]) + "\n")
    took = time.process_time() - began
    sys.stdout.write(f"{count} seeds, {bad} bad, {took:.1f} s of CPU, {virtual / 60:.0f} virtual minutes\n")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
