"""The docs tell what is there: links, commands, settings, routes, models."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import typer

from learners.models import MODELS
from serve.app import build_app
from serve.cli import COMMANDS, command_line
from serve.settings import CLIENT_VARIABLES, PREFIX, Settings
from tests.pages import ROOT, Block, anchors, code_lines, code_spans, links, pattern, steps

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
PLACES = re.compile(r"(?<![\w.])/(?:work|root|home|tmp|Users)/\S+")
"""Paths that are true on one machine only."""
HOSTS = {"127.0.0.1", "localhost", "arxiv.org", "docs.ray.io", "github.com"}
"""What pages may link to: no address of a mirror or of somebody's own machine."""
WORDS = {
    "tenant",
    "offer",
    "creative",
    "channel",
    "decision",
    "outcome",
    "classification",
    "reward",
    "propensity",
} | {"entry", "position", "fold", "shard", "snapshot", "checkpoint", "epoch"}
OPERATORS = set("();<>|&")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=named)


@each_page()
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@each_page()
def test_nothing_is_true_on_one_machine_only(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert PLACES.findall(text) == []
    assert set(re.findall(r"https?://([\w.-]+)", text)) <= HOSTS
    assert "index-url" not in text


@each_page()
def test_settings_that_are_mentioned_exist(page: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES | {PREFIX}
    assert set(re.findall(r"\bREWARDLOOP_\w*", page.read_text(encoding="utf-8"))) <= known


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that is called, and its arguments."""
    command: Any = typer.main.get_command(command_line())
    arguments = words
    while (known := getattr(command, "commands", None)) is not None:
        name = next((word for word in arguments if not word.startswith("-")), "")
        assert name in known, " ".join(words)
        command, arguments = known[name], arguments[arguments.index(name) + 1 :]
    return command, arguments


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of the program in a line of shell."""
    reading = shlex.shlex(line, posix=True, punctuation_chars=True)
    reading.whitespace_split = True
    words: list[str] = []
    for word in [*reading, ";"]:
        if not set(word) <= OPERATORS:
            words.append(word)
        else:
            if words and words[0].split("/")[-1] == "rewardloop":
                yield words[1:]
            words = []


@each_page()
def test_the_program_takes_every_command_line(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in code_lines(page):
        for words in calls(line):
            command, arguments = command_of(words)
            for file in (tmp_path / word for word in arguments if re.fullmatch(r"[\w.][\w./-]*\.[\w./-]+", word)):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()  # some commands want what they read to be there
            command.make_context("rewardloop", arguments)


@each_page()
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    for span in code_spans(page):
        if span.startswith("rewardloop ") and not span.startswith("rewardloop --"):
            command, _ = command_of(span.split()[1:])
            options = {name for parameter in command.params for name in parameter.opts}
            assert set(re.findall(r"--[\w-]+", span)) <= options | {"--help"}, span


@each_page()
def test_shell_blocks_are_shell(page: Path) -> None:
    for step in steps(page):
        subprocess.run(["bash", "-n", "-c", step.commands.text], check=True)


def test_an_output_may_differ_in_what_is_luck_only() -> None:
    def agree(shown: str, printed: str, *words: str) -> bool:
        return pattern(Block(("text", *words), shown, 1, "")).fullmatch("".join(printed.split())) is not None

    shown = '{"interactionId": "int_0123456789abcdef", "offerId": "boots", "pulls": 3, "mean": 0.25, …}'
    assert agree(shown, '{"interactionId":"int_ffff456789abcdef","offerId":"boots","pulls":3,"mean":1,"more":[1]}')
    assert not agree(
        shown, '{"interactionId":"int_ffff456789abcdef","offerId":"boots","pulls":4,"mean":1,"more":[1]}'
    )
    assert not agree(
        shown, '{"interactionId":"int_ffff456789abcdef","offerId":"shoes","pulls":3,"mean":1,"more":[1]}'
    )
    assert agree(shown, '{"interactionId":"int_ffff456789abcdef","offerId":"boots","pulls":4,"mean":1,}', "varies")
    assert agree("at 2026-01-02T03:04:05.678Z", "at 2027-11-12T13:14:15.000Z")
    assert not agree("at 2026-01-02T03:04:05.678Z", "at noon")


def test_a_wrong_command_is_found() -> None:
    [[*words]] = calls("export KEY=$(./bin/rewardloop keys create --tenent shop)")
    command, arguments = command_of(words)
    with pytest.raises(Exception, match="--tenent"):
        command.make_context("rewardloop", arguments)
    with pytest.raises(AssertionError):
        command_of(["keys", "steal"])


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(REWARDLOOP_\w+)` \| (.+?) \|", text_of("docs/settings.md"), flags=re.MULTILINE))
    fields = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        assert field.description, name
        assert rows[name] == ("none" if field.default is None else f"`{field.default}`"), name
        assert field.description.rstrip(".") in text_of("docs/settings.md"), name


def test_every_command_is_documented() -> None:
    for name in COMMANDS:
        assert f"`rewardloop {name}" in text_of("docs/commands.md"), name


def test_every_key_of_a_models_configuration_is_documented() -> None:
    text = text_of("docs/models.md")
    for name, (config, _) in MODELS.items():
        assert re.search(rf"^## .*\b{name}\b", text, flags=re.MULTILINE), name
        for field in config.model_fields.values():
            assert f"`{field.alias}`" in text, field.alias
            assert field.description, field.alias


def test_every_route_is_in_the_openapi_document_and_in_the_api_doc() -> None:
    for path in build_app(nullcontext).openapi()["paths"]:  # type: ignore[arg-type]
        assert path.removeprefix("/api/v1").split("/{")[0] in text_of("docs/api.md"), path


def test_the_words_of_the_domain_are_explained() -> None:
    bold = set(re.findall(r"\*\*(\w+)\*\*", text_of("docs/concepts.md")))
    assert bold >= WORDS


def test_the_picture_of_regret_ends_where_the_table_does() -> None:
    drawn = text_of("docs/pictures/regret.svg")
    best: dict[str, float] = {}
    for entry in json.loads(text_of("benchmarks/results/learning.json"))["libraries"]["rewardloop"]["policies"]:
        regret = fmean(run["regret"] for run in entry["runs"])
        best[entry["policy"]] = min(regret, best.get(entry["policy"], regret))
    assert set(best) == set(MODELS)
    for name, regret in best.items():
        assert f">{name} {regret:,.0f}<" in drawn, name


def test_pictures_need_nothing_from_elsewhere() -> None:
    for picture in (ROOT / "docs" / "pictures").glob("*.svg"):
        text = picture.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "prefers-color-scheme: dark" in text, picture
        assert re.findall(r"https?:|<script|@import", text) == [], picture
