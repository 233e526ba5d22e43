boot(web1)
enrol(build, web1)
booted = web1.succeed("cat /proc/sys/kernel/random/boot_id")

with subtest("the boot loader can boot a system once"):
    await_view(
        build,
        web1,
        'any(.status.conditions[]; .type == "RebootProtected" and .status == "True")',
        timeout=2 * MINUTES,
    )

with subtest("a good system is kept after its trial boot"):
    revision = push(build, {"web1": "good"})
    await_end(build, web1, revision, "committed", timeout=15 * MINUTES)
    cut_power(web1)  # and is the boot default
    require_runs(web1, "good")
    assert web1.succeed("cat /proc/sys/kernel/random/boot_id") != booted
    current, _ = facts(web1)
    assert web1.succeed("readlink --canonicalize /run/booted-system").strip() == current
    web1.succeed("grep -w vm.trial=good /proc/cmdline")

with subtest("one whose kernel panics is tried twice, and gone back from"):
    revision = push(build, {"web1": "panics"})
    await_end(
        build, web1, revision, "rolled-back", "trial-boot-failed", timeout=20 * MINUTES
    )
    cut_power(web1)
    require_runs(web1, "good")

with subtest("one that comes up with a unit that fails goes back by itself"):
    revision = push(build, {"web1": "broken"})
    await_end(
        build, web1, revision, "rolled-back", "units-failed", timeout=20 * MINUTES
    )
    cut_power(web1)
    require_runs(web1, "good")
    web1.fail("test -e /var/lib/kedge/trial")
