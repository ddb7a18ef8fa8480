"""Exported models, where Keras's own exporters cannot write them (S4)."""

from flaxlayer.exports.archive import ExportArchive
from flaxlayer.exports.exporting import export

__all__ = ["ExportArchive", "export"]
