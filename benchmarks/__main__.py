"""Runs every benchmark: `./dev bench`."""

from benchmarks import (
    build_time,
    call_count,
    eager_call,
    generated_modules,
    nnx_module,
    program_cost,
    tensorflow_backend,
    train_step,
)

for module in (
    eager_call,
    call_count,
    build_time,
    train_step,
    program_cost,
    nnx_module,
    tensorflow_backend,
    generated_modules,
):
    print(f"\n## {(module.__doc__ or '').splitlines()[0]}\n", flush=True)
    module.main()
