"""The project's own suite: the layer judged by generated modules, the checks by faulty layers."""
