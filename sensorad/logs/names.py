"""Machine ids and operating modes as small integers that mean the same in every block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import SchemaError
from sensorad.logs.arrays import numpy_of
from sensorad.logs.failures import Place

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NameTable"]


class NameTable:
    """Names in order of first appearance; grows, never reorders.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = NameTable()
    >>> table.encode(pa.array(["pump B", "pump A", "pump B"])).tolist(), table.names
    ([0, 1, 0], ('pump B', 'pump A'))
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self._codes: dict[str, int] = {}

    def encode(
        self, array: pa.Array, column: str = "", place: Place | None = None, null_name: str | None = None
    ) -> NDArray[np.int32]:
        """Codes (T,) int32 into `names`; any type that has a text form will do.

        Raises
        ------
        SchemaError
            If a name is null or empty and there is no ``null_name`` to stand for it.
        """
        import pyarrow as pa

        if pa.types.is_string_view(array.type):
            array = array.cast(pa.large_string())
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
            words = array.dictionary.cast(pa.large_string()).to_pylist()  # in order of first appearance, all in use
            if array.null_count == 0 and all(words):
                return np.asarray(self._codes_of(words)[numpy_of(array.indices)])
        n_words = len(array.dictionary)
        words = [*array.dictionary.cast(pa.large_string()).to_pylist(), null_name]
        positions = numpy_of(array.indices.cast(pa.int64()).fill_null(n_words))
        _, first = np.unique(positions, return_index=True)
        codes = np.zeros(n_words + 1, np.int32)
        for row in np.sort(first):  # only names in use: a category without rows is not a machine
            word = words[positions[row]] or null_name
            if word is None:
                where = (place or Place()).at(column, row)
                raise SchemaError("a row has no name here", where=where, hint="fill the column or leave it out")
            codes[positions[row]] = self._codes.setdefault(word, len(self._codes))
        if len(self._codes) > len(self.names):
            self.names = tuple(self._codes)
        return np.asarray(codes[positions])

    def _codes_of(self, words: list[str]) -> NDArray[np.int32]:
        """Codes of names, the new ones in this order."""
        codes = np.array([self._codes.setdefault(word, len(self._codes)) for word in words], np.int32)
        if len(self._codes) > len(self.names):
            self.names = tuple(self._codes)
        return codes
