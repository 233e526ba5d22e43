boot(web1)
enrol(build, web1)
await_end(build, web1, push(build, {"web1": "good"}), "committed")
good = facts(web1)

with subtest("a unit that fails takes the system back"):
    revision = push(build, {"web1": "broken"})
    await_end(build, web1, revision, "rolled-back", "units-failed")
    require_runs(web1, "good")
    assert facts(web1) == good
    web1.fail("systemctl is-active broken.service")
    assert "broken.service" in build.succeed("kedge status web1")

with subtest("so does a check that does not pass"):
    revision = push(build, {"web1": "unwell"})
    await_end(build, web1, revision, "rolled-back", "check-failed")
    require_runs(web1, "good")

with subtest("and an agent that reaches nobody"):
    revision = push(build, {"web1": "mute"})
    await_end(build, web1, revision, "rolled-back", "no-contact")
    require_runs(web1, "good")
    assert facts(web1) == good

with subtest(
    "a power cut in the middle boots the proven system, and it is tried again"
):
    revision = push(build, {"web1": "slow"})
    await_view(
        build,
        web1,
        f'.status.deployment | .revision == "{revision}" and (.phase == "activating" or .phase == "probation")',
        timeout=5 * MINUTES,
    )
    cut_power(web1)
    booted = web1.succeed("readlink --canonicalize /run/booted-system").strip()
    assert booted == good[0], f"booted {booted}, want {good[0]}"
    await_end(build, web1, revision, "committed")
    require_runs(web1, "slow")
