"""I12: a linear autoencoder with squared errors finds the subspace of the principal components."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Reconstruction

from . import pictures
from .base import Plan, Recipe, SeedOutcome
from .training import seeded, train

__all__ = ["RECIPE", "LinearFit", "least_squares_subspace", "linear_fit", "principal_subspace"]

CODE = 32
"""Of images."""

SPREADS = (2.0, 1.0, 0.3)
"""Of the points in three dimensions, along axes that are turned at random."""

FULL_BATCH = TrainConfig(
    epochs=1_500, batch_size=100_000, learning_rate=0.02, scheduler="cosine", patience=None, gradient_clip=None
)
"""Of the points: every step sees all of them, and the steps shrink to nothing."""

MINI_BATCH = replace(FULL_BATCH, epochs=10, batch_size=128, learning_rate=2e-3)
"""Of images."""


@dataclass(frozen=True, slots=True)
class LinearFit:
    """A linear autoencoder beside principal components of as many dimensions.

    Attributes
    ----------
    angles
        Between the subspaces that the two can write, in degrees, largest first.
    excess
        By how much the mean squared error on the training data is larger, as a share of that of the components.
    """

    angles: NDArray[np.float64]
    excess: float


def principal_subspace(centred: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """Orthonormal columns (F, rank) of the most variance, of rows (N, F) with mean 0."""
    vectors: NDArray[np.float64] = np.linalg.eigh(centred.T @ centred)[1]
    return vectors[:, ::-1][:, :rank]


def least_squares_subspace(
    centred: NDArray[np.float64], rank: int, generator: torch.Generator, rounds: int = 3_000
) -> NDArray[np.float64]:
    """What the decoder of a linear autoencoder of rows (N, F) can write, (F, rank), trained in closed form.

    Encoder and decoder in turn are set to their least-squares solution while the other is kept: no rate, no batches,
    and no local optimum but the global one (Baldi and Hornik, "Neural networks and principal component analysis",
    Neural Networks 2, 1989).

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(500, 3)) * [2.0, 1.0, 0.3]
    >>> found = least_squares_subspace(rows, 2, torch.Generator().manual_seed(0))
    >>> linear_fit(found, rows).angles.round(4).tolist()
    [0.0, 0.0]
    """
    gram = centred.T @ centred / len(centred)  # (F, F)
    decoder = torch.randn(gram.shape[0], rank, generator=generator, dtype=torch.float64).numpy()
    for _ in range(rounds):
        encoder = np.linalg.solve(decoder.T @ decoder, decoder.T).T  # (F, rank)
        coded = gram @ encoder  # (F, rank)
        before, decoder = decoder, np.linalg.solve(encoder.T @ coded, coded.T).T
        if np.abs(decoder - before).max() <= 1e-12 * np.abs(decoder).max():
            break
    return decoder


def linear_fit(decoder: NDArray[np.float64], centred: NDArray[np.float64], error: float | None = None) -> LinearFit:
    """What ``decoder`` (F, rank) can write, beside the principal components of the same rows (N, F).

    ``error`` is the mean squared error that the autoencoder reached; None: that of the projection on its subspace.
    """
    from scipy.linalg import subspace_angles

    components = principal_subspace(centred, decoder.shape[1])
    basis = np.linalg.qr(decoder)[0]
    reached = _projection_error(centred, basis) if error is None else error
    angles = np.sort(np.degrees(subspace_angles(decoder, components)))[::-1]
    return LinearFit(angles, reached / _projection_error(centred, components) - 1.0)


def _run(plan: Plan, seed: int) -> SeedOutcome:
    outcome = SeedOutcome()
    points, flat = _points(seed), torch.from_numpy(plan.images().train).flatten(1)
    if plan.is_quick:
        flat = flat[:400]
    code = min(CODE, flat.shape[1] // 4)
    found = {}
    for table, rows, rank, config in (
        ("Points, 3 -> 2", points, 2, replace(FULL_BATCH, epochs=300) if plan.is_quick else FULL_BATCH),
        (f"Images, {flat.shape[1]} -> {code}", flat, code, _config_for(plan)),
    ):
        centred = rows - rows.mean(0)
        exact = centred.double().numpy()
        network = DenseAutoencoder(rows.shape[1], DenseConfig(widths=(rank,), activation="linear"), seeded(seed, rank))
        train(network, Reconstruction(), centred, seeded(seed, rank, 1), config)
        fits = {
            "trained by steps": linear_fit(_written(network), exact, _error(network, centred)),
            "least squares": linear_fit(least_squares_subspace(exact, rank, seeded(seed, rank, 2)), exact),
        }
        for variant, fit in fits.items():
            outcome.put(
                variant,
                table,
                largest_angle=float(fit.angles[0]),
                median_angle=float(np.median(fit.angles)),
                excess_loss_in_percent=100.0 * fit.excess,
            )
        found = {variant: fit.angles[::-1] for variant, fit in fits.items()}
    outcome.pictures.append(
        pictures.curves(
            "angles", found, "angle to the principal subspace in degrees", xlabel="direction, nearest first"
        )
    )
    return outcome


def _points(seed: int, n_points: int = 600) -> Tensor:
    """(N, 3) float32, flat in a direction of their own."""
    generator = seeded(seed, 0)
    turned = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    points: Tensor = torch.randn(n_points, 3, generator=generator) * torch.tensor(SPREADS) @ turned.T
    return points


def _config_for(plan: Plan) -> TrainConfig:
    if not plan.is_small:
        return replace(MINI_BATCH, epochs=1) if plan.is_quick else MINI_BATCH
    return replace(MINI_BATCH, epochs=20 if plan.is_quick else 300, batch_size=64)


def _written(network: DenseAutoencoder) -> NDArray[np.float64]:
    """Columns (F, code) of the decoder."""
    columns: NDArray[np.float64] = network.decoder.get_parameter("0.weight").detach().double().numpy()
    return columns


def _error(network: DenseAutoencoder, rows: Tensor) -> float:
    with torch.inference_mode():
        return float((network(rows) - rows).double().square().mean())


def _projection_error(centred: NDArray[np.float64], basis: NDArray[np.float64]) -> float:
    """Mean square of what the projection on orthonormal columns (F, rank) leaves of rows (N, F)."""
    return float((np.square(centred).sum() - np.square(centred @ basis).sum()) / centred.size)


RECIPE = Recipe(
    "I12",
    "Linear autoencoder and principal components",
    _run,
    sets=("mnist", "fashion_mnist", "digits"),
    published={("least squares", "largest angle"): "equal subspaces"},
    about="An autoencoder without activations, trained for squared errors on centred data, against the principal "
    "components of as many dimensions (Baldi and Hornik 1989): angles between the subspaces in degrees, and the loss "
    "on the training data above that of the components. In closed form they are the same. In mini-batches the last "
    "directions stay far from theirs, because neighbouring eigenvalues are close: the loss hardly tells.",
)
