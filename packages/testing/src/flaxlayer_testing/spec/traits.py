"""What discovery must find in a module, derived from its spec alone (C2, R1)."""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import or_

from flaxlayer_testing.spec.extras import Extra
from flaxlayer_testing.spec.operations import OPERATIONS, Traits
from flaxlayer_testing.spec.operations.operation import with_features
from flaxlayer_testing.spec.spec import FLAG_NAMES, STRUCTURES, ModuleSpec, Node
from flaxlayer_testing.spec.transforms import TRANSFORMS

__all__ = ["spec_traits"]


def _node_traits(node: Node) -> Traits:
    options = dict(node.options)
    if node.op == "again":
        return Traits(features=frozenset({"tied_submodule"}))
    if node.inner is None:
        return OPERATIONS[node.op].traits(options)
    features = {"nested"}
    if "transform" in options:
        features.add(TRANSFORMS[str(options["transform"])].feature)
    traits = with_features(spec_traits(node.inner), *features)
    return traits | Traits(uses_flag=node.inner.flag is not None)


@lru_cache(maxsize=1024)
def spec_traits(spec: ModuleSpec) -> Traits:
    """Returns the traits of a module: its features, roles of collections, streams by mode.

    This is what discovery must find (C2, R1), derived from the spec alone.

    Args:
        spec: A valid spec.

    Returns:
        The traits of its nodes together, with the features of its signature.
    """
    traits = reduce(or_, map(_node_traits, spec.nodes), Traits())
    traits = reduce(or_, map(_extra_traits, spec.extras), traits)
    if traits.state and traits.training_streams and traits.uses_flag:
        traits = with_features(traits, "state_stream_flag")
    return with_features(traits, *_signature_features(spec))


def _extra_traits(extra: Extra) -> Traits:
    streams = frozenset(filter(None, [extra.kind.stream]))
    features = {extra.kind.feature}
    features |= {"keyword_argument"} if extra.keyword_only else set()
    features |= {"default_argument"} if extra.optional else set()
    # R5: at inference a method gets no key that it can do without.
    quiet = streams if extra.optional else frozenset()
    return Traits(
        features=frozenset(features), training_streams=quiet, always_streams=streams - quiet
    )


def _signature_features(spec: ModuleSpec) -> set[str]:
    dtypes = {value.dtype for value in spec.inputs}
    flag = spec.flag
    shown = {
        "several_inputs": len(spec.inputs) > 1,
        "several_outputs": len(spec.outputs) > 1,
        f"{spec.structure}_output": spec.structure in STRUCTURES[1:],
        f"{spec.arguments}_input": spec.arguments != "positional",
        "token_input": "int32" in dtypes,
        "half_input": bool(dtypes & {"bfloat16", "float16"}),
        "mask_input": "bool" in dtypes,
        "mask_argument": spec.mask,
        "setup": spec.style == "setup",
        "several_methods": spec.encoder > 0,
        "flag": flag is not None,
        "flag_keyword_only": flag is not None and flag.keyword_only,
        "flag_default": flag is not None and flag.default is not None,
        "flag_negated": flag is not None and not FLAG_NAMES[flag.name],
    }
    return {name for name, present in shown.items() if present}
