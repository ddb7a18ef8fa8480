"""The record in a weights file of the inputs that its weights were built for (W4)."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from flaxlayer.inputs import BuildInputs
from flaxlayer.saving.build_config import encode_inputs
from flaxlayer.saving.fields import check_mapping, count_values, refuse
from flaxlayer.saving.stored_arrays import ArrayHeader, find_problems, read_array
from flaxlayer.typing import Json, KerasStore
from flaxlayer_core import EncodeModuleError

__all__ = ["RECORD", "encode_record", "read_record"]

# `store_key` makes no name that begins with a percent sign, unless two digits follow it.
RECORD = "%inputs"
_MAX_BYTES, _MAX_VALUES = 1 << 24, 1 << 20
_EXPANSION = 100


def encode_record(inputs: BuildInputs | None) -> Json:
    """Returns the inputs of a build as the array of a file, None for a layer that is not built."""
    return np.frombuffer(json.dumps(_record(inputs)).encode(), np.uint8)


def _record(inputs: BuildInputs | None) -> Json:
    try:
        return encode_inputs(inputs)
    except EncodeModuleError as error:  # the weights can be stored all the same
        return {"unknown": str(error)}


def read_record(store: KerasStore) -> Mapping[str, Json] | None:
    """Returns what a file records of the inputs, None where they are not known.

    What it names is not looked up: a layer that is built needs none of it.

    Args:
        store: What the file has for a layer.

    Raises:
        DecodeModuleError: If the record is refused.
    """
    problem = find_problems(store, [RECORD], _no_record).get(RECORD)
    array = problem or read_array(store, RECORD)
    if not isinstance(array, np.ndarray):
        raise refuse(RECORD, expected="JSON text as bytes", found=array)
    content = array.tobytes()
    values = count_values(content)
    if values > _MAX_VALUES:
        raise refuse(RECORD, expected="the inputs of a layer", found=f"{values:,} values")
    try:
        record = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise refuse(RECORD, expected="JSON text as bytes", found=error) from error
    known = None if record is None else check_mapping(record, RECORD)
    return known if known is not None and "arguments" in known else None


def _no_record(key: str, header: ArrayHeader) -> str:
    packed = header.stored is not None and header.nbytes > _EXPANSION * header.stored
    fits = header.dtype == np.uint8 and len(header.shape) == 1 and header.nbytes <= _MAX_BYTES
    return "" if fits and not packed else f"{key} is {header.dtype}{list(header.shape)}"
