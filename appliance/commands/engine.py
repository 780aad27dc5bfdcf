"""`mb9k engine`: the engines that this box built for its GPU."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.commands.kit import config_of
from appliance.errors import UserError
from appliance.vision.backends import TensorRT
from appliance.vision.engines import Engines
from appliance.vision.gpu_errors import GpuError
from appliance.vision.manifest import find


class _Printed:
    """Prints what is being done; of a build, a line a minute."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def tell(self, sentence: str) -> None:
        """See Progress."""
        begin = sentence.rstrip(".").split(", ")[:2]
        if begin != self._said:
            click.echo(sentence)
        self._said = begin

    def is_stopping(self) -> bool:
        """See Progress: Ctrl-C ends it."""
        return False


@click.group()
def engine() -> None:
    """Engines: the model, built by TensorRT for the GPU of this machine.

    The box builds what it needs by itself, while the CPU judges. These commands are for whoever wants to wait for it,
    or to begin again.
    """


@engine.command("build")
@click.option("--again", is_flag=True, help="Also if there is an engine already, or one was refused.")
@click.pass_context
def engine_build(context: click.Context, again: bool) -> None:
    """Build the engine that this box needs, test it and keep it. It takes minutes.

    An engine must pass the self-test and agree with ONNX Runtime, or it is refused.
    """
    config = config_of(context)
    model, engines = find(config.vision.model), Engines(config.engines_dir)
    if again:
        for name, entry in engines.all():
            if entry is None or entry.key.form_sha256 in {form.sha256 for form in model.forms.values()}:
                engines.remove(name)
    try:
        opened = TensorRT(model, engines, _Printed())
    except GpuError as error:
        raise UserError(f"no engine: {error}; the box judges on the CPU") from error
    except OSError as error:
        raise UserError(f"{config.engines_dir}: {error.strerror}; run this as the user of the box") from error
    opened.close()
    click.echo(f"{opened.name} judges as it should: {opened.figures}")


@engine.command("list")
@click.pass_context
def engine_list(context: click.Context) -> None:
    """List engines.

    A line each: its name, the GPU, its size, when it was built and how long that took, how far it agrees with ONNX
    Runtime. An engine that judged wrongly is listed as refused.
    """
    for name, entry in Engines(config_of(context).engines_dir).all():
        if entry is None:
            click.echo(f"{name}\tdamaged; it is built again when it is needed")
            continue
        size = "refused" if entry.refused else f"{entry.size_bytes / 1e6:.1f} MB"
        click.echo("\t".join((name, entry.key.gpu, size, entry.built_utc, f"{entry.built_s:.0f} s", entry.figures)))


@engine.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every engine, and what is known of those that were refused.")
@click.pass_context
def engine_remove(context: click.Context, names: tuple[str, ...], everything: bool) -> None:
    """Remove engines. A running box goes on with the one it has; at its next start it builds what it needs."""
    if bool(names) == everything:
        raise click.UsageError("name engines, or give --all.")
    folder: Path = config_of(context).engines_dir
    engines = Engines(folder)
    for name in names or sorted({name for name, _ in engines.all()}):
        engines.remove(name)
        click.echo(f"{name} is gone.")
