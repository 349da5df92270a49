"""Names of types that end in a version, and the name and version that Amazon keeps apart. Everything else knows the whole name only."""

from collections.abc import Mapping
from typing import Any

from pyworkflow.errors import InvalidRequestError
from pyworkflow.values import check_name

Told = dict[str, Any]

_TYPES = ("workflowType", "activityType")
_REGISTER = ("register_workflow_type", "register_activity_type")


class TypeNames:
    """Translates the types in requests and answers, on their way to Amazon and back."""

    def __init__(self) -> None:
        self._apart: dict[str, Told] = {}
        self._whole: dict[tuple[str, str], str] = {}

    def add(self, versions: Mapping[str, str]) -> None:
        """Keep the versions of some names apart.

        Args:
            versions: Whole names and the versions that they end in, behind a hyphen.

        Raises:
            InvalidRequestError: A name does not end so, or a version cannot be.
        """
        for whole, version in versions.items():
            check_name(version, "version")
            name = whole.removesuffix(f"-{version}")
            if name in ("", whole):
                told = f"must end in a hyphen and its version, {version!r}"
                raise InvalidRequestError(f"type {whole!r}", told)
            self._apart[whole] = {"name": name, "version": version}
            self._whole[name, version] = whole

    def to_swf(self, operation: str, given: Told) -> Told:
        """Return a request as Amazon reads it."""
        if not self._apart:
            return given
        if operation in _REGISTER:
            return given | self._apart.get(given["name"], {})
        told = given | self._split(given)
        if "typeFilter" in given:
            told["typeFilter"] = self._of(given["typeFilter"])
        if "decisions" in given:
            told["decisions"] = [self._decision(decision) for decision in given["decisions"]]
        return told

    def _decision(self, decision: Told) -> Told:
        attributes = {key: value for key, value in decision.items() if key.endswith("Attributes")}
        return decision | {key: value | self._split(value) for key, value in attributes.items()}

    def _split(self, given: Told) -> Told:
        return {key: self._of(given[key]) for key in _TYPES if key in given}

    def _of(self, named: Told) -> Told:
        return named | self._apart.get(named["name"], {})

    def from_swf(self, answer: Told) -> Told:
        """Return an answer of Amazon with whole names."""
        if not self._apart:
            return answer
        joined = answer | self._joined(answer)
        for key in ("events", "executionInfos"):
            if key in answer:
                joined[key] = [self._inside(item) for item in answer[key]]
        if "executionInfo" in answer:
            joined["executionInfo"] = self._inside(answer["executionInfo"])
        return joined

    def _inside(self, item: Told) -> Told:
        """Return an item with whole names: of its own type, or of the one in its attributes."""
        joined = item | self._joined(item)
        for key, value in item.items():
            if key.endswith("Attributes") and (types := self._joined(value)):
                joined[key] = value | types
        return joined

    def _joined(self, told: Told) -> Told:
        found: Told = {}
        for key in _TYPES:
            named = told.get(key)
            if named is not None:
                whole = self._whole.get((named["name"], named["version"]))
                if whole is not None:
                    found[key] = named | {"name": whole}
        return found
