"""What lies in `inside` runs on a host of its own, which test_on_a_host.py starts; never on this machine."""

collect_ignore = ["inside"]
