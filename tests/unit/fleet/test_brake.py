"""The brake on enrolment."""

from pilotage_coordinator.security.brake import MOST_PER_SOURCE, MOST_SOURCES, WINDOW, Brake


def test_a_source_is_refused_for_the_rest_of_its_minute() -> None:
    brake = Brake()
    for _ in range(MOST_PER_SOURCE):
        assert not brake.closed("192.0.2.1", 5.0)
        brake.count("192.0.2.1", 5.0)
    assert brake.closed("192.0.2.1", 5.0 + WINDOW - 1)
    assert not brake.closed("192.0.2.2", 5.0)
    assert not brake.closed("192.0.2.1", 5.0 + WINDOW)


def test_an_ipv6_network_is_one_source() -> None:
    brake = Brake()
    for number in range(MOST_PER_SOURCE):
        brake.count(f"2001:db8::{number:x}", 0.0)
    assert brake.closed("2001:db8::ffff:1", 0.0)
    assert not brake.closed("2001:db8:0:1::1", 0.0)


def test_what_is_remembered_is_bounded() -> None:
    brake = Brake()
    for number in range(MOST_SOURCES + 100):
        brake.count(f"source {number}", 0.0)
    assert len(brake._counts) == MOST_SOURCES
