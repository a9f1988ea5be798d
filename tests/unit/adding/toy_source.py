"""Source `Toy`: a figure for each revision that stands in the query itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from canarium.core.spec import Query
from canarium.metrics.sources.asking import Figure, RevisionReader
from canarium.outbound.errors import SourceError
from canarium.queries.promql import ArgumentType


@dataclass(frozen=True, slots=True)
class ToyQuery(Query):
    """Figures by the version that they are of."""

    figures: tuple[tuple[str, float], ...]
    bad: str = ""
    good: str = ""
    total: str = ""
    secret: str = ""
    timeout_seconds: float = 5.0


@dataclass(slots=True)
class ToyReader(RevisionReader[ToyQuery]):
    """Looks one revision's figure up."""

    query_type = ToyQuery

    @staticmethod
    def get_address(_query: ToyQuery) -> str:
        """Nobody is dialled."""
        return "http://toy.example"

    @staticmethod
    def describe(query: ToyQuery) -> str:
        """By how much it knows."""
        return f"Toy with {len(query.figures)} figures"

    @staticmethod
    def check(query: ToyQuery, _arguments: Mapping[str, ArgumentType]) -> tuple[str, ...]:
        """A query without a figure makes no sense."""
        return () if query.figures else ("no figures: write one for each version",)

    async def ask(self) -> Figure:
        """Find the figure of this revision's version."""
        found = dict(self.query.figures).get(self.values["version"])
        if found is None:
            raise SourceError(f"no figure for version {self.values['version']}")
        return found
