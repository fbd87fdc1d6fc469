"""Markdown pages as tests read them: links, headings, and shell blocks that are run in order."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[1]
SHELL: Final = "sh"
OUTPUT: Final = "text"
VARIES: Final = "varies"
"""In the info string of an output: all of its numbers are luck."""

_MARK: Final = "\x1e"
"""Parts the outputs of blocks: a character that no command prints."""
_LUCK: Final = {
    "id": r"\b(?:int|rec|rl|req|[a-z]+Policy|[a-z]+Cap)_[0-9a-f_-]{6,}",
    "hash": r"\b(?:[0-9a-f]{64}|[0-9a-f]{16})\b",
    "row": r'"(?:audit_|verified":)\d+',
    "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "day": r"\d{4}-\d\d-\d\d",
    "position": r'"(?:position|cursor|modelVersion)":\d+',
    "number": r"-?\d+\.\d+(?:e-?\d+)?",
}
"""What differs from run to run: what it looks like on the page."""
_ANY_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words behind its fence, its text, the line and the heading that it stands under."""

    words: tuple[str, ...]
    text: str
    line: int
    heading: str

    @property
    def language(self) -> str:
        """What it is written in."""
        return self.words[0] if self.words else ""


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of a page, with what the page says that they print; None where it says nothing."""

    commands: Block
    output: Block | None


def tokens(page: Path) -> list[Token]:
    """Return the page as markdown-it reads it, with tables as GitHub has them."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> list[Block]:
    """Return the page's fenced blocks."""
    found, heading = [], ""
    read = tokens(page)
    for place, token in enumerate(read):
        if token.type == "heading_open":
            heading = read[place + 1].content
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(tuple(token.info.split()), token.content, line, heading))
    return found


def steps(page: Path) -> list[Step]:
    """Return the page's shell blocks, each with the output block that follows it."""
    found = blocks(page)
    following = dict(zip([one.line for one in found], found[1:], strict=False))
    return [
        Step(one, after if (after := following.get(one.line)) is not None and after.language == OUTPUT else None)
        for one in found
        if one.language == SHELL
    ]


def links(page: Path) -> Iterator[str]:
    """Yield where the page's links and pictures point."""
    for token in tokens(page):
        for child in token.children or ():
            place = child.attrGet("href") or child.attrGet("src")
            if place:
                yield str(place)


def code_lines(page: Path) -> Iterator[str]:
    """Yield the lines of the page's code that call the program, those that `\\` parts as one."""
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            text = re.sub(r"<<'END'\n.*?^END$", "", token.content, flags=re.DOTALL | re.MULTILINE)
            yield from (
                line for line in text.replace("\\\n", " ").splitlines() if re.search(r"\brewardloop ", line)
            )


def code_spans(page: Path) -> Iterator[str]:
    """Yield what stands between backticks in the page's text."""
    for token in tokens(page):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and the built site give the page's headings."""
    read, found = tokens(page), set[str]()
    for place, token in enumerate(read):
        if token.type == "heading_open":
            text = "".join(child.content for child in read[place + 1].children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = sum(1 for one in found if re.fullmatch(re.escape(slug) + r"(-\d+)?", one))
            found.add(f"{slug}-{number}" if number else slug)
    return found


def a_clone(folder: Path) -> Path:
    """Make `folder` look like a clone in which `make run` has been run; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".rewardloop"}:
            (folder / entry.name).symlink_to(entry)
    return folder


def run(commands: Sequence[Block], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run blocks in one shell, one after the other, and return what each printed; a command that fails ends it."""
    script = "".join(f"printf '{_MARK}'\n{block.text}\n" for block in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    outputs = done.stdout.split(_MARK)[1:]
    assert done.returncode == 0, f"{commands[len(outputs) - 1].text}\n{outputs[-1]}\n{done.stderr}"
    return outputs


def check(ran: Sequence[Step], printed: Sequence[str]) -> None:
    """Fail unless every step printed what its page says, up to ids, times and luck."""
    for step, output in zip(ran, printed, strict=True):
        if step.output is not None:
            wanted = pattern(step.output)
            assert wanted.fullmatch(_bare(output)), (
                f"line {step.output.line}: {step.output.text}\nprinted:\n{output}"
            )


def pattern(block: Block) -> re.Pattern[str]:
    """Return what an output must match: white space does not count, `…` stands for anything."""
    kinds = {**_LUCK, "number": _ANY_NUMBER} if VARIES in block.words else _LUCK
    varying = re.compile("|".join(f"(?P<{kind}>{look})" for kind, look in kinds.items()))
    parts, end = [], 0
    text = _bare(block.text)
    for found in varying.finditer(text):
        parts += [_literal(text[end : found.start()]), f"(?:{_like(found.lastgroup or '', kinds)})"]
        end = found.end()
    return re.compile("".join([*parts, _literal(text[end:])]), re.DOTALL)


def _like(kind: str, kinds: Mapping[str, str]) -> str:
    return _ANY_NUMBER if kind == "number" else kinds[kind]


def _literal(text: str) -> str:
    return re.escape(text).replace("…", ".*?")


def _bare(text: str) -> str:
    return re.sub(r"\s", "", text)
