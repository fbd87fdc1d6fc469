"""docs/quickstart.md: every command of it is run, in order, in what looks like a fresh clone."""

import re
import shlex
import subprocess
from pathlib import Path

from tests.pages import ROOT, Step, a_clone, check, run, steps
from tests.service import START_S, STOP_S, environment_of, free_port, until

PAGE = ROOT / "docs" / "quickstart.md"


def bought(step: Step, output: str) -> int:
    """Return how many of 400 simulated customers bought."""
    assert step.commands.text.startswith("python examples/customers.py 400")
    total = re.search(r"^all +400 +(\d+)$", output, flags=re.MULTILINE)
    assert total is not None, output
    return int(total[1])


def believed(output: str) -> dict[str, float]:
    """Return how wide the interval of each offer is."""
    rows = re.findall(r"^(\w+) +\d+ answers, \S+ buy \((\S+) to (\S+)\)$", output, flags=re.MULTILINE)
    return {offer: float(upper) - float(lower) for offer, lower, upper in rows}


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    clone = a_clone(tmp_path / "clone")
    environment = environment_of(tmp_path / "data", free_port())
    start, *rest = steps(PAGE)
    with (tmp_path / "out.txt").open("w+") as out:
        service = subprocess.Popen(shlex.split(start.commands.text), cwd=clone, env=environment, stdout=out)

        def shown() -> str:
            out.seek(0)
            return out.read()

        try:
            until(lambda: "\nready " in shown() or service.poll() is not None, START_S, "the service is up")
            check([start], [re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", shown())])
            printed = run([step.commands for step in rest], environment, clone)
            check(rest, printed)
            assert service.wait(STOP_S) == 0
        finally:
            if service.poll() is None:
                service.terminate()  # make passes this on
                service.wait(STOP_S)
    few, many, promoted = (
        (step, output) for step, output in zip(rest, printed, strict=True) if "examples/" in step.commands.text
    )
    before, after = believed(few[1]), believed(many[1])
    assert set(before) == set(after) == {"boots", "trainers", "umbrella"}
    assert after["boots"] < before["boots"], "what is shown often is known better"
    # Of 400 customers some 100 buy from a model that cannot tell ages apart, some 170 from one that can; the
    # difference has a standard error of 14.
    assert bought(*promoted) > bought(*many)
