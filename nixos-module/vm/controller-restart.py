boot(web1, web2)
enrol(build, web1, web2)

rollout = {
    "waves": [
        {"name": "first", "hosts": "web1", "soak": "30s"},
        {"name": "others", "hosts": "all"},
    ]
}

with subtest("a controller that is killed goes on with its rollout where it was"):
    revision = push(build, {"web1": "good", "web2": "good"}, rollout)
    await_end(build, web1, revision, "committed")
    build.succeed("systemctl kill --signal=KILL kedge-controller.service")
    build.wait_until_succeeds("kedge status", timeout=2 * MINUTES)
    await_end(build, web2, revision, "committed")
    for host in [web1, web2]:
        require_runs(host, "good")

with subtest("hosts keep what they have while it is away, and are found again"):
    build.succeed("systemctl stop kedge-controller.service", timeout=2 * MINUTES)
    cut_power(web2)
    require_runs(web2, "good")
    build.succeed("systemctl start kedge-controller.service", timeout=2 * MINUTES)
    revision = push(build, {"web1": "better", "web2": "better"}, rollout)
    for host in [web1, web2]:
        await_end(build, host, revision, "committed")
        require_runs(host, "better")

with subtest("so does one whose machine lost its power"):
    build.crash()
    build.start()
    build.wait_for_unit("kedge-controller.service", timeout=5 * MINUTES)
    revision = push(build, {"web1": "good", "web2": "better"}, rollout)
    for host in [web1, web2]:
        await_end(build, host, revision, "committed")
