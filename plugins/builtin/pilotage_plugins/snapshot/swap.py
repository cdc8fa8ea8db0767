"""Putting a prepared tree in a path's place, in one instant and so that a crash at any point can be told and mended.

The entry's note says `swapping` with two identities before anything moves: of the prepared tree, and of what stands at
the path. Whichever of them the entry's data has afterwards says whether the two have traded places.
"""

import contextlib
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from pilotage_plugin_api import InfrastructureFailed, Refused, StepContext, StepError, TargetFailed

from pilotage_plugins.file.placement import sync_folder
from pilotage_plugins.snapshot.backend import Kind, Restored, step_run_of
from pilotage_plugins.snapshot.place import Place
from pilotage_plugins.snapshot.store import About, State, Store, new_about
from pilotage_plugins.snapshot.thread import finished_in_thread, unstoppable
from pilotage_plugins.tree.nesting import nested_in
from pilotage_plugins.tree.system_calls import exchange, rename_to_nothing, sync_file_system

MOST_SPENT = 20
ENTRY_NAME: Final = re.compile(r"[0-9a-f]{16}")


class Keeper(Protocol):
    """What a swap must know of trees: how one is told from all others, and how it is deleted."""

    async def identity(self, ctx: StepContext, tree: Path) -> str:
        """Return what tells this tree from any other; raises OSError or StepError."""

    async def delete(self, ctx: StepContext, tree: Path) -> None:
        """Delete a tree, which need not be there; raises OSError or StepError."""


async def take_place(
    ctx: StepContext,
    keeper: Keeper,
    place: Place,
    about: About,
    prepare: Callable[[Path, About], Awaitable[About]],
    *,
    keep_current: bool,
) -> About:
    """Let `prepare` make a tree in the entry of `about`, and put that in the path's place; what was there is kept in
    the entry, or deleted when it is not to be kept. Returns the entry's last note.

    A call that finds the entry of an interrupted one finishes it, or removes it and begins anew. When `prepare` fails,
    nothing is left. Raises TargetFailed when other file systems lie inside what is there: they would move with it.
    """
    store = Store.beside(place.path)
    async with store.locked(ctx):
        earlier = store.find(about.id)
        if earlier is not None:
            earlier = await settled(ctx, keeper, store, earlier)
        for other in store.of_path(place.path):
            same = step_run_of(other.attempt) == step_run_of(about.attempt)
            if other.state is State.SPENT or (same and other.kind is Kind.KEPT):
                await settled(ctx, keeper, store, other)
        if earlier is None:
            await _refuse_nested(ctx, place)
            earlier = await _swap(ctx, keeper, store, place, about, prepare)
        if not keep_current and earlier.state is State.WHOLE and earlier.previous is not None:
            earlier = earlier.model_copy(update={"state": State.SPENT})
            store.note(earlier)
        if earlier.state is State.SPENT:
            await keeper.delete(ctx, store.data(about.id))
        _forget_spent(store)
    return earlier


async def settled(ctx: StepContext, keeper: Keeper, store: Store, about: About) -> About | None:
    """Finish an entry whose places were traded, and remove one whose were not (None). With the store locked."""
    if about.state is State.SPENT and os.path.lexists(store.data(about.id)):
        await keeper.delete(ctx, store.data(about.id))
    if about.state in (State.WHOLE, State.SPENT):
        return about
    if about.state is State.SWAPPING and await traded(ctx, keeper, store, about):
        give_times(about, about.path, store.data(about.id))
        about = about.model_copy(update={"state": State.WHOLE})
        store.note(about)
        return about
    await remove_entry(ctx, keeper, store, about)
    return None


async def remove_entry(ctx: StepContext, keeper: Keeper, store: Store, about: About) -> None:
    """Delete an entry; what a crash leaves of it half deleted is known as such. Raises OSError or StepError."""
    store.note(about.model_copy(update={"state": State.REMOVING}))
    await keeper.delete(ctx, store.data(about.id))
    store.drop(about.id)


async def clear(ctx: StepContext, keeper: Keeper, store: Store, name: str) -> None:
    """Remove what a failed or cancelled attempt made; what cannot be removed is said, and known as not whole."""
    try:
        await keeper.delete(unstoppable(ctx), store.data(name))
        store.drop(name)
    except (OSError, StepError) as error:
        ctx.log(
            f"{str(store.entry(name))!r} is half done and could not be removed: {error}. snapshot.remove removes it"
        )


async def traded(ctx: StepContext, keeper: Keeper, store: Store, about: About) -> bool:
    """Whether the prepared tree has left the entry for the path. Reads only."""
    data = store.data(about.id)
    if not os.path.lexists(data):
        return True
    return await keeper.identity(ctx, data) != about.prepared


async def put_back(ctx: StepContext, keeper: Keeper, place: Place, restored: Restored) -> None:
    """Bring back what an entry keeps of a path, and delete what had taken its place; twice is once.

    Raises TargetFailed when somebody has put another thing there since, or removed what was kept, also when that was
    cut off half-way; Refused when nothing was kept.
    """
    store = Store.beside(place.path)
    if restored.kept is None:
        raise Refused(f"what was at {str(place.path)!r} before was not kept, so it cannot come back: restore a backup")
    if not os.path.lexists(store.folder) and not await _to_be_taken_away(ctx, keeper, place, restored):
        await _refuse_if_there(ctx, keeper, place, restored)
        return
    async with store.locked(ctx):
        about = store.find(restored.kept)
        if about is None and await _to_be_taken_away(ctx, keeper, place, restored):
            about = _noted_again(ctx, store, place, restored)
        if about is None:
            await _refuse_if_there(ctx, keeper, place, restored)
            return
        data = store.data(about.id)
        if about.state is not State.REMOVING and not await _is_back(ctx, keeper, place, about, data):
            await _refuse_nested(ctx, place)
            if not place.there or await keeper.identity(ctx, place.path) != about.prepared:
                raise TargetFailed(
                    f"{str(place.path)!r} is not what the step put there any more, so it was left; what was there"
                    f" before lies in {str(data)!r}"
                )
            with _naming(place.path):
                if about.previous is None:
                    rename_to_nothing(place.path, data)
                else:
                    exchange(place.path, data)
                sync_folder(place.path.parent)
                sync_folder(data.parent)
        if about.previous is not None and about.state is not State.REMOVING:
            give_times(about, data, place.path)
        await remove_entry(ctx, keeper, store, about)
        if about.state is State.REMOVING:
            await _refuse_unless_back(ctx, keeper, place, about)


async def _to_be_taken_away(ctx: StepContext, keeper: Keeper, place: Place, restored: Restored) -> bool:
    """Whether what was restored stands where nothing was before: then nothing was kept, and no note is needed to take
    it away. Only the newest of such notes stay."""
    if restored.was_there or not place.there or not restored.identity:
        return False
    return await keeper.identity(ctx, place.path) == restored.identity


def _noted_again(ctx: StepContext, store: Store, place: Place, restored: Restored) -> About:
    """Note once more that the tree came where nothing was, so that taking it away bears being cut off."""
    name = str(restored.kept)
    if not ENTRY_NAME.fullmatch(name):
        raise Refused(f"{name!r} is no id of what a restore put aside")
    about = new_about(ctx.attempt_key, name, Kind.KEPT, restored.method, place.path, of=restored.snapshot)
    about = about.model_copy(update={"state": State.WHOLE, "prepared": restored.identity})
    store.begin(about)
    return about


async def _refuse_unless_back(ctx: StepContext, keeper: Keeper, place: Place, about: About) -> None:
    """Refuse when an entry was half removed by somebody else: an undo that came so far has brought things back."""
    now = await keeper.identity(ctx, place.path) if place.there else None
    if now != about.previous:
        raise TargetFailed(
            f"what was at {str(place.path)!r} before was being removed (snapshot.remove), so it cannot come back"
        )


async def _refuse_if_there(ctx: StepContext, keeper: Keeper, place: Place, restored: Restored) -> None:
    """Refuse when what was restored is there still: then it was not undone, and what was kept has been removed."""
    if place.there and await keeper.identity(ctx, place.path) == restored.identity:
        raise TargetFailed(
            f"what was at {str(place.path)!r} before was removed since (snapshot.remove), so it cannot come back"
        )


async def _is_back(ctx: StepContext, keeper: Keeper, place: Place, about: About, data: Path) -> bool:
    """Whether an interrupted undo had already brought things back: then the entry holds what was restored."""
    if os.path.lexists(data):
        return await keeper.identity(ctx, data) == about.prepared
    return about.previous is not None or not place.there


async def _swap(
    ctx: StepContext,
    keeper: Keeper,
    store: Store,
    place: Place,
    about: About,
    prepare: Callable[[Path, About], Awaitable[About]],
) -> About:
    store.begin(about)
    data = store.data(about.id)
    try:
        about = await prepare(data, about)
        previous = await keeper.identity(ctx, place.path) if place.there else None
        prepared = await keeper.identity(ctx, data)
        times = (data.lstat().st_mtime_ns, place.path.lstat().st_mtime_ns if place.there else 0)
        more = {"state": State.SWAPPING, "prepared": prepared, "previous": previous, "times": times}
        about = about.model_copy(update=more)
        await finished_in_thread(lambda: sync_file_system(store.folder))
        store.note(about)
    except BaseException:
        await clear(ctx, keeper, store, about.id)
        raise
    try:
        with _naming(place.path):
            if previous is None:
                rename_to_nothing(data, place.path)
            else:
                exchange(data, place.path)
            sync_folder(place.path.parent)
            sync_folder(data.parent)
    except BaseException:
        with contextlib.suppress(OSError, StepError):  # a next attempt finds the note, and tries again
            await settled(unstoppable(ctx), keeper, store, about)
        raise
    give_times(about, place.path, data)
    about = about.model_copy(update={"state": State.WHOLE})
    store.note(about)
    return about


def give_times(about: About, new: Path | str, old: Path) -> None:
    """Give the two that traded places their times back; one of them may not be there."""
    for path, time in zip((new, old), about.times, strict=True):
        with contextlib.suppress(OSError):
            os.utime(path, ns=(time, time), follow_symlinks=False)


def _naming(path: Path) -> "contextlib.AbstractContextManager[None]":
    return _Naming(path)


class _Naming(contextlib.AbstractContextManager[None]):
    """Turns the system's errors of a rename into ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileExistsError | FileNotFoundError):
            raise InfrastructureFailed(
                f"{str(self._path)!r} was made or removed by somebody in this very moment; nothing was replaced"
            ) from error
        if isinstance(error, OSError):
            raise TargetFailed(f"cannot replace {str(self._path)!r}: {error.strerror}") from error


async def _refuse_nested(ctx: StepContext, place: Place) -> None:
    """Refuse to move a tree away in which other things are at home."""
    if not place.there:
        return
    inside = list(place.mounts_inside)
    if place.path.is_dir():
        inside += await finished_in_thread(lambda: nested_in(place.path, ctx.checkpoint))
    if inside:
        raise TargetFailed(
            f"inside {str(place.path)!r} lie other file systems or subvolumes, which would be carried away with it:"
            f" {', '.join(sorted(set(inside))[:5])}. Unmount them or move them out first"
        )


def _forget_spent(store: Store) -> None:
    """Keep only the newest notes of entries that hold nothing: they are there for probes. An undo bears
    that they are gone."""
    spent = sorted((about.made_at, about.id) for about in store.all() if about.holds_nothing)
    for _, name in spent[:-MOST_SPENT]:
        store.drop(name)


def restored_from(about: About) -> Restored:
    """Return what the note of a finished swap says."""
    kept = about.id if about.state is State.WHOLE else None
    return Restored(
        snapshot=about.of,
        method=about.method,
        path=about.path,
        kept=kept,
        was_there=about.previous is not None,
        identity=about.prepared,
        left_out=about.left_out,
    )
