"""What a site hands in, so that people can sign in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Protocol

from appliance.accounts.audit import Audit
from appliance.accounts.failures import Failures
from appliance.accounts.guesses import Guesses
from appliance.accounts.metrics_token import METRICS, MetricsToken
from appliance.accounts.people import People
from appliance.errors import InputError, about
from appliance.language import _
from appliance.secrets import hash_password
from appliance.times import Now
from appliance.web.cookies import Cookie
from appliance.web.forms import query_value, secret_field
from appliance.web.pages import Pages
from appliance.web.shown import Shown, ShownSecrets
from appliance.web.unsent import UnsentForms

VIEWS = Path(__file__).parent / "views"


class Store(Protocol):
    """What a site keeps people in: opened for each request, with whatever else the site's own handlers need."""

    @property
    def people(self) -> People: ...

    @property
    def audit(self) -> Audit: ...

    def saving(self) -> AbstractContextManager[None]:
        """One transaction: all of it is stored, or nothing. Raises NotSaved."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Accounts:
    """What the pages of accounts share; may be used by several threads at once.

    device_cookie: stays when its person signs out (see guesses.py).
    explain: why the store did not do something, in words for a person, from the error it raised.
    claim_code_path: the file with the code by which the first person becomes admin.
    metrics_token: by which a program reads the site's metrics; None: it has no such route.
    """

    pages: Pages
    session_cookie: Cookie
    device_cookie: Cookie
    claim_code_path: Path
    explain: Callable[[Exception], str]
    metrics_token: MetricsToken | None = None
    guesses: Guesses = field(default_factory=Guesses)
    failures: Failures = field(default_factory=Failures)
    shown: ShownSecrets = field(default_factory=ShownSecrets)
    unsent: UnsentForms = field(default_factory=UnsentForms)
    hashing: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(2))
    """Argon2 takes 64 MiB at a time: at most two at once, however many sign in."""
    strangers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(6))
    """So many strangers check a password or wait for it; more would hold every thread of the site."""

    @contextmanager
    def stranger_checks(self) -> Iterator[bool]:
        """A place among the strangers for this block; False: there is none, so no password may be checked."""
        has_place = self.strangers.acquire(blocking=False)
        try:
            yield has_place
        finally:
            if has_place:
                self.strangers.release()

    @about("again")
    def new_password_hash(self, person: str) -> str:
        """The hash of the form's new password, typed twice. person: whose, by name. Raises InputError."""
        password = secret_field("password")
        if password != secret_field("again"):
            raise InputError(_("The two passwords differ; type the same one twice."))
        with self.hashing:
            return hash_password(password, person, self.pages.name)

    def new_metrics_token(self, person_id: int, now: Now) -> Shown | None:
        """The metrics token that this person just made, on the page that the form led to. Raises OSError."""
        shown = self.shown.of(METRICS, person_id, now) if query_value("token") == "new" else None
        return shown if shown and self.metrics_token and self.metrics_token.is_right(shown.secret) else None
