def show(what):
    """Prints what the fleet looks like."""
    print(f"\n=== {what}\n\n{build.succeed('kedge status')}")


boot(web1, web2)
enrol(build, web1, web2)
show("two hosts have enrolled themselves, and run what they were installed with")

revision = push(build, {"web1": "good", "web2": "good"})
for host in [web1, web2]:
    await_end(build, host, revision, "committed")
    require_runs(host, "good")
show("a push: both hosts run it, have proved it, and keep it")

revision = push(build, {"web1": "better", "web2": "broken"})
await_end(build, web1, revision, "committed")
await_end(build, web2, revision, "rolled-back", "units-failed")
require_runs(web2, "good")
show("a push that fails on one host: that one went back by itself")
print(build.succeed("kedge status web2"))

revision = push(build, {"web1": "slow", "web2": "good"})
await_view(
    build,
    web1,
    f'.status.deployment | .revision == "{revision}" and .phase == "activating"',
    timeout=5 * MINUTES,
)
cut_power(web1)
show(
    "the power went in the middle: the proven system has booted, and it is tried again"
)
await_end(build, web1, revision, "committed")
show("and is there")
