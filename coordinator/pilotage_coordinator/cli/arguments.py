"""Global options may stand anywhere: they are moved to the front before anything is parsed."""

from collections.abc import Sequence

FLAGS = frozenset({"--json"})
VALUED = frozenset({"--socket", "--url", "--context", "--token-file", "--ca"})


def global_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with global options first; what follows `--` stays as it is."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for each in waiting:
        name, equals, _ = each.partition("=")
        if each == "--":
            rest += [each, *waiting]
        elif each in FLAGS or (equals and name in VALUED):
            front.append(each)
        elif each in VALUED:
            front += [each, *(value for value in [next(waiting, None)] if value is not None)]
        else:
            rest.append(each)
    return front + rest
