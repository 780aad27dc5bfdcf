"""What a rule can watch for, with its parameters; `KINDS` is what forms, the API and the evaluation are made of."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import msgspec
import msgspec.inspect
from msgspec import Meta

from appliance.errors import InputError
from appliance.language import N_, _, number

MINUTE_S = 60.0
SILENT_S = 180.0


class Of(str, enum.Enum):
    """What a rule or an alert can be about."""

    ALL = "all"  # the box or the centre as a whole, all of its streams, all of its boxes
    STREAM = "stream"
    SERVICE = "service"
    SITE = "site"  # of a centre
    BOX = "box"  # of a centre


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule or an alert is about. id: of the stream, the site, the box, the service; empty for ALL."""

    of: Of = Of.ALL
    id: str = ""

    @property
    def on_record(self) -> dict[str, str]:
        """Which one it is, for the audit, if it has a name of its own: that name might be words of ours."""
        return {self.of.value: self.id} if self.of in (Of.STREAM, Of.SITE, Of.BOX) else {}


ALL = Subject()


def stream(stream_id: int) -> Subject:
    """A stream of a box."""
    return Subject(Of.STREAM, str(stream_id))


def _number(least: int, most: int, label: str, unit: str = "") -> Any:
    return Meta(ge=least, le=most, title=label, extra={"unit": unit})


Minutes = Annotated[int, _number(1, 1440, N_("For so long"), N_("min"))]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """The numbers of a rule, of its kind; whole numbers only.

    title: the kind, for people. subjects: what rules of the kind may be about.
    """

    title: ClassVar[str] = ""
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL,)

    @property
    def held_s(self) -> float:
        """For how long it must be so, without a break, before the alert is raised."""
        return 0.0

    def words(self) -> str:
        """What the rule watches for, as the beginning of a sentence: `Rate under 80 % over 15 min`."""
        raise NotImplementedError


class Lasting(Parameters, frozen=True, forbid_unknown_fields=True):
    """What must be so for some minutes."""

    minutes: Minutes = 10

    @property
    def held_s(self) -> float:
        """The minutes."""
        return self.minutes * MINUTE_S


class Rate(Parameters, frozen=True, forbid_unknown_fields=True, tag="rate"):
    """The share of masks among those who were judged is low. About ALL: of all streams together."""

    title: ClassVar[str] = N_("Rate too low")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.STREAM, Of.SITE, Of.BOX)

    percent: Annotated[int, _number(1, 100, N_("Under"), "%")] = 80
    minutes: Annotated[int, _number(5, 1440, N_("Over the last"), N_("min"))] = 15
    persons: Annotated[int, _number(1, 100_000, N_("With at least"), N_("people judged"))] = 20

    def words(self) -> str:
        """What the rule watches for."""
        return _(
            "Rate under {percent} % over {minutes} min, with {persons} people judged or more",
            percent=self.percent,
            minutes=self.minutes,
            persons=self.persons,
        )


class Nobody(Lasting, frozen=True, forbid_unknown_fields=True, tag="nobody"):
    """A stream is LIVE, and nobody was judged in it. About ALL: each stream for itself."""

    title: ClassVar[str] = N_("Nobody judged")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.STREAM)

    minutes: Annotated[int, _number(5, 1440, N_("For so long"), N_("min"))] = 60

    def words(self) -> str:
        """What the rule watches for."""
        return _("Nobody judged for {minutes} min though LIVE", minutes=self.minutes)


class Offline(Lasting, frozen=True, forbid_unknown_fields=True, tag="offline"):
    """A stream that is active is not LIVE. About ALL: each stream for itself."""

    title: ClassVar[str] = N_("Stream offline")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.STREAM)

    minutes: Minutes = 5

    def words(self) -> str:
        """What the rule watches for."""
        return _("Stream offline for {minutes} min", minutes=self.minutes)


class Picture(Lasting, frozen=True, forbid_unknown_fields=True, tag="picture"):
    """A stream's picture is dark, blurred, covered or moved. About ALL: each stream for itself."""

    title: ClassVar[str] = N_("Picture changed")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.STREAM)

    minutes: Minutes = 2

    def words(self) -> str:
        """What the rule watches for."""
        return _("Picture dark, blurred, covered or moved for {minutes} min", minutes=self.minutes)


class Disk(Parameters, frozen=True, forbid_unknown_fields=True, tag="disk"):
    """Little room is left on the disk of the record."""

    title: ClassVar[str] = N_("Disk almost full")

    percent: Annotated[int, _number(1, 50, N_("Free: less than"), "%")] = 5

    def words(self) -> str:
        """What the rule watches for."""
        return _("Less than {percent} % of the disk free", percent=self.percent)


class Service(Lasting, frozen=True, forbid_unknown_fields=True, tag="service"):
    """A service of the box, or of the centre, is not running."""

    title: ClassVar[str] = N_("A service is not running")

    minutes: Minutes = 2

    def words(self) -> str:
        """What the rule watches for."""
        return _("A service not running for {minutes} min", minutes=self.minutes)


class Clock(Lasting, frozen=True, forbid_unknown_fields=True, tag="clock"):
    """The clock of the box is not known to be right."""

    title: ClassVar[str] = N_("Clock not set")

    minutes: Minutes = 15

    def words(self) -> str:
        """What the rule watches for."""
        return _("Clock not known to be right for {minutes} min", minutes=self.minutes)


class Centre(Lasting, frozen=True, forbid_unknown_fields=True, tag="centre"):
    """The box's centre is not reached, or does not get what the box counts. For boxes that joined one."""

    title: ClassVar[str] = N_("Centre not reached")

    minutes: Minutes = 15

    def words(self) -> str:
        """What the rule watches for."""
        return _("Centre without news of this box for {minutes} min", minutes=self.minutes)


class Gone(Lasting, frozen=True, forbid_unknown_fields=True, tag="gone"):
    """A centre does not hear of a box. About ALL or a site: each box for itself.

    What is late for a minute or two is no news, so silence begins after three minutes; the rest of the rule's minutes
    it must last.
    """

    title: ClassVar[str] = N_("Box gone")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.SITE, Of.BOX)

    minutes: Minutes = 15

    @property
    def silent_s(self) -> float:
        """How old the newest of a box must be for it to be silent."""
        return min(SILENT_S, self.minutes * MINUTE_S)

    @property
    def held_s(self) -> float:
        """For how long it must be silent: raised when the newest is as old as the rule says."""
        return self.minutes * MINUTE_S - self.silent_s

    def words(self) -> str:
        """What the rule watches for."""
        return _("Nothing heard of a box for {minutes} min", minutes=self.minutes)


class Backlog(Lasting, frozen=True, forbid_unknown_fields=True, tag="backlog"):
    """A box has more and more to tell that its centre does not get. About ALL or a site: each box for itself."""

    title: ClassVar[str] = N_("Backlog growing")
    subjects: ClassVar[tuple[Of, ...]] = (Of.ALL, Of.SITE, Of.BOX)

    minutes: Minutes = 30

    def words(self) -> str:
        """What the rule watches for."""
        return _("A box's backlog growing for {minutes} min", minutes=self.minutes)


AnyParameters = Rate | Nobody | Offline | Picture | Disk | Service | Clock | Centre | Gone | Backlog
OF_BOX: tuple[type[Parameters], ...] = (Rate, Nobody, Offline, Picture, Disk, Service, Clock, Centre)
OF_CENTRE: tuple[type[Parameters], ...] = (Rate, Gone, Backlog, Service)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a rule, as a form asks for it. least <= value <= most."""

    name: str
    label: str
    unit: str
    least: int
    most: int
    default: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What a rule can watch for. subjects: what it may be about."""

    name: str
    title: str
    type: type[Parameters]
    subjects: tuple[Of, ...]
    parameters: tuple[Parameter, ...]


def _kind(of: type[Parameters]) -> Kind:
    config, info = of.__struct_config__, msgspec.inspect.type_info(of)
    assert isinstance(info, msgspec.inspect.StructType)
    found = []
    for each in info.fields:
        about = each.type
        assert isinstance(about, msgspec.inspect.Metadata)
        limits, extra = about.type, about.extra or {}
        assert isinstance(limits, msgspec.inspect.IntType) and limits.ge is not None and limits.le is not None
        label = str((about.extra_json_schema or {})["title"])
        found.append(Parameter(each.name, label, str(extra["unit"]), limits.ge, limits.le, int(each.default)))
    return Kind(str(config.tag), of.title, of, of.subjects, tuple(found))


KINDS: Mapping[str, Kind] = {each.name: each for each in (_kind(of) for of in dict.fromkeys((*OF_BOX, *OF_CENTRE)))}
"""By name, in the order in which people are shown them."""


def kind_of(parameters: Parameters) -> Kind:
    """The kind of a rule with these parameters."""
    return KINDS[str(type(parameters).__struct_config__.tag)]


def parameters_of(kind: str, numbers: Mapping[str, object], kinds: Collection[type[Parameters]]) -> Parameters:
    """The parameters of a rule, checked. kinds: those that the site has. Raises InputError."""
    known = KINDS.get(kind)
    if known is None or known.type not in kinds:
        names = ", ".join(str(each.__struct_config__.tag) for each in kinds)
        raise InputError(_("There is no rule of this kind; choose one of {names}.", names=names))
    for parameter in known.parameters:
        value = numbers.get(parameter.name, parameter.default)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not parameter.least <= value <= parameter.most:  # type: ignore[operator]
            raise InputError(_out_of_range(parameter))
    if unknown := set(numbers) - {each.name for each in known.parameters}:
        raise InputError(_("A rule of this kind has no {name}.", name=sorted(unknown)[0]))
    return msgspec.convert({"kind": kind, **numbers}, known.type)


def _out_of_range(parameter: Parameter) -> str:
    values = {"label": _(parameter.label), "least": number(parameter.least), "most": number(parameter.most)}
    if not parameter.unit:
        return _("{label}: a whole number from {least} to {most}.", **values)
    return _("{label}: a whole number from {least} to {most} ({unit}).", unit=_(parameter.unit), **values)


def refuse_subject(parameters: Parameters, subject: Subject) -> None:
    """Raise InputError if a rule with these parameters cannot be about this."""
    if subject.of not in parameters.subjects or bool(subject.id) == (subject.of is Of.ALL):
        names = " or ".join(of.value for of in parameters.subjects)
        raise InputError(_("A rule of this kind is about {names}.", names=names))
