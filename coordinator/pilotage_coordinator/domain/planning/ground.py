"""Where a step runs: its own targets, else its group's, else its blueprint's, else `-l`; never silently all."""

from dataclasses import dataclass

from pilotage_coordinator.domain.blueprint.model import Place, Step
from pilotage_coordinator.domain.plan import FailureKind, HostsFrom, OnOffline
from pilotage_coordinator.domain.planning.around import Around
from pilotage_coordinator.domain.planning.bench import Bench, Frame
from pilotage_coordinator.domain.planning.choosing import choose, choose_from, chosen_on
from pilotage_coordinator.domain.planning.resolution import Resolution


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a step runs: its own hosts (as written into the plan), and the hosts to look at."""

    own: tuple[str, ...] = ()
    """Inside a group: those that it is for, where they are not all of the group's."""
    looked_at: tuple[str, ...] = ()
    """With [""] for a step that runs once on the coordinator."""
    hosts_from: HostsFrom | None = None


class Grounds:
    """Finds the ground of each step; problems go to the bench."""

    def __init__(self, bench: Bench, resolution: Resolution) -> None:
        self._bench = bench
        self._resolution = resolution

    def of_leaf(self, step: Step, around: Around, path: str, place: Place, *, once: bool) -> Ground:
        """Return where a leaf runs.

        On the coordinator: once where the step says so, its type asks once (`once`) or nothing has targets; else once
        for each host.
        """
        if around.in_group or place is Place.HOST:
            return self.of(step, around, path)
        has_targets = step.targets is not None or (around.frame.targets is not None and not once)
        if step.place is Place.COORDINATOR or not has_targets:
            return Ground((), ("",))
        return self.of(step, around, path)

    def of(self, step: Step, around: Around, path: str) -> Ground:
        """Return where a step runs: with its group, on hosts of its own, or on those of its blueprint."""
        frame = around.frame
        if around.hosts is not None:
            return self._inside_group(step, frame, path, around.hosts)
        targets = step.targets
        if targets is not None and targets.from_step is not None:
            hosts_from = choose_from(targets, frame, self._bench, self._resolution, path)
            bound = frame.hosts_of.get(targets.from_step, ())
            return Ground((), tuple(name for name in bound if name and name not in targets.exclude), hosts_from)
        if targets is not None:
            hosts = choose(targets, frame, self._bench, self._resolution, path)
        elif frame.targets is not None:
            hosts = frame.targets
        else:
            message = "it runs on hosts, but neither it nor its blueprint has targets"
            self._bench.refuse_step(FailureKind.TARGET, step, path, message, "say which with -l, such as -l role=db")
            return Ground()
        if step.run_once and hosts:
            hosts = self._pin_host(step, frame, path, hosts)
        return Ground(hosts, hosts)

    def _inside_group(self, step: Step, frame: Frame, path: str, group: tuple[str, ...]) -> Ground:
        """Return those of the group's hosts that the step is for; on the others it is skipped."""
        targets, hosts = step.targets, group
        if not group:
            return Ground()
        if targets is not None and targets.from_step is not None:
            hosts_from = choose_from(targets, frame, self._bench, self._resolution, path)
            bound = frame.hosts_of.get(targets.from_step, ())
            return Ground(
                (), tuple(name for name in group if name in bound and name not in targets.exclude), hosts_from
            )
        if targets is not None and frame.on_host:
            hosts = chosen_on(targets, frame, self._bench, self._resolution, path, group)
        elif targets is not None:
            chosen = choose(targets, frame, self._bench, self._resolution, path, group)
            hosts = tuple(name for name in group if name in chosen)
        # A blueprint that is called for each host runs once for each: its first host is that host.
        if step.run_once and hosts and not frame.on_host:
            hosts = self._pin_host(step, frame, path, hosts)
        return Ground(hosts if hosts != group else (), hosts)

    def _pin_host(self, step: Step, frame: Frame, path: str, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the one host for `run_once`: the pinned one, else the first online, else the first if it waits."""
        pinned = self._bench.request.pins.hosts.get(path)
        if pinned in hosts:
            return (pinned,)
        online = next((name for name in hosts if self._bench.world.inventory[name].online), None)
        if online is not None:
            return (online,)
        if step.settled(frame.defaults).on_offline is OnOffline.WAIT:
            self._bench.note(f"none of its {len(hosts)} hosts is online: it waits for {hosts[0]}", path, hosts[0])
            return hosts[:1]
        message = f"run_once: none of its {len(hosts)} hosts is online"
        self._bench.refuse_step(FailureKind.TARGET, step, path, message, "start an agent, or write `on_offline: wait`")
        return ()
