"""Backends whose snapshots are trees in a store beside the path: whatever the trees are made of."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

from pilotage_plugin_api import StepContext, StepFailed

from pilotage_plugins.snapshot.asked import refuse_nested
from pilotage_plugins.snapshot.backend import (
    Kind,
    Method,
    Outlook,
    Restored,
    Snapshot,
    Wish,
    snapshot_id,
    step_run_of,
)
from pilotage_plugins.snapshot.place import Place
from pilotage_plugins.snapshot.store import About, State, Store, as_snapshot, new_about
from pilotage_plugins.snapshot.swap import Keeper, clear, put_back, remove_entry, restored_from, take_place, traded
from pilotage_plugins.snapshot.thread import finished_in_thread
from pilotage_plugins.tree.system_calls import sync_file_system


class TreeMaker(Keeper, Protocol):
    """How trees of one kind are made."""

    @property
    def method(self) -> Method:
        """As in `Backend`."""

    async def missing(self, ctx: StepContext) -> str:
        """As in `Backend`."""

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """As in `Backend`."""

    async def nested(self, ctx: StepContext, place: Place) -> list[str]:
        """Return what lies inside the path and would not be in a snapshot."""

    async def outlook(self, ctx: StepContext, place: Place) -> str:
        """Say what a snapshot takes; raises TargetFailed when there is no room for it."""

    async def keep(self, ctx: StepContext, source: Path, data: Path, about: About, wish: Wish) -> About:
        """Make the snapshot of `source` in `data`; returns the note with what it came to."""

    async def renew(self, ctx: StepContext, data: Path, into: Path, about: About) -> About:
        """Make from a snapshot a tree that may be written to."""


class KeptTrees:
    """A backend over a maker of trees."""

    tells_restored: Final = True

    def __init__(self, maker: TreeMaker) -> None:
        self._maker = maker

    @property
    def method(self) -> Method:
        """The maker's."""
        return self._maker.method

    async def missing(self, ctx: StepContext) -> str:
        """Ask the maker."""
        return await self._maker.missing(ctx)

    async def misfit(self, ctx: StepContext, place: Place) -> str:
        """Ask the maker; nobody can put a tree in the place of a mount point."""
        if place.is_mount_point:
            return (
                f"it is a mount point ({place.mount.type}), which cannot be replaced in one instant:"
                " name the folders in it"
            )
        return await self._maker.misfit(ctx, place)

    async def outlook(self, ctx: StepContext, place: Place, wish: Wish) -> Outlook:
        """Look for what would be left out, and for room."""
        nested = await self._nested(ctx, place, wish)
        where = Store.beside(place.path).folder
        return Outlook(where=str(where), note=await self._maker.outlook(ctx, place), nested=tuple(nested))

    async def create(self, ctx: StepContext, place: Place, wish: Wish) -> Snapshot:
        """Note, make, sync, note that it is whole."""
        store, name = Store.beside(place.path), snapshot_id(ctx.attempt_key)
        nested = await self._nested(ctx, place, wish)
        about = new_about(ctx.attempt_key, name, Kind.SNAPSHOT, self.method, place.path, left_out=tuple(nested))
        with ExitStack() as held:
            async with store.locked(ctx):
                earlier = store.find(name)
                if earlier is not None and earlier.state is State.WHOLE:
                    return as_snapshot(earlier, store.data(name))
                if earlier is not None:
                    await self._remove(ctx, store, earlier)
                store.begin(about)
                held.enter_context(store.busy(name))
            try:
                about = await self._maker.keep(ctx, place.path, store.data(name), about, wish)
                refuse_nested(place, about.left_out, wish)
                await finished_in_thread(lambda: sync_file_system(store.folder))
                about = about.model_copy(update={"state": State.WHOLE})
                store.note(about)
            except BaseException:
                await clear(ctx, self._maker, store, name)
                raise
        await self._remove_superseded(ctx, store, about)
        return as_snapshot(about, store.data(name))

    async def snapshots(self, ctx: StepContext, place: Place) -> list[Snapshot]:
        """Read the notes."""
        store, found = Store.beside(place.path), []
        for about in store.of_path(place.path):
            data = store.data(about.id)
            if about.method is not self.method or (about.holds_nothing and not os.path.lexists(data)):
                continue
            snapshot = as_snapshot(about, data)
            if about.state is State.SWAPPING and os.path.lexists(data):
                snapshot = snapshot.model_copy(update={"whole": await traded(ctx, self._maker, store, about)})
            found.append(snapshot)
        return found

    async def remove(self, ctx: StepContext, place: Place, snapshot: Snapshot) -> None:
        """Delete the tree, then the entry."""
        store = Store.beside(place.path)
        async with store.locked(ctx):
            if about := store.find(snapshot.id):
                await self._remove(ctx, store, about)

    async def restore(self, ctx: StepContext, place: Place, snapshot: Snapshot, *, keep_current: bool) -> Restored:
        """Make a fresh tree from the snapshot and let it take the path's place."""
        store = Store.beside(place.path)

        async def prepare(data: Path, about: About) -> About:
            return await self._maker.renew(ctx, store.data(snapshot.id), data, about)

        name = snapshot_id(ctx.attempt_key)
        about = new_about(ctx.attempt_key, name, Kind.KEPT, self.method, place.path, of=snapshot.id)
        about = about.model_copy(update={"left_out": snapshot.left_out})
        return restored_from(await take_place(ctx, self._maker, place, about, prepare, keep_current=keep_current))

    async def restored(self, ctx: StepContext, place: Place, attempt: str) -> Restored | None:
        """Compare identities."""
        store = Store.beside(place.path)
        about = store.find(snapshot_id(attempt))
        if about is None or about.kind is not Kind.KEPT or about.method is not self.method:
            return None
        if about.state in (State.MAKING, State.REMOVING):
            return None
        if about.state is State.SWAPPING and not await traded(ctx, self._maker, store, about):
            return None
        if about.state is State.SWAPPING:
            about = about.model_copy(update={"state": State.WHOLE})
        return restored_from(about)

    async def put_back(self, ctx: StepContext, place: Place, restored: Restored) -> None:
        """Trade places again."""
        await put_back(ctx, self._maker, place, restored)

    async def _nested(self, ctx: StepContext, place: Place, wish: Wish) -> list[str]:
        nested = sorted({*place.mounts_inside, *await self._maker.nested(ctx, place)})
        refuse_nested(place, nested, wish)
        return nested

    async def _remove(self, ctx: StepContext, store: Store, about: About) -> None:
        try:
            with store.busy(about.id):
                await remove_entry(ctx, self._maker, store, about)
        except OSError as error:
            raise StepFailed(f"cannot remove {str(store.entry(about.id))!r}: {error.strerror}") from error

    async def _remove_superseded(self, ctx: StepContext, store: Store, made: About) -> None:
        """Remove what earlier attempts of the step run made: one step run has one snapshot."""
        for about in store.of_path(Path(made.path)):
            same = step_run_of(about.attempt) == step_run_of(made.attempt) and about.kind is Kind.SNAPSHOT
            if same and about.id != made.id and about.method is self.method:
                ctx.log(f"removing the snapshot {about.id} of an earlier attempt")
                await self._remove(ctx, store, about)
