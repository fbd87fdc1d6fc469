"""Ask for known vulnerabilities of what is locked, and write a bill of materials: `make audit`.

It ends with 1 where something is known to be vulnerable, and with 0 where nothing is, or where nobody could be
asked: then it says so.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def verdict(report: dict[str, Any]) -> tuple[list[str], int]:
    """Return what a report of pip-audit says, and how many packages it is about."""
    asked = [one for one in report["dependencies"] if "skip_reason" not in one]
    said = [
        f"{one['name']} {one['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for one in asked
        for known in one["vulns"]
    ]
    return said, len(asked)


def reports(lock: Path) -> dict[str, Any]:
    """Return pip-audit's report, of the first source that answers; an empty one if none does."""
    for source in ("pypi", "osv"):
        command = ["pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip", "--format", "json"]
        done = subprocess.run(
            [sys.executable, "-m", *command, "--progress-spinner", "off", "--vulnerability-service", source],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.startswith("{"):
            report: dict[str, Any] = json.loads(done.stdout)
            if verdict(report)[1]:
                return report
    return {"dependencies": []}


def main(lock: Path, folder: Path) -> int:
    """Write `sbom.json` in the folder; print what is known; return the command's exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    bill = folder / "sbom.json"
    made = ["cyclonedx_py", "requirements", str(lock), "--output-file", str(bill)]
    subprocess.run([sys.executable, "-m", *made], check=True)
    print(f"{bill}: {len(json.loads(bill.read_text())['components'])} components")
    said, asked = verdict(reports(lock))
    for line in said:
        print(line)
    if asked:
        print(f"{lock}: {asked} packages looked up, {len(said)} vulnerabilities known")
    else:
        print(f"{lock}: no source of vulnerabilities could be asked, so nothing is known either way")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
