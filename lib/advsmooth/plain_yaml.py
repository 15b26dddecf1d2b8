"""The YAML of this repository: plain data in small files, without aliases, tags or keys that are given twice.

YAML can say much more, and a file that does can hang or fill the memory of whoever reads it: a few lines of aliases
stand for billions of entries.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from advsmooth.refusals import Refusal, one_line

LARGEST = 2**20
"""Bytes; the largest file of the repository has a twentieth of it."""


class YamlError(Refusal):
    """A file is not plain YAML; the message is one line."""


class _Loader(yaml.SafeLoader):
    """Refuses what the files of this repository do not need."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=event.start_mark)
        if getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(problem="tags are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float):
                raise yaml.MarkedYAMLError(problem="a key is a name or a number", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read(path: Path) -> Any:
    """The content of a file.

    Raises:
        YamlError: for anything but plain YAML in UTF-8; the message names the file, the line and what is wrong.
    """
    content = path.read_bytes()
    if len(content) > LARGEST:
        raise YamlError(f"{path.name}: {len(content):,} bytes; allowed are {LARGEST:,}")
    try:
        return yaml.load(content.decode("utf-8"), Loader=_Loader)
    except RecursionError:
        raise YamlError(f"{path.name}: not valid YAML (nested too deeply)") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # not UTF-8, an impossible date, a number without end
        raise YamlError(f"{path.name}: not valid YAML ({one_line(error, 200)})") from None
