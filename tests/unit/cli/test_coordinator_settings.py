"""The coordinator's settings: which source wins, and what is refused."""

from pathlib import Path

import pytest
from pilotage_coordinator.config import LEVELS, SettingsRefused, config_file, load_config
from pilotage_coordinator.domain.channel import MailChannel, WebhookChannel
from pilotage_coordinator.program import EXIT_USAGE, run


def test_an_option_wins_over_a_variable_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text('fleet_listen = "file:1"\nenrol_listen = "file:2"\nadvertise = "file"\nhistory_days = 7\n')
    environment = {"PILOTAGE_FLEET_LISTEN": "variable:1", "PILOTAGE_ENROL_LISTEN": "variable:2"}
    config = load_config({"fleet_listen": "option:1", "state_dir": None}, environment, file)
    assert (config.fleet_listen, config.enrol_listen, config.advertise) == ("option:1", "variable:2", "file")
    assert (config.history_days, config.log_level) == (7, "info")


def test_without_any_source_there_are_defaults(tmp_path: Path) -> None:
    config = load_config({}, {"PILOTAGE_ADVERTISE": "", "PILOTAGE_UNRELATED": "1"}, tmp_path / "none.toml")
    assert config.fleet_listen == "127.0.0.1:7443"
    assert config.socket.name == "coordinator.sock"
    assert config.advertise == ""


def test_numbers_and_paths_are_read_from_text(tmp_path: Path) -> None:
    environment = {"PILOTAGE_HISTORY_DAYS": "0", "PILOTAGE_STATE_DIR": "/somewhere"}
    config = load_config({}, environment, tmp_path / "none.toml")
    assert config.history_days == 0
    assert config.state_dir == Path("/somewhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope = 1", "nope: there is no such setting; there are state_dir, "),
        ("history_days = -1", "history_days: a whole number of days from 0 up is needed"),
        ("history_days = true", "history_days: a whole number"),
        ("history_days = 1.5", "history_days: a whole number"),
        ('history_days = "many"', "history_days: a whole number"),
        ("fleet_listen = 7443", "fleet_listen: 7443 is no HOST:PORT, such as 127.0.0.1:7443"),
        ('enrol_listen = "nonsense"', "enrol_listen: 'nonsense' is no HOST:PORT"),
        ('enrol_listen = "0.0.0.0:70000"', "is no HOST:PORT"),
        ("advertise = 3", "advertise: a text is needed"),
        ("state_dir = 3", "state_dir: a path is needed"),
        ('socket = ""', "socket: a path is needed"),
        ('log_level = "loud"', f"log_level: it must be one of {', '.join(LEVELS)}"),
        ("[log_level]", "log_level: it must be one of"),
        ("history_days = ", "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_by_file_and_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(text)
    with pytest.raises(SettingsRefused) as refused:
        load_config({}, {}, file)
    assert str(file) in str(refused.value)
    assert message in str(refused.value)


def test_everything_that_does_not_fit_is_named_at_once(tmp_path: Path) -> None:
    environment = {"PILOTAGE_HISTORY_DAYS": "x"}
    with pytest.raises(SettingsRefused, match=r"PILOTAGE_HISTORY_DAYS: .*; --log-level: "):
        load_config({"log_level": "loud"}, environment, tmp_path / "none.toml")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load_config({}, {}, tmp_path)


def test_the_file_may_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PILOTAGE_CONFIG", str(tmp_path / "mine.toml"))
    assert config_file() == tmp_path / "mine.toml"


def test_a_refused_setting_is_one_line_and_the_exit_code_of_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTAGE_CONFIG", str(tmp_path / "none.toml"))
    assert run({"log_level": "loud"}) == EXIT_USAGE
    assert capsys.readouterr().err == "error: settings: --log-level: it must be one of debug, info, warning, error\n"


def test_channels_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(
        '[channels.ops]\ntype = "webhook"\nurl = "secret://ops/url"\nheader = "X-Key"\nheader_value = "secret://k"\n'
        '[channels.local]\ntype = "webhook"\nurl = "http://127.0.0.1:80/x"\n'
        '[channels.oncall]\ntype = "mail"\nserver = "[2001:db8::1]:26"\nfrom = "p@x"\nto = ["a@x"]\n'
        '[channels.night]\ntype = "mail"\nserver = "mail.example.org"\nsecurity = "tls"\nfrom = "p@x"\nto = ["a@x"]\n'
    )
    channels = load_config({}, {}, file).channels
    assert channels["ops"] == WebhookChannel("ops", "secret://ops/url", "X-Key", "secret://k")
    assert channels["local"] == WebhookChannel("local", "http://127.0.0.1:80/x")
    assert channels["oncall"] == MailChannel("oncall", "2001:db8::1", 26, "starttls", "p@x", ("a@x",))
    assert channels["night"] == MailChannel("night", "mail.example.org", 465, "tls", "p@x", ("a@x",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('type = "pager"', "ops: `type` must be webhook or mail"),
        ('type = "webhook"', "ops: `url` must be a text"),
        ('type = "webhook"\nurl = "http://example.org/"', "must begin with https"),
        ('type = "webhook"\nurl = "http://127.0.0.1.example.org/"', "must begin with https"),
        ('type = "webhook"\nurl = "file:///etc/passwd"', "cannot be read"),
        ('type = "webhook"\nurl = "https://me:pw@example.org/"', "holds a password"),
        ('type = "webhook"\nurl = "https://example.org/"\nheader = "X"', "belong together"),
        ('type = "webhook"\nurl = "https://x.org/"\nheader = "X"\nheader_value = "clear"', "must be a secret"),
        ('type = "webhook"\nurl = "https://x.org/"\nheader = "Host"\nheader_value = "secret://h"', "cannot be set"),
        ('type = "webhook"\nurl = "https://x.org/"\nverify = false', "there is no `verify`"),
        ('type = "mail"\nserver = "x"\nfrom = "p@x"\nto = []', "a list of mail addresses"),
        ('type = "mail"\nserver = "x"\nfrom = "p@x"\nto = ["a@x, b@x"]', "is no mail address"),
        ('type = "mail"\nserver = "x:y"\nfrom = "p@x"\nto = ["a@x"]', "HOST or HOST:PORT"),
        ('type = "mail"\nserver = "x"\nsecurity = "none"\nfrom = "p@x"\nto = ["a@x"]', "on this machine"),
        ('type = "mail"\nserver = "x"\nfrom = "p@x"\nto = ["a@x"]\nuser = "u"\npassword = "clear"', "must be a secret"),
    ],
)
def test_a_channel_that_would_not_work_is_refused(tmp_path: Path, settings: str, message: str) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(f"[channels.ops]\n{settings}\n")
    with pytest.raises(SettingsRefused) as refused:
        load_config({}, {}, file)
    assert f"{file}: channels: ops: " in str(refused.value)
    assert message in str(refused.value)
