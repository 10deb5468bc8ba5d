"""What a recipe is: one published image experiment, run seed by seed on the trainer that sensors use.

A recipe names its tables. Each run with one seed fills some of their cells; the mean and the spread over seeds, and
paired differences between rows, are made of what the seeds gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from sensorad.errors import UsageError
from sensorad_datasets.images import ImageSet, load_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DEFAULT_SET", "Cell", "Difference", "Picture", "Plan", "Recipe", "SeedOutcome"]

DEFAULT_SET = "digits"
"""The set that comes with scikit-learn, so that every recipe runs where there is no data."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of one seed: ``measure`` (a column) of ``variant`` (a row) in ``table`` ("" = the only one)."""

    variant: str
    measure: str
    value: float
    table: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference that the page shows: measure of ``variant`` - that of ``beside``, over the same seeds."""

    variant: str
    beside: str
    measure: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure by name; ``draw`` fills an empty one."""

    name: str
    draw: Callable[[Figure], None]
    width: float = 6.0
    height: float = 4.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe is run on.

    Attributes
    ----------
    set_name
        "digits", "mnist" or "fashion_mnist"; recipes that need another one beside it take it by `images`.
    root
        Data folder; None: what the variable SENSORAD_DATA names.
    is_quick
        Everything as short as it can be and still run from end to end: for tests, not for results.
    is_guarded
        Restart a classifier that answers a constant after its first epoch with the next draw of weights. Off, such
        runs are counted and left out of the means, as in the published experiments.
    options
        Settings of recipes that take some, such as the folder of I16.
    """

    set_name: str = DEFAULT_SET
    root: str | None = None
    is_quick: bool = False
    is_guarded: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_small(self) -> bool:
        """Whether the set is the small one, on which protocols made for 60,000 images need other numbers of epochs."""
        return self.set_name == DEFAULT_SET

    def images(self, name: str | None = None) -> ImageSet:
        """The set by name, by default the plan's own."""
        return load_images(name or self.set_name, self.root)


@dataclass(slots=True)
class SeedOutcome:
    """What one seed gave.

    Attributes
    ----------
    cells
        The numbers.
    counts
        Things that are counted over seeds, such as "plain: collapsed".
    pictures
        Drawn of the first seed only; hold whatever arrays they need in their closure.
    notes
        Sentences for the page, the same for all seeds.
    """

    cells: list[Cell] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def put(self, variant: str, table: str = "", /, **measures: float) -> None:
        """Cells of one row; names of measures are shown with blanks for underscores."""
        self.cells += [Cell(variant, name, float(value), table) for name, value in measures.items()]

    def count(self, what: str, n: int = 1) -> None:
        """Add ``n`` to what is counted under that name; 0 makes it appear."""
        self.counts[what] = self.counts.get(what, 0) + n


@dataclass(frozen=True, slots=True)
class Recipe:
    """One row of the table of image experiments.

    Attributes
    ----------
    name
        "I1" to "I16".
    title
        A few words.
    run
        (plan, seed) -> what this seed gave. All randomness comes from the seed.
    sets
        Sets on which it makes sense, that of the published protocol first; "digits" is always among them, or the
        recipe makes its images itself and names "generated" alone.
    n_protocol_sets
        How many of ``sets``, from the first, the published protocol has.
    n_seeds
        Runs that its figures are meant from where nobody says another number.
    published
        (variant, measure as it is shown, with blanks) -> the figure of the source, as text.
    differences
        Paired differences to show.
    about
        Two or three sentences: the protocol, and the source.
    """

    name: str
    title: str
    run: Callable[[Plan, int], SeedOutcome]
    sets: tuple[str, ...] = ("mnist", DEFAULT_SET)
    published: Mapping[tuple[str, str], str] = field(default_factory=lambda: MappingProxyType({}))
    differences: tuple[Difference, ...] = ()
    about: str = ""
    n_protocol_sets: int = 1
    n_seeds: int = 5

    @property
    def protocol_sets(self) -> tuple[str, ...]:
        """Sets of the published protocol."""
        return self.sets[: self.n_protocol_sets]

    def plan(self, set_name: str | None, root: str | None, *, is_quick: bool = False) -> Plan:
        """A plan for the set, by default the small one; refused where the recipe is not made for it."""
        chosen = set_name or (DEFAULT_SET if DEFAULT_SET in self.sets else self.sets[0])
        if chosen not in self.sets:
            raise UsageError(
                f"{self.name} does not run on {chosen!r}", where="--data", hint=f"one of {', '.join(self.sets)}"
            )
        return Plan(chosen, root, is_quick)
