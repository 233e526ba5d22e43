boot(web1)
enrol(build, web1)


def agent():
    """The program of the agent that runs."""
    pid = web1.succeed("systemctl show --property=MainPID --value kedge-agent.service")
    return web1.succeed(f"readlink /proc/{pid.strip()}/exe").strip()


first = agent()

with subtest("the agent replaces itself"):
    revision = push(build, {"web1": "newer"})
    await_end(build, web1, revision, "committed")
    require_runs(web1, "newer")
    assert agent() != first, f"it is still {first}"
    assert "kedge-agent-newer" in agent()

with subtest("one that does not start takes the system back, and the old one runs on"):
    newer = agent()
    revision = push(build, {"web1": "crashing"})
    await_end(build, web1, revision, "rolled-back", "no-contact")
    require_runs(web1, "newer")
    assert agent() == newer

with subtest("the unit is the new one's after a boot, too"):
    cut_power(web1)
    assert agent() == newer
