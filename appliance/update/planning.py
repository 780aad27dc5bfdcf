"""Whether a bundle may follow what runs, and what people are told before it does."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.language import _
from appliance.update.bundle import Bundle, packages
from appliance.update.versions import UpdateError, order, span


def refuse_unfit(bundle: Bundle, current: str, there: list[str], python: str, machine: str) -> None:
    """Raise UpdateError if the bundle is not newer, skips a version it needs, or is for another machine.

    there: the releases that are kept.
    """
    told = bundle.manifest
    if (told.python, told.machine) != (python, machine):
        raise UpdateError(
            _(
                "{path} is for Python {python} on {machine}, this box has Python {python_2} on"
                " {machine_2}; take the bundle that is made for it",
                path=bundle.path,
                python=told.python,
                machine=told.machine,
                python_2=python,
                machine_2=machine,
            )
        )
    if order(told.version) == order(current):
        raise UpdateError(
            _("{path} is {version}, which runs already; there is nothing to do", path=bundle.path, version=told.version)
        )
    if order(told.version) < order(current):
        raise UpdateError(
            _(
                "{path} is {version}, older than {current}, which runs; take a newer one (`mb9k update"
                " back` goes back to a release that is kept)",
                path=bundle.path,
                version=told.version,
                current=current,
            )
        )
    if order(current) < order(told.updates_from):
        raise UpdateError(
            _(
                "{path} is {version}, which may follow {updates_from} or later, and {current} runs;"
                " update to {updates_from} first",
                path=bundle.path,
                version=told.version,
                updates_from=told.updates_from,
                current=current,
            )
        )
    if any(order(told.version) == order(release) for release in there):
        raise UpdateError(
            _(
                "{version} is kept already; `mb9k update back --to {version}` lets it run (`mb9k"
                " update list` shows what is kept)",
                version=told.version,
            )
        )


def changes_form(bundle: Bundle, schema: Mapping[str, int]) -> bool:
    """Whether the record gets another form. schema: the newest migration of each set that is known now."""
    return any(number > schema.get(name, 0) for name, number in bundle.manifest.schema.items())


def what_changes(
    bundle: Bundle, current: str, installed: Mapping[str, str], schema: Mapping[str, int], health_s: float
) -> list[str]:
    """What people should know beforehand, a sentence each.

    installed: versions of the packages there are now; schema: the newest migration of each set that is known now.
    """
    told, said = bundle.manifest, {"current": current, "version": bundle.manifest.version}
    changed = [
        f"{name} {installed[name]} -> {version}"
        if name in installed
        else _("{name} {version} (new)", name=name, version=version)
        for name, version in sorted(packages(told.wheels).items())
        if name not in ("mb9k", "pip") and installed.get(name) != version
    ]
    lines = [
        _("From {current} to {version}, signed by {signer}.", **said, signer=bundle.signer),
        *(_("New: {note}", note=note) for note in told.notes),
    ]
    lines += [_("Packages: {packages}.", packages=", ".join(changed))] if changed else []
    patience = span(health_s)
    if changes_form(bundle, schema):
        lines.append(
            _(
                "The record gets another form, which {current} cannot read. If {version} is not well within {patience},"
                " {current} gets the record back as it was before; what was counted meanwhile is set aside, not shown.",
                **said,
                patience=patience,
            )
        )
    else:
        lines.append(
            _(
                "The record keeps its form: if {version} is not well within {patience}, {current} runs again with all"
                " that was counted meanwhile.",
                **said,
                patience=patience,
            )
        )
    lines.append(
        _("Nothing is counted while one takes over from the other: for seconds, on a small board up to a minute.")
    )
    return lines
