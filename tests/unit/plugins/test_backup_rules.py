"""The decisions of the backup plugin that need no repository."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pilotage_plugin_api import InfrastructureFailed, ProgramResult, SecretRef, StepFailed, TargetFailed
from pilotage_plugin_api.testing import Harness
from pilotage_plugins.backup.create import BackupCreate
from pilotage_plugins.backup.damage import damaged_packs
from pilotage_plugins.backup.errors import failure
from pilotage_plugins.backup.listing import best_of_each_group
from pilotage_plugins.backup.outage import Outage
from pilotage_plugins.backup.progress import BackupListener, RestoreListener
from pilotage_plugins.backup.protection import deletion_warning
from pilotage_plugins.backup.recipe import restore_database, restore_files
from pilotage_plugins.backup.repository import RepositoryParams
from pilotage_plugins.backup.retention import weigh
from pilotage_plugins.backup.server import Database, Engine, socket_port
from pilotage_plugins.backup.snapshots import Snapshot, is_whole, manifest_tags, partial_tags
from pilotage_plugins.backup.source import read_exclude_file
from pilotage_plugins.backup.space import check_room

START = datetime(2026, 3, 1, tzinfo=UTC)
PACK = hashlib.sha256(b"pack").hexdigest()


def snapshot(number: int, *tags: str, paths: tuple[str, ...] = ("/srv",)) -> Snapshot:
    return Snapshot(f"id{number}", START + timedelta(hours=number), "web1", paths, tags)


def repository(address: str) -> RepositoryParams:
    return RepositoryParams(repository=address, password=SecretRef("x"))


def test_a_dump_counts_only_with_its_manifest_and_files_unless_noted_as_partial() -> None:
    dump, files = snapshot(1, "pilotage", "database:postgresql"), snapshot(2, "pilotage")
    notes = [snapshot(3, *manifest_tags("id1", 1, 9)), snapshot(4, *partial_tags("id2"))]
    assert not is_whole(dump, [])
    assert is_whole(dump, notes)
    assert is_whole(files, [])
    assert not is_whole(files, notes)
    assert not is_whole(dump, [snapshot(3, *manifest_tags("id12", 1, 9))])


def test_what_is_not_whole_goes_after_a_whole_one_and_displaces_none_before() -> None:
    data = [snapshot(1), snapshot(2), snapshot(3), snapshot(4, paths=("/etc",)), snapshot(5, paths=("/etc",))]
    notes = [snapshot(9, *partial_tags("id2")), snapshot(9, *partial_tags("id5"))]
    found = weigh(data, notes)
    assert found.outdated == ("id2",)
    assert found.held == {("web1", "/etc")}
    never = weigh(data[:1], [snapshot(9, *partial_tags("id1"))])
    assert never.outdated == ()
    assert never.held == {("web1", "/srv")}


def test_how_to_restore_by_hand_names_secrets_and_quotes_what_people_chose() -> None:
    plain = RepositoryParams(
        repository="rest:https://vault/a b",
        password=SecretRef("backup/web1"),
        backend_secrets={"AWS_SECRET_ACCESS_KEY": SecretRef("s3/key")},
        backend={"AWS_DEFAULT_REGION": "eu x"},
    )
    assert restore_files(plain, "cafe") == (
        "restic --repo 'rest:https://vault/a b' --password-file PASSWORD restore cafe --target FOLDER"
        "  # PASSWORD is a file with the secret backup/web1, AWS_SECRET_ACCESS_KEY in the environment is the secret"
        " s3/key, AWS_DEFAULT_REGION is 'eu x', FOLDER is any empty folder"
    )
    hidden = RepositoryParams(repository="secret://backup/address", password=SecretRef("p"))
    shop = Database(engine=Engine.POSTGRESQL, name="shop", path="/run/.s.PGSQL.5432")
    assert restore_database(hidden, "cafe", shop, "/postgresql-5432-shop.dump") == (
        "restic --repository-file ADDRESS --password-file PASSWORD dump cafe /postgresql-5432-shop.dump"
        " | pg_restore --create --dbname=postgres --exit-on-error"
        "  # PASSWORD is a file with the secret p, ADDRESS one with the secret backup/address"
    )
    odd = Database(engine=Engine.MARIADB, name="it's", path="/run/mysqld.sock")
    assert "| mariadb -- 'it'\"'\"'s'  #" in restore_database(hidden, "cafe", odd, "/mysql-3306-x.sql")
    assert " restore cafe " in restore_database(
        hidden, "cafe", Database(engine=Engine.SQLITE, name="s", path="/srv/s.db"), "/srv/s.db"
    )


def test_an_upload_that_broke_off_and_is_refused_the_second_time_is_infrastructure() -> None:
    said = b"Save(<data/aa>) returned error, retrying after 1s: EOF\n"
    said += b"Save(<data/%b>) failed: unexpected HTTP response (403)"
    for second, kind in ((b"aa", InfrastructureFailed), (b"bb", StepFailed)):
        assert isinstance(failure(ProgramResult(1, b"", said % second, 0, 0, 0.1), "backing up", "/r"), kind)


def test_an_outage_is_over_when_one_request_has_failed_for_long_enough() -> None:
    now = [100.0]
    outage = Outage(lambda: now[0], 10)

    def say(request: str) -> bool:
        outage.note(f"{request} returned error, retrying after 1.5s: dial tcp: connection refused".encode())
        return outage.over.is_set()

    outage.note(b"Save(<data/aa>) is slow")
    assert not say("Save(<data/aa>)")
    now[0] += 9
    assert not say("Save(<data/aa>)")
    assert not say("Load(<index/bb>, 10, 0)")
    now[0] += 1
    assert not say("Load(<index/bb>, 10, 0)"), "another request, which may have begun to fail just now"
    assert say("Save(<data/aa>)")
    assert outage.reason == "dial tcp: connection refused"


def test_a_restore_listener_reports_within_its_part(harness: Harness) -> None:
    listener = RestoreListener(harness.context("k", harness.scratch_root), 0.5, 0.9)
    listener.start("snapshot cafe")
    for done in (0, 50, 100):
        line = {"message_type": "status", "total_bytes": 100, "bytes_restored": done}
        listener.line(json.dumps(line).encode())
    listener.line(b'{"message_type":"summary"}')
    listener.line(b"odd words")
    assert [round(fraction, 2) for fraction, _ in harness.recorder.reports if fraction is not None] == [
        0.5,
        0.5,
        0.7,
        0.9,
    ]
    assert [text for _, text in harness.recorder.lines] == ["odd words"]


@pytest.mark.parametrize(
    ("address", "protected", "warned"),
    [
        ("/mnt/vault", False, "is a folder of this host"),
        ("/mnt/vault", True, "is a folder of this host"),
        ("sftp:u@h:/x", True, "cannot forbid deleting"),
        ("rest:https://h/", False, "--append-only"),
        ("rest:https://h/", True, None),
        ("s3:https://h/b", False, "credentials cannot delete"),
        ("secret://backup/repository", True, None),
    ],
)
def test_a_host_that_can_delete_its_backups_is_warned(address: str, protected: bool, warned: str | None) -> None:
    warning = deletion_warning(repository(address), protected)
    assert warning is None if warned is None else warned in (warning or "")


@pytest.mark.parametrize(
    ("line", "packs"),
    [
        (f"Pack ID does not match, want {PACK}, got {'0' * 64}", [PACK]),
        (f"error for pack {PACK[:8]}:", [PACK[:8]]),
        (f"pack {PACK}: does not exist", [PACK]),
        ("check all packs", []),
        (f"pack {PACK}: not referenced in any index", []),
        ("[0:00] 100.00%  3 / 3 packs", []),
    ],
)
def test_damaged_packs_are_read_from_what_any_version_says(line: str, packs: list[str]) -> None:
    assert damaged_packs(line.encode()) == packs


def test_there_must_be_room_for_what_is_new() -> None:
    check_room(repository("/r"), 900, 1000)
    with pytest.raises(TargetFailed, match=r"1000 bytes free, and 999 bytes are new"):
        check_room(repository("/r"), 999, 1000)


def test_a_path_that_is_not_there_is_a_problem_of_the_preview_and_no_change(harness: Harness) -> None:
    (harness.sandbox / "there").mkdir()
    paths = [str(harness.sandbox / "there"), str(harness.sandbox / "gone")]
    params = {"repository": "rest:https://vault/", "password": "secret://x", "paths": paths}
    shown = harness.preview(BackupCreate(), params)
    assert [each.subject for each in shown.changes] == paths[:1]
    assert f"it will fail: {paths[1]}: No such file or directory" in shown.note
    assert "it will fail" not in harness.preview(BackupCreate(), {**params, "paths": paths[:1]}).note


def test_progress_is_of_what_was_counted_and_never_full_before_the_end(harness: Harness) -> None:
    listener = BackupListener(harness.context("k", harness.scratch_root), 0.0, expected_files=10, expected_bytes=1000)
    for said in (
        b'{"message_type":"status","percent_done":1}',
        b'{"message_type":"status","percent_done":1,"total_files":1,"files_done":1,"total_bytes":5,"bytes_done":5}',
        b'{"message_type":"status","percent_done":1,"total_files":10,"files_done":10,"total_bytes":1000,"bytes_done":1000}',
    ):
        listener.stdout(said)
    assert harness.recorder.reports == [(0.0, "0 of 10 files"), (0.005, "1 of 10 files"), (0.99, "10 of 10 files")]
    uncounted = BackupListener(harness.context("k", harness.scratch_root), 0.0)
    uncounted.stdout(b'{"message_type":"status","percent_done":1}')
    assert harness.recorder.reports[-1] == (None, "restic is starting")


def test_an_exclude_file_is_lines_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "exclude"
    path.write_bytes(b"#no\n\n *.tmp\n/a b\r\n$HOME\n\xff\n")
    assert read_exclude_file(str(path)) == [" *.tmp", "/a b", "$HOME", "\udcff"]
    path.write_bytes(b"x" * 1_100_000)
    with pytest.raises(TargetFailed, match="bigger"):
        read_exclude_file(str(path))


def test_a_database_is_placed_by_its_port() -> None:
    socket = "/run/postgresql/.s.PGSQL.5433"
    assert socket_port(socket) == 5433
    assert socket_port("/run/mysqld/mysqld.sock") is None
    assert Database(engine=Engine.POSTGRESQL, name="a", path=socket).place == "5433"
    assert Database(engine=Engine.MYSQL, name="a", path="/run/mysqld/mysqld.sock").place == "3306"
    assert Database(engine=Engine.POSTGRESQL, name="a", host="../x").place == "..%2Fx:5432"


def test_the_fault_of_restic_0_18_0_is_named() -> None:
    said = b'{"code":1,"message":"Fatal: unable to save snapshot: open /srv: no such file or directory"}'
    error = failure(ProgramResult(1, b"", said, 0, len(said), 0.1), "backing up the database", "/vault")
    assert isinstance(error, TargetFailed)
    assert "0.18.1" in str(error)


def test_a_backup_that_was_cut_off_hides_no_whole_one_before_it() -> None:
    whole, partial, only = snapshot(1), snapshot(2), snapshot(3, paths=("/other",))
    notes = [snapshot(4, *partial_tags(partial.id)), snapshot(5, *partial_tags(only.id))]
    assert {each.id for each in best_of_each_group([whole, partial, only], notes)} == {whole.id, only.id}
    assert best_of_each_group([whole, partial], []) == [partial]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"Load(<data/8f>) returned error: unexpected EOF\nread tcp 1.2.3.4:5->6.7.8.9:8000: connection reset", "road"),
        (b"Load(<data/8f>) returned error: unexpected EOF", "damage"),
        (b"ciphertext verification failed", "damage"),
        (b"Get http://vault/: dial tcp 1.2.3.4:8000: connect: connection refused", "road"),
    ],
)
def test_what_a_broken_road_cut_short_is_not_taken_for_damage(said: bytes, kind: str) -> None:
    error = failure(ProgramResult(1, b"", said, 0, len(said), 0.1), "restoring", "rest:http://vault/")
    assert isinstance(error, InfrastructureFailed) == (kind == "road")
    assert ("the repository is damaged" in str(error)) == (kind == "damage")
