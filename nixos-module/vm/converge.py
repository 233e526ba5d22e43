boot(web1, web2)
enrol(build, web1, web2)

rollout = {
    "waves": [
        {"name": "first", "hosts": "web1"},
        {"name": "others", "hosts": "all"},
    ]
}

with subtest("a push goes out wave by wave"):
    revision = push(build, {"web1": "good", "web2": "good"}, rollout)
    for host in [web1, web2]:
        await_end(build, host, revision, "committed")
        require_runs(host, "good")

with subtest("a host that was off gets what is wanted by then"):
    web2.crash()
    push(build, {"web1": "better", "web2": "better"}, rollout)
    last = push(build, {"web1": "good", "web2": "better"}, rollout)
    boot(web2)
    await_end(build, web2, last, "committed")
    require_runs(web2, "better")

with subtest("what was committed is what boots"):
    cut_power(web2)
    require_runs(web2, "better")
    web1.succeed("kedge-agent status", "kedge-agent history")
