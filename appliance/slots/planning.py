"""Whether a system may follow the one that runs, and what people are told before it does."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.language import _
from appliance.slots.bundle import SystemBundle
from appliance.slots.loader import ATTEMPTS
from appliance.update.versions import UpdateError, number, order, span


def refuse_unfit(bundle: SystemBundle, compatible: str, build: str, program: str) -> None:
    """Raise UpdateError if the bundle is for another machine, older, what runs, or skips a version that it needs.

    build: of the system that runs; another build of its version is taken: Debian's packages in it may be newer.
    program: the mb9k that runs in it, which may have been updated alone.
    """
    told, version = bundle.told, number(build)
    if bundle.compatible != compatible:
        raise UpdateError(
            _(
                "{path} is for {compatible}, and this machine is {compatible_2}; take the bundle made for it",
                path=bundle.path,
                compatible=bundle.compatible,
                compatible_2=compatible,
            )
        )
    if bundle.build == build:
        raise UpdateError(
            _("{path} is the system {build}, which runs already; there is nothing to do", path=bundle.path, build=build)
        )
    if order(bundle.version) < order(version):
        raise UpdateError(
            _(
                "{path} is the system {version}, older than {version_2}, which runs; take a newer one",
                path=bundle.path,
                version=bundle.version,
                version_2=version,
            )
        )
    if order(told.program) < order(program):
        raise UpdateError(
            _(
                "{path} brings mb9k {program}, older than {program_2}, which runs; take a newer one",
                path=bundle.path,
                program=told.program,
                program_2=program,
            )
        )
    if order(version) < order(told.updates_from):
        raise UpdateError(
            _(
                "{path} is the system {version}, which may follow {updates_from} or later, and"
                " {version_2} runs; update to {updates_from} first",
                path=bundle.path,
                version=bundle.version,
                updates_from=told.updates_from,
                version_2=version,
            )
        )


def what_changes(
    bundle: SystemBundle, build: str, program: str, schema: Mapping[str, int], health_s: float
) -> list[str]:
    """What people should know beforehand, a sentence each. schema: the newest migration of each set known now."""
    told, version, patience = bundle.told, number(build), span(health_s)
    said = {"before": version, "after": bundle.version, "signer": bundle.signer}
    lines = [
        _("The whole system, from {before} to {after}, signed by {signer}.", **said)
        if version != bundle.version
        else _("The whole system, another build of {before}, signed by {signer}.", **said),
        _("mb9k: from {before} to {after}.", before=program, after=told.program)
        if told.program != program
        else _("mb9k stays {program}.", program=program),
        *(_("New: {note}", note=note) for note in told.notes),
    ]
    undone = {"after": bundle.version, "patience": patience, "attempts": ATTEMPTS, "before": version}
    if any(newest > schema.get(name, 0) for name, newest in told.schema.items()):
        lines.append(
            _(
                "The record gets another form, which mb9k {program} cannot read. If {after} is not well within"
                " {patience} of a start, {attempts} times, {before} starts again with the record as it was before;"
                " what was counted meanwhile is set aside, not shown.",
                program=program,
                **undone,
            )
        )
    else:
        lines.append(
            _(
                "The record keeps its form. If {after} is not well within {patience} of a start, {attempts} times,"
                " {before} starts again with all that was counted meanwhile.",
                **undone,
            )
        )
    lines.append(
        _(
            "It is written beside what runs, while the box counts: for minutes. Then the box restarts, and counts"
            " nothing for a minute or two."
        )
    )
    return lines
