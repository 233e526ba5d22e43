for machine in [nats, build1, build2]:
    machine.start()
boot(web1)
for controller in [build1, build2]:
    controller.wait_for_unit("vm-setup.service", timeout=5 * MINUTES)

with subtest("NATS runs with what the first controller says that it needs"):
    build1.succeed(
        "kedge-controller nats-config > /tmp/shared/kedge.conf", timeout=MINUTES
    )
    nats.wait_for_unit("multi-user.target", timeout=5 * MINUTES)
    nats.succeed(
        "install -D -m 600 /tmp/shared/kedge.conf /var/lib/nats/kedge.conf",
        "systemctl start vm-nats.service",
    )
    nats.wait_for_open_port(4222, timeout=MINUTES)

with subtest("the second has the keys of the first"):
    build1.succeed("systemctl start kedge-controller.service", timeout=2 * MINUTES)
    build1.wait_until_succeeds("kedge status", timeout=2 * MINUTES)
    build1.succeed(
        "head -c 16 /dev/urandom | base64 > /tmp/shared/passphrase",
        "kedge-controller backup /tmp/shared/backup.age --passphrase-file /tmp/shared/passphrase",
        timeout=2 * MINUTES,
    )
    build2.succeed(
        "kedge-controller restore --keys-only /tmp/shared/backup.age --passphrase-file /tmp/shared/passphrase",
        "systemctl start kedge-controller.service",
        timeout=2 * MINUTES,
    )


def leads(controller):
    """Whether a controller leads: it alone is ready."""
    status, _ = controller.execute(
        f"curl --fail --silent https://{controller.name}/readyz"
    )
    return status == 0


def push_to_both(system):
    """Pushes a revision to the repository of each controller, and returns it."""
    revision = push(build1, {"web1": system})
    build1.succeed("git -C /root/fleet bundle create /tmp/shared/fleet.bundle HEAD")
    build2.succeed(
        "git --git-dir=/srv/git/fleet.git fetch --force /tmp/shared/fleet.bundle HEAD:main"
    )
    return revision


with subtest("the one that leads deploys"):
    assert leads(build1) and not leads(build2)
    enrol(build1, web1)
    await_end(build1, web1, push_to_both("good"), "committed")
    require_runs(web1, "good")

with subtest("the other one takes over"):
    build2.wait_for_unit("kedge-controller.service", timeout=MINUTES)
    revision = push_to_both("better")
    build1.crash()
    build2.wait_until_succeeds(
        "curl --fail --silent https://build2/readyz", timeout=2 * MINUTES
    )
    await_end(build2, web1, revision, "committed")
    require_runs(web1, "better")
