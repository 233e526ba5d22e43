# What the tests in this directory have in common. It stands in front of each, behind SYSTEMS, the paths of each
# host's systems by their names, SYSTEM, that of Nix, and TOOLS, what fleet/flake.nix builds with, a shell first.
import json
import shlex

MINUTES = 60


def enrol(build, *hosts):
    """Lets hosts in, each with a token of its own, and waits until they are heard of."""
    build.wait_for_unit("kedge-controller.service", timeout=5 * MINUTES)
    for host in hosts:
        token = f"{host.name}.token"
        build.wait_until_succeeds(
            f"kedge host token {host.name} > /root/{token}", timeout=MINUTES
        )
        build.succeed(f"cp /root/{token} /tmp/shared/{token}")
        host.wait_for_unit("basic.target", timeout=5 * MINUTES)
        host.wait_until_succeeds(
            f"kedge-agent enroll --token-file /tmp/shared/{token} https://{build.name}/enroll",
            timeout=2 * MINUTES,
        )
        host.succeed("systemctl restart kedge-agent.service", timeout=2 * MINUTES)
    for host in hosts:
        await_view(build, host, ".status != null", timeout=2 * MINUTES)


def push(build, systems, rollout=None):
    """Pushes a revision in which hosts run these of their systems, and returns it."""
    fleet = {
        "system": SYSTEM,
        "tools": TOOLS,
        "toplevels": {host: SYSTEMS[host][name] for host, name in systems.items()},
        "kedge": {"rollout": rollout} if rollout else {},
    }
    build.succeed(
        f"echo {shlex.quote(json.dumps(fleet))} > /root/fleet/fleet.json",
        "git -C /root/fleet add --all",
        "git -C /root/fleet commit --quiet --allow-empty --message revision",
        "git -C /root/fleet push --quiet --force /srv/git/fleet.git HEAD:main",
        timeout=MINUTES,
    )
    return build.succeed("git -C /root/fleet rev-parse HEAD").strip()


def await_view(build, host, holds, timeout):
    """Waits until what the controller knows of a host is so, as jq has it."""
    build.wait_until_succeeds(
        f"kedge status {host.name} --json | jq --exit-status {shlex.quote('.host | ' + holds)}",
        timeout=timeout,
    )


def await_end(build, host, revision, phase, reason="", timeout=10 * MINUTES):
    """Waits until a revision has come to its end on a host."""
    reached = f'.revision == "{revision}" and .phase == "{phase}" and (.reason // "") == "{reason}"'
    await_view(build, host, f".status.deployment | {reached}", timeout=timeout)


def require_runs(host, name):
    """Fails unless a host runs one of its systems, and has it registered."""
    got = host.succeed("cat /etc/vm-system").strip()
    assert got == name, f"{host.name} runs {got}, want {name}"
    current, profile = facts(host)
    assert current == profile, f"{host.name} runs {current}, registered is {profile}"


def facts(host):
    """What a host runs, and what its system profile names."""
    paths = "/run/current-system /nix/var/nix/profiles/system"
    return host.succeed(f"readlink --canonicalize {paths}").split()


def boot(*hosts):
    """Starts hosts that may reboot by themselves."""
    for host in hosts:
        host.start(allow_reboot=True)


def cut_power(host):
    """Takes the power away, and gives it back. The shell of the driver is new after it, which it has to be
    after a host has rebooted by itself."""
    host.crash()
    boot(host)
    host.wait_for_unit("kedge-agent.service", timeout=5 * MINUTES)
