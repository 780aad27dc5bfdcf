"""Who may try a password or the claim code now: guessing is slow, and keeps nobody rightful out.

A *known device* is a browser in which this very person has signed in before; everybody else is a *stranger*.

- A known device is held up by its own wrong tries only: it holds a random id of 256 bits that nobody else has.
- A stranger is held up by the wrong tries of their own address: 10 are free, then the wait doubles up to 5 minutes, so
  an address has some 400 tries a day. Names are not counted, so whoever guesses at one keeps out nobody elsewhere, and
  names that do not exist take no memory and say nothing about those that do.
- Strangers together have an allowance at each person: 10,000 tries at once, and one more every 30 s. Without it, 1000
  addresses would have 400,000 tries a day; with it, 2,880. A password that is taken costs 1,000,000 guesses at least
  (secrets.hash_password): a year of such an attack. Half of the allowance is for addresses that were wrong twice at
  most within a day, so that 1000 addresses that guess all day do not use up the tries of a person at a new device.
- The claim code has 31^8 = 8.5e11 values. At 10,000 tries and then one a second, the chance to hit it within a day is
  1 in 9 million; an address may try every 5 s, so that the owner behind the same one gets a turn soon.

An IPv6 network (/48) counts like an address besides its parts (/64): who has one has 65,536 of them.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.accounts.throttle import Limit, Throttle

ADDRESS = Limit(free_tries=10, longest_s=300.0)
NETWORK = Limit(free_tries=40, longest_s=300.0)
CLAIM = Limit(free_tries=10, longest_s=5.0)
FEW_TRIES = 2


class Allowance:
    """Tries that strangers together have at one person, or at the claim code; may be used by several threads.

    Of `most` tries half are kept for strangers who were hardly ever wrong. Used ones come back, one every `every_s`.
    """

    def __init__(self, most: int, every_s: float) -> None:
        self.most = most
        self.every_s = every_s
        self._used: dict[str, tuple[float, float]] = {}  # how many, and when that was; only of what exists, so few
        self._lock = threading.Lock()

    def take(self, subject: str, hardly_ever_wrong: bool, now_s: float) -> float:
        """Use one and return 0; or how long to wait (seconds), using none."""
        with self._lock:
            used = self._used_now(subject, now_s)
            over = used + 1 - (self.most if hardly_ever_wrong else self.most // 2)
            if over > 0:
                return over * self.every_s
            self._used[subject] = (used + 1, now_s)
            return 0.0

    def give_back(self, subject: str, now_s: float) -> None:
        """One that was taken counts for nothing."""
        with self._lock:
            self._used[subject] = (max(self._used_now(subject, now_s) - 1, 0.0), now_s)

    def _used_now(self, subject: str, now_s: float) -> float:
        used, at_s = self._used.get(subject, (0.0, now_s))
        return max(used - (now_s - at_s) / self.every_s, 0.0)


@dataclass(frozen=True)
class Guess:
    """One try. limits: whose wrong tries hold it up. subject: what strangers guess at; None where all may be right."""

    limits: Mapping[str, Limit]
    allowance: Allowance | None = None
    subject: str = ""
    device: str | None = None

    @property
    def by_stranger(self) -> bool:
        """Whether it comes from no known device."""
        return self.device is None


class Guesses:
    """Every try of a password or of the claim code; may be used by several threads at once."""

    def __init__(self) -> None:
        self._throttle = Throttle()
        self._passwords = Allowance(most=10_000, every_s=30.0)
        self._claims = Allowance(most=10_000, every_s=1.0)

    def by_known_device(self, device: str) -> Guess:
        """A password in a browser in which this person signed in before. device: what it is told apart by."""
        return Guess({f"device {device}": ADDRESS}, device=f"device {device}")

    def by_stranger(self, address: str, person_id: int | None) -> Guess:
        """A password from elsewhere. person_id: None where there is nobody of that name."""
        limits = {f"from {address}": ADDRESS}
        if network := _network(address):
            limits[f"from {network}"] = NETWORK
        return Guess(limits, None if person_id is None else self._passwords, f"person {person_id}")

    def of_claim_code(self, address: str) -> Guess:
        """The code of a site that nobody owns yet."""
        return Guess({f"claim from {_network(address) or address}": CLAIM}, self._claims, "claim")

    def wait_s(self, guess: Guess, now_s: float) -> float:
        """Count a try and return 0; or how long to wait, counting nothing."""
        if guess.allowance is None:
            return self._throttle.wait_s(guess.limits, now_s)
        wrong = max(self._throttle.wrong_tries(subject, now_s) for subject in guess.limits)
        wait_s = guess.allowance.take(guess.subject, wrong <= FEW_TRIES, now_s)
        if wait_s > 0:
            return wait_s
        wait_s = self._throttle.wait_s(guess.limits, now_s)
        if wait_s > 0:
            guess.allowance.give_back(guess.subject, now_s)
        return wait_s

    def take_back(self, guess: Guess, now_s: float) -> None:
        """The try was right, or nobody looked at it: it does not count."""
        self._throttle.take_back(guess.device, [] if guess.device else guess.limits)
        if guess.allowance is not None:
            guess.allowance.give_back(guess.subject, now_s)


def _network(address: str) -> str | None:
    """The /48 of an IPv6 address or network; None for another address."""
    try:
        parsed = ipaddress.ip_network(address, strict=False)
    except ValueError:
        return None
    if parsed.version == 4 or parsed.prefixlen <= 48 or parsed.network_address.ipv4_mapped is not None:
        return None
    return str(parsed.supernet(new_prefix=48))
