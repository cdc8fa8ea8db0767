"""`python -m tests.simulation SEED`: run one history and print its trace.

`--many COUNT [FROM]`: run many. `--mutants [WORD...]`: search the seeds that find mutants. `--digest SEED...`: tell the
digests of traces.
"""

import sys
import time

from tests.simulation.mutants import MUTANTS, search
from tests.simulation.simulation import simulate


def main(arguments: list[str]) -> int:
    """Run what was asked."""
    say = sys.stdout.write
    if arguments[:1] == ["--digest"]:
        say("".join(f"{simulate(int(seed)).digest}\n" for seed in arguments[1:]))
        return 0
    if arguments[:1] == ["--many"]:
        return many(int(arguments[1]), int(arguments[2]) if len(arguments) > 2 else 0)
    if arguments[:1] == ["--mutants"]:
        return mutants(arguments[1:])
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


def mutants(wanted: list[str]) -> int:
    """Search the mutants again (those whose names hold one of the words, or all) and say which seeds find them."""
    survivors = 0
    for mutant in MUTANTS:
        if wanted and not any(word in mutant.name for word in wanted):
            continue
        seed = search(mutant)
        survivors += seed < 0
        recorded = "" if seed == mutant.seed else f" (recorded: {mutant.seed})"
        sys.stdout.write(f"{mutant.name}: {f'seed {seed}' if seed >= 0 else 'SURVIVES'}{recorded}\n")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
