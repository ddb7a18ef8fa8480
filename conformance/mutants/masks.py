"""Keras masks, into the method and on to the outputs (A4)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A4", kind="masks")

MASKS = "flaxlayer/calls/keras_masks.py"
PLAN = "flaxlayer_core/discovery/masks/mask_plan.py"
LAYER = "flaxlayer/calls/module_layer.py"

enter(
    "A mask beside static arguments is lost",
    LAYER,
    "return list(args), packed.structure, dict(record.masks) if record else {}",
    "return list(args), packed.structure, {}",
)
enter(
    "Each output carries the mask of the first array on",
    MASKS,
    "record.carried = [places.get(id(leaf)) for leaf in flat]",
    "record.carried = [next(iter(record.masks), None) for leaf in flat]",
)
enter(
    "An output carries the mask on where its first dimension is the same",
    PLAN,
    "        if first[:rank] != shape[:rank]:\n            return False\n",
    "        if first[:1] != shape[:1]:\n            return False\n        rank = 1\n",
)
enter(
    "Attention gets the mask over queries instead of keys",
    MASKS,
    "mask if form is MaskForm.LEADING else mask[..., None, None, :]",
    "mask if form is MaskForm.LEADING else mask[..., None, :, None]",
)
enter(
    "Attention gets no mask",
    PLAN,
    "if source is not None and self.question.ranks[source] > 1:",
    "if source is not None and self.question.ranks[source] > 2:",
)
enter(
    "An eager call on a tensor that carries a mask passes it by",
    "flaxlayer/compat/private_keras.py",
    "        if keras_backend.get_keras_mask(array) is not None:\n            return False\n",
    "        if keras_backend.get_keras_mask(array) is not None:\n            continue\n",
)
enter(
    "A mask that the caller gives is replaced by the one that travels",
    "flaxlayer_core/modules/signatures.py",
    "by_keyword = {name for name, value in kwargs.items() if value is not None}",
    "by_keyword = set()",
)
enter(
    "The mask of a further argument goes nowhere",
    PLAN,
    "if method.takes_masks and len(set(self.names)) > 1:",
    "if method.takes_masks and len(set(self.names)) > 2:",
)
enter(
    "A mask goes where the user wants none",
    "flaxlayer_core/modules/signatures.py",
    "        elif mask_arg is not None:\n",
    "        else:\n",
)
