"""Reading the operator's settings out of an inspection."""

from typing import Any

from pilotage_plugins.container.configuration import configuration_of, differences

IMAGE = {
    "Config": {
        "Env": ["PATH=/bin", "LEVEL=image"],
        "Cmd": ["serve"],
        "Entrypoint": ["/entry"],
        "Labels": {"v": "1", "maker": "us"},
        "WorkingDir": "/srv",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "check"]},
    }
}


def found(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An inspection of a container that took everything from the image, but for what is given."""
    return {
        "Id": "abcdef0123456789",
        "Config": {**IMAGE["Config"], "Hostname": "abcdef012345", "Image": "app:1", **(config or {})},
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}, **(host or {})},
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n0", "Aliases": None, "IPAMConfig": None}}},
        **more,
    }


def test_what_came_from_the_image_is_left_to_the_image() -> None:
    assert configuration_of(found(), IMAGE).settings == {}


def test_without_its_image_everything_is_kept() -> None:
    settings = configuration_of(found(), None).settings
    assert settings["Env"] == ["PATH=/bin", "LEVEL=image"]
    assert settings["Entrypoint"] == ["/entry"]
    assert settings["Cmd"] == ["serve"]


def test_settings_of_the_operator_are_kept() -> None:
    config = {"Env": ["PATH=/bin", "LEVEL=mine", "OWN=1"], "Labels": {"v": "1", "maker": "me"}, "User": "7"}
    settings = configuration_of(found(config), IMAGE).settings
    assert settings == {"Env": ["LEVEL=mine", "OWN=1"], "Labels": {"maker": "me"}, "User": "7"}


def test_a_changed_entrypoint_takes_its_command_along() -> None:
    assert configuration_of(found({"Entrypoint": ["/mine"], "Cmd": None}), IMAGE).settings == {
        "Entrypoint": ["/mine"],
        "Cmd": [],
    }
    assert configuration_of(found({"Entrypoint": None}), IMAGE).settings["Entrypoint"] == [""]


def test_our_own_labels_are_no_setting() -> None:
    config = {"Labels": {"v": "1", "maker": "us", "io.pilotage.attempt": "x"}}
    assert configuration_of(found(config), IMAGE).settings == {}


def test_a_hostname_that_the_engine_gave_is_no_setting() -> None:
    assert configuration_of(found({"Hostname": "shop"}), IMAGE).settings == {"Hostname": "shop"}
    assert configuration_of(found({"Hostname": "box"}, {"NetworkMode": "host"}), IMAGE).settings == {}


def test_anonymous_volumes_get_their_names() -> None:
    mounts = [
        {"Type": "volume", "Name": "v1", "Destination": "/data", "RW": True},
        {"Type": "volume", "Name": "v2", "Destination": "/ro", "RW": False},
        {"Type": "volume", "Name": "named", "Destination": "/named", "RW": True},
        {"Type": "volume", "Name": "v3", "Destination": "/nameless", "RW": True},
        {"Type": "bind", "Source": "/etc", "Destination": "/etc-of-host", "RW": False},
    ]
    host = {"Binds": ["named:/named"], "Mounts": [{"Type": "volume", "Target": "/nameless"}]}
    kept = configuration_of(found(host=host, Mounts=mounts), IMAGE).host
    assert sorted(kept["Binds"]) == ["named:/named", "v1:/data", "v2:/ro:ro"]
    assert kept["Mounts"] == [{"Type": "volume", "Target": "/nameless", "Source": "v3"}]
    assert host["Binds"] == ["named:/named"], "the inspection itself was changed"


def test_links_are_turned_into_what_a_creation_takes() -> None:
    kept = configuration_of(found(host={"Links": ["/db:/web/database"]}), IMAGE).host
    assert kept["Links"] == ["db:database"]


def test_networks_keep_address_and_aliases_and_the_first_is_told_by_name_or_id() -> None:
    networks = {
        "back": {"NetworkID": "n2", "Aliases": ["abcdef012345", "b"], "IPAMConfig": {}},
        "front": {"NetworkID": "n1", "Aliases": ["web", "web"], "IPAMConfig": {"IPv4Address": "10.0.0.7"}},
    }
    for mode in ("front", "n1"):
        own = configuration_of(found(host={"NetworkMode": mode}, NetworkSettings={"Networks": networks}), IMAGE)
        assert own.first == "front"
        assert own.others == {"back": {"Aliases": ["b"]}}
        body = own.body("app:2", {"io.pilotage.attempt": "k"})
        wanted = {"front": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.7"}}}
        assert body["NetworkingConfig"]["EndpointsConfig"] == wanted
        assert body["Labels"] == {"io.pilotage.attempt": "k"}
        assert body["Image"] == "app:2"


def test_the_networks_of_another_container_and_of_the_host_are_not_connected() -> None:
    for mode in ("host", "none", "container:abc"):
        own = configuration_of(found(host={"NetworkMode": mode}), IMAGE)
        assert (own.endpoints, own.first) == ({}, None)


def test_differences_name_the_setting_and_both_values() -> None:
    before = configuration_of(found(host={"Memory": 64, "CapAdd": ["A", "B"]}), IMAGE)
    same = configuration_of(found(host={"Memory": 64, "CapAdd": ["B", "A"], "Binds": None}), IMAGE)
    other = configuration_of(found(host={"CapAdd": ["A", "B"]}), IMAGE)
    assert differences(before, same) == []
    assert differences(before, other) == ["HostConfig.Memory: 64 became None"]


def test_the_order_of_a_command_is_a_difference() -> None:
    one = configuration_of(found({"Cmd": ["a", "b"]}), IMAGE)
    assert differences(one, configuration_of(found({"Cmd": ["b", "a"]}), IMAGE)) != []
