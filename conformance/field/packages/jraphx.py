"""jraphx: graph neural networks of nnx."""

from functools import partial

from conformance.field.entry import Published, integers, normal

_NODES, _EDGES = normal(5, 4), integers(2, 6, below=5)

ENTRIES = (
    Published(
        "jraphx",
        "jraphx.nn.conv.gcn_conv:GCNConv",
        "graphs",
        lambda kind: (partial(kind, 4, 3), (_NODES, _EDGES)),
    ),
    Published(
        "jraphx",
        "jraphx.nn.conv.gat_conv:GATConv",
        "graphs",
        lambda kind: (partial(kind, 4, 3, heads=2, dropout=0.1), (_NODES, _EDGES)),
    ),
    Published(
        "jraphx",
        "jraphx.nn.conv.sage_conv:SAGEConv",
        "graphs",
        lambda kind: (partial(kind, 4, 3), (_NODES, _EDGES)),
    ),
    Published(
        "jraphx",
        "jraphx.nn.norm.batch_norm:BatchNorm",
        "graphs",
        lambda kind: (partial(kind, 4), (_NODES,)),
    ),
)
