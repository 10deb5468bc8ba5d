"""What a cross-validated classification of states found, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.training.record import TrainingRecord
from sensorad_datasets.images.labelled import PartImages
from sensorad_datasets.recipes.states.config import StateConfig
from sensorad_datasets.recipes.states.folds import Fold

__all__ = ["StateResult", "macro_f1"]


@dataclass(frozen=True, slots=True)
class StateResult:
    """Figures of a cross-validation; every image is judged by the one network that has not learned from it.

    Attributes
    ----------
    config
        How it was done.
    class_names
        product-state of each class.
    counts
        Images of each class.
    fold_macro_f1
        Of each fold over its own classes.
    macro_f1
        Over all images together, which is not the mean of the folds: a rare class may have one image in a fold.
    accuracy
        Share of images given their own class.
    class_f1
        Of each class over all images together; None: none of its images was judged.
    confusion
        Row: true class, column: answer.
    unjudged
        Classes that no fold judges, because they have one image.
    mistakes
        (file or number of the image, true class, answer, its probability), the most confident first.
    records
        How the training of each fold went.
    """

    config: StateConfig
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    fold_macro_f1: tuple[float, ...]
    macro_f1: float
    accuracy: float
    class_f1: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    unjudged: tuple[str, ...]
    mistakes: tuple[tuple[str, str, str, float], ...]
    records: tuple[TrainingRecord, ...]

    @classmethod
    def judged(
        cls,
        parts: PartImages,
        config: StateConfig,
        folds: Sequence[Fold],
        answers: NDArray[np.float64],
        records: Sequence[TrainingRecord],
    ) -> StateResult:
        """The figures of answers (N, K), probabilities; a row of NaN is an image that no fold judged."""
        from sklearn.metrics import confusion_matrix, f1_score

        n_classes, names = len(parts.classes), parts.class_names
        is_judged = np.isfinite(answers).all(1)
        found = np.where(is_judged, np.nan_to_num(answers).argmax(1), -1)  # (N,)
        truth, answered = parts.labels[is_judged], found[is_judged]
        every = np.arange(n_classes)
        each = f1_score(truth, answered, labels=every, average=None, zero_division=0.0)
        is_seen = np.isin(every, truth)
        wrong = np.flatnonzero(is_judged & (found != parts.labels))
        wrong = wrong[np.argsort(-answers[wrong, found[wrong]], kind="stable")]
        return cls(
            config=config,
            class_names=names,
            counts=tuple(parts.counts().values()),
            fold_macro_f1=tuple(macro_f1(parts.labels[fold.validation], found[fold.validation]) for fold in folds),
            macro_f1=macro_f1(truth, answered),
            accuracy=float((truth == answered).mean()),
            class_f1=tuple(float(value) if seen else None for value, seen in zip(each, is_seen, strict=True)),
            confusion=tuple(map(tuple, confusion_matrix(truth, answered, labels=every).tolist())),
            unjudged=tuple(name for name, seen in zip(names, is_seen, strict=True) if not seen),
            mistakes=tuple(
                (
                    parts.files[at] if parts.files else str(at),
                    names[parts.labels[at]],
                    names[found[at]],
                    float(answers[at, found[at]]),
                )
                for at in wrong
            ),
            records=tuple(records),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        row = asdict(self)
        row["config"] = self.config.to_json()
        row["records"] = [record.to_json() for record in self.records]
        row["class_f1"] = dict(zip(self.class_names, self.class_f1, strict=True))
        row["counts"] = dict(zip(self.class_names, self.counts, strict=True))
        return row


def macro_f1(truth: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that are there in truth; a class never answered rightly counts as 0.

    Examples
    --------
    >>> macro_f1(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    0.8333333333333333
    """
    from sklearn.metrics import f1_score

    return float(f1_score(truth, answers, labels=np.unique(truth), average="macro", zero_division=0.0))
