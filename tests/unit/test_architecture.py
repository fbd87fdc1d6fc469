"""The rules of the house: who imports whom, and docs that tell what is there."""

import ast
import re
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from learners.models import MODELS
from serve.app import build_app
from serve.cli import app
from serve.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("storage", "learners", "serve")
ALLOWED = {"storage": {"storage"}, "learners": {"learners", "storage"}, "serve": {"serve", "learners", "storage"}}
MAY_IMPORT_RAY = {
    "learners/actor.py",
    "learners/remote.py",
    "learners/replay_runner.py",
    "serve/cluster.py",
    "serve/deployment.py",
}
MAY_IMPORT_RAY_SERVE = {"serve/deployment.py"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    own = {name.split(".")[0] for name in imports(path)} & set(PACKAGES)
    assert own <= ALLOWED[place.split("/", maxsplit=1)[0]]
    ray = {name for name in imports(path) if name.split(".")[0] == "ray"}
    assert not ray or place in MAY_IMPORT_RAY
    assert not any(name.startswith("ray.serve") for name in ray) or place in MAY_IMPORT_RAY_SERVE


def test_models_need_neither_ray_nor_redis() -> None:
    for path in (*(ROOT / "learners" / "models").glob("*.py"), ROOT / "learners" / "shard.py"):
        assert not {"ray", "redis"} & {name.split(".")[0] for name in imports(path)}


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(REWARDLOOP_\w+)` \| (.+?) \|", text, flags=re.MULTILINE))
    fields = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        assert field.description, name
        assert rows[name] == ("none" if field.default is None else f"`{field.default}`"), name
        assert field.description.rstrip(".") in text, name


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    names = [command.name for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        names += [f"{group.name} {command.name}" for command in group.typer_instance.registered_commands]
    for name in names:
        assert f"`rewardloop {name}" in text, name


def test_names_of_lua_files_are_those_that_are_called() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "storage").glob("*.py"))
    for path in (ROOT / "storage" / "lua").glob("*.lua"):
        assert f'"{path.stem}"' in source, path.name


def test_python_is_one_we_run_on() -> None:
    assert (3, 11) <= sys.version_info[:2] < (3, 13)


def test_every_key_of_a_models_configuration_is_documented() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for name, (config, _) in MODELS.items():
        assert re.search(rf"^## .*\b{name}\b", text, flags=re.MULTILINE), name
        for field in config.model_fields.values():
            assert f"`{field.alias}`" in text, field.alias
            assert field.description, field.alias


def test_every_route_is_in_the_openapi_document_and_in_the_api_doc() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for path in build_app(nullcontext).openapi()["paths"]:  # type: ignore[arg-type]
        assert path.removeprefix("/api/v1").split("/{")[0] in text, path
