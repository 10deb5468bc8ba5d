"""The networks of all folds as one classifier, and that classifier in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.artefact.atomic import fresh_directory, write_durably
from sensorad.artefact.strict_json import parse_object
from sensorad.artefact.tensors import HEADER_PREFIX, cut_arrays, encode_arrays, header_length, parse_header
from sensorad.errors import ArtefactError, StorageError, UsageError
from sensorad.models.backbone_classifier import BackboneClassifier
from sensorad.models.weights import load_state_arrays, state_arrays
from sensorad_datasets.recipes.states.config import StateConfig
from sensorad_datasets.recipes.states.network import state_network
from sensorad_datasets.recipes.states.result import StateResult

__all__ = ["StateEnsemble", "probabilities"]

CLASSES, RESULT = "classifier.json", "result.json"
FORMAT = 1
MOST_NETWORKS = 100
BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class StateEnsemble:
    """Classifies by the mean of the probabilities that the networks give.

    Attributes
    ----------
    networks
        One for each fold, in evaluation.
    class_names
        product-state of each class.
    config
        How they were trained; the size of the images among it.
    """

    networks: tuple[BackboneClassifier, ...]
    class_names: tuple[str, ...]
    config: StateConfig

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each class (N, K) for images (N, 3, H, W) in [0, 1] of the size that the networks were trained on.

        Raises
        ------
        UsageError
            Images of another shape.
        """
        mean: NDArray[np.float64] = self.each(images).mean(0)
        return mean

    def each(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each network gives, (networks, N, K); otherwise as `probabilities` has it."""
        side = self.config.size
        if images.shape[1:] != (3, side, side):
            raise UsageError(
                f"images (N, 3, {side}, {side}) expected, got {images.shape}", where="classifier of states"
            )
        return np.stack([probabilities(network, torch.from_numpy(images)) for network in self.networks])

    def save(self, directory: str | Path, result: StateResult | None = None, *, force: bool = False) -> Path:
        """Write the folder whole or not at all: what it is and the result as JSON, weights as safetensors.

        Raises
        ------
        StorageError
            The folder exists and ``force`` is not set, or the file system refuses.
        ArtefactError
            A weight that is not finite.
        """
        target = Path(directory)
        files = {
            _weight_name(at): encode_arrays(state_arrays(network), where=_weight_name(at))
            for at, network in enumerate(self.networks)
        }
        about = {
            "format": FORMAT,
            "classes": list(self.class_names),
            "config": self.config.to_json(),
            "networks": len(self.networks),
        }
        files[CLASSES] = json.dumps(about, indent=1).encode()
        if result is not None:
            files[RESULT] = json.dumps(result.to_json(), indent=1).encode()
        owned = {CLASSES, RESULT, *(_weight_name(at) for at in range(MOST_NETWORKS))}
        try:
            with fresh_directory(target, force=force, owned=owned) as staging:
                for name, content in files.items():
                    write_durably(staging / name, content)
        except OSError as error:
            raise StorageError(f"cannot write the classifier: {error.strerror}", where=str(target)) from error
        return target

    @classmethod
    def load(cls, directory: str | Path) -> StateEnsemble:
        """What `save` wrote; nothing in the folder is run, and nothing but the folder is read.

        Raises
        ------
        StorageError
            A file cannot be read.
        ArtefactError
            A file is damaged or belongs to another configuration.
        UsageError
            The backbone's package is not installed.
        """
        folder = Path(directory)
        about = parse_object(_read(folder / CLASSES), where=str(folder / CLASSES))
        names, n_networks = about.get("classes"), about.get("networks")
        if about.get("format") != FORMAT or not isinstance(names, list) or not isinstance(n_networks, int):
            raise ArtefactError("not a classifier of states, or a newer one", where=str(folder / CLASSES))
        is_named = len(names) > 1 and all(isinstance(name, str) for name in names)
        if not (is_named and 1 <= n_networks <= MOST_NETWORKS):
            raise ArtefactError("classes or networks are missing", where=str(folder / CLASSES))
        try:
            config = StateConfig.from_json(about["config"])
        except (UsageError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise ArtefactError(f"settings that cannot be: {error}", where=str(folder / CLASSES)) from error
        networks = []
        for at in range(n_networks):
            # First weights are all replaced: published ones need not be there to read a trained network.
            network = state_network(config, len(names), [0.0] * 3, [1.0] * 3, 0, is_bare=True)
            load_state_arrays(network, _arrays(folder / _weight_name(at)))
            networks.append(network.eval())
        return cls(tuple(networks), tuple(names), config)


def probabilities(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Of each class (N, K), by a network in evaluation."""
    network.eval()
    with torch.inference_mode():
        parts = [network(part).double().softmax(1) for part in torch.split(images, BATCH)]
    found: NDArray[np.float64] = torch.cat(parts).numpy()
    return found


def _weight_name(at: int) -> str:
    return f"fold-{at + 1}.safetensors"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read a file of the classifier: {error.strerror}", where=str(path)) from error


def _arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    content, where = _read(path), str(path)
    body = HEADER_PREFIX + header_length(content[:HEADER_PREFIX], len(content), where=where)
    entries = parse_header(content[HEADER_PREFIX:body], len(content) - body, where=where)
    return cut_arrays(content[body:], entries, where=where)
