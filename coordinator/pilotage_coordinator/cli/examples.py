"""Examples of every command, as `--help` and docs/cli.md show them; a test parses each one."""

from types import MappingProxyType
from typing import Final

EXAMPLES: Final = MappingProxyType(
    {
        "up": ("pilotage up", "pilotage up --advertise control.example.org"),
        "down": ("pilotage down",),
        "plan": (
            "pilotage plan quick_backup -p paths=/etc,/home -p repository=/mnt/backup",
            "pilotage plan -f nightly.yaml -l role=db -o nightly.plan",
            "pilotage plan sha256:49cf71ea0c6b1f9e0a0e0c5b5a2fbe3dd62e6b11d5db2b6f2e4c0d7d2a44a1f3 --values",
        ),
        "apply": ("pilotage apply nightly.plan --reason 'before the upgrade'",),
        "run start": (
            "pilotage run start quick_backup -p paths=/etc,/home -p repository=/mnt/backup",
            "pilotage run start -f nightly.yaml -l env=staging --yes --no-wait",
        ),
        "run list": ("pilotage run list --state failed --since 7d", "pilotage --json run list -n 100 | jq -r '.[].id'"),
        "run show": ("pilotage run show last", "pilotage run show last --host db1 --state failed --state unknown"),
        "run watch": ("pilotage run watch last",),
        "run cancel": ("pilotage run cancel last --reason 'wrong hosts'",),
        "run pause": ("pilotage run pause last",),
        "run resume": ("pilotage run resume last",),
        "run retry": ("pilotage run retry last --failed-hosts", "pilotage run retry last --from verify"),
        "run resolve": ("pilotage run resolve last protect/save --host db1 --as succeeded --comment 'it is there'",),
        "run close": ("pilotage run close last --as successful --note 'error rate is as before'",),
        "run release": ("pilotage run release last look", "pilotage run release last look --deny"),
        "schedule create": (
            "pilotage schedule create nightly fleet_backup_orchestration --cron '30 2 * * *' --timezone Europe/Berlin",
            "pilotage schedule create patch patch_hosts --cron '0 3 * * tue#2' -l env=staging --pause-on-failure",
            "pilotage schedule create once quick_backup --at 2030-01-31T02:30 -p paths=/etc --timezone Europe/Berlin",
        ),
        "schedule update": ("pilotage schedule update nightly --cron '0 4 * * *' --jitter 10m",),
        "schedule enable": ("pilotage schedule enable nightly",),
        "schedule pause": ("pilotage schedule pause nightly --reason 'the vault is being moved'",),
        "schedule resume": ("pilotage schedule resume nightly",),
        "schedule cancel": ("pilotage schedule cancel nightly --reason 'there is another one now'",),
        "schedule run": ("pilotage schedule run nightly --reason 'before the upgrade'",),
        "schedule list": ("pilotage schedule list", "pilotage schedule list --all"),
        "schedule show": ("pilotage schedule show nightly",),
        "schedule firings": ("pilotage schedule firings nightly -n 30",),
        "schedule upcoming": ("pilotage schedule upcoming --hours 24", "pilotage schedule upcoming nightly -n 5"),
        "schedule explain": ("pilotage schedule explain '0 2 * * 1-5' --timezone Europe/Berlin",),
        "exec": ("pilotage exec -l role=db -- df -h /srv", "pilotage exec -l 'name=web1|web2' --yes -- uptime"),
        "approval list": ("pilotage approval list", "pilotage approval list --all --execution last"),
        "approval show": ("pilotage approval show last",),
        "approval approve": ("pilotage approval approve apr_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24 --comment 'I read it'",),
        "approval reject": ("pilotage approval reject apr_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24 --comment 'too late'",),
        "approval delegate": ("pilotage approval delegate bob --until 14d --reason 'on leave'",),
        "approval delegations": ("pilotage approval delegations",),
        "approval undelegate": ("pilotage approval undelegate dlg_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24",),
        "logs": ("pilotage logs last", "pilotage logs -f last protect --host db1"),
        "replay": ("pilotage replay last", "pilotage replay last --at 12"),
        "blueprint list": ("pilotage blueprint list",),
        "blueprint show": ("pilotage blueprint show quick_backup", "pilotage blueprint show quick_backup --source"),
        "blueprint choices": ("pilotage blueprint choices safe_container_upgrade container -p hosts=web1,web2",),
        "blueprint validate": ("pilotage blueprint validate nightly.yaml --expand",),
        "blueprint add": ("pilotage blueprint add nightly.yaml",),
        "host token": ("pilotage host token web1 --label role=web",),
        "host list": ("pilotage host list",),
        "host show": ("pilotage host show web1",),
        "host set": ("pilotage host set web1 --label role=web -e production --var 'backup_roots=[\"/srv\"]'",),
        "host release": ("pilotage host release web1 --reason 'restored from a snapshot; there is no second machine'",),
        "host revoke": ("pilotage host revoke web1 --reason 'the disk was sold'",),
        "secret rekey": ("pilotage secret rekey --state-dir /var/lib/pilotage --reason 'the yearly one'",),
        "secret set": (
            "pilotage secret set backup/password --blueprint quick_backup",
            "pilotage secret set tls/key --from-file key.pem --step 'file.*' -l role=web",
        ),
        "secret list": ("pilotage secret list",),
        "secret grant": ("pilotage secret grant backup/password --blueprint disaster_recovery --step 'restore.*'",),
        "secret ungrant": ("pilotage secret ungrant backup/password 2",),
        "secret grants": ("pilotage secret grants backup/password",),
        "secret rm": ("pilotage secret rm tls/key",),
        "secret export": ("pilotage secret export -r age1… -o secrets.age",),
        "audit search": ("pilotage audit search --principal ann --since 7d", "pilotage audit search --outcome denied"),
        "audit verify": ("pilotage audit verify", "pilotage audit verify --file audit.jsonl --key 3f9a0c4be1d27586"),
        "audit export": ("pilotage audit export -o audit.jsonl",),
        "backup restore": (
            "pilotage backup restore pilotage.tar.age --identity key.txt --state-dir /var/lib/pilotage",
        ),
        "backup create": (
            "pilotage backup create -r age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p -o p.tar.age",
            "pilotage backup create --plain --logs",
        ),
        "backup accept": ("pilotage backup accept --key ~/.ssh/id_ed25519",),
        "policy show": ("pilotage policy show", "pilotage policy show --source"),
        "policy set": (
            "pilotage policy set policy.yaml --check",
            "pilotage policy set policy.yaml --comment 'operators may restart services'",
        ),
        "policy history": ("pilotage policy history",),
        "policy rollback": ("pilotage policy rollback 3 --comment 'the freeze was too wide'",),
        "policy test": ("pilotage policy test policy.yaml",),
        "policy explain": (
            "pilotage policy explain container.upgrade --host web1 --kind assistant",
            "pilotage policy explain service.restart --label env=prod --as bob --role operator",
        ),
        "compliance check": (
            "pilotage compliance check web-upgrade -l role=web",
            "pilotage compliance check --all",
        ),
        "compliance report": (
            "pilotage compliance report --from 30d",
            "pilotage compliance report --blueprint web-upgrade --from 2027-03-01 --to 2027-04-01 --json",
        ),
        "notification list": ("pilotage notification list --state dead",),
        "notification retry": ("pilotage notification retry ntf_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24",),
        "whoami": ("pilotage whoami",),
        "principal add": (
            "pilotage principal add bob --role approver --key bob.pub",
            "pilotage principal add claude --kind assistant --role assistant --sponsor bob --environment staging",
        ),
        "principal list": ("pilotage principal list",),
        "principal show": ("pilotage principal show bob",),
        "principal disable": ("pilotage principal disable bob --reason 'left the team'",),
        "principal enable": ("pilotage principal enable bob",),
        "principal role": (
            "pilotage principal role bob --add operator --category backup -l role=db",
            "pilotage principal role bob --remove approver",
        ),
        "principal keys": ("pilotage principal keys bob --add bob-yubikey.pub",),
        "role list": ("pilotage role list",),
        "role show": ("pilotage role show operator",),
        "role set": ("pilotage role set night-shift -p '*.read' -p run.start -p run.control:own",),
        "role rm": ("pilotage role rm night-shift",),
        "mcp serve": ("pilotage mcp serve --toolsets read,run,author", "pilotage mcp serve --read-only"),
        "mcp config": (
            "pilotage mcp config claude-code --read-only",
            "pilotage mcp config cursor --name ann-cursor --environment staging --expires 30d",
        ),
        "mcp grant": ("pilotage mcp grant cursor run --category backup -l env=staging",),
        "mcp revoke": ("pilotage mcp revoke cursor run", "pilotage mcp revoke cursor"),
        "token create": (
            "pilotage token create claude --name laptop --expires 30d",
            "pilotage token create ci --to-file ci.token",
        ),
        "token list": ("pilotage token list", "pilotage token list claude"),
        "token rotate": ("pilotage token rotate tok_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24 --to-file ci.token",),
        "token revoke": ("pilotage token revoke tok_3f6c1a0e9b7d4c2f8e5a6b1d0c9f7e24",),
        "doctor": ("pilotage doctor",),
        "coordinator serve": ("pilotage coordinator serve --advertise control.example.org",),
        "coordinator status": ("pilotage coordinator status",),
        "coordinator authority": ("pilotage coordinator authority",),
        "coordinator stop": ("pilotage coordinator stop",),
        "version": ("pilotage version",),
    }
)


def epilog(command: str) -> str | None:
    """Return the examples of a command as the end of its help; None for a group."""
    lines = EXAMPLES.get(command, ())
    if not lines:
        return None
    return "\b\nExample{}:\n".format("s" if len(lines) > 1 else "") + "\n".join(f"  {line}" for line in lines)
