"""How often the interval that is printed holds the true share: 5,000 simulated days for each figure."""

from __future__ import annotations

from scripts.simulated_days import CLIPS, PHOTOS, coverage

DAYS = 5000
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
PERSONS = (20, 60, 200, 600, 2000, 10_000)


def rates() -> None:
    """In percent of the days: the plain rate's interval / that of the corrected rate."""
    for name, outcomes in (("the counting clips", CLIPS), ("the test photos", PHOTOS)):
        print(f"  persons counted with the errors of {name}: plain / corrected, % of days")
        print(f"  {'persons':>9}" + "".join(f"{share:>15.0%}" for share in SHARES) + "  wear a mask")
        for persons in PERSONS:
            found = [coverage(outcomes, persons, share, DAYS, seed=1) for share in SHARES]
            cells = "".join(f"{100 * each.plain:>7.1f} / {100 * each.corrected:5.1f}" for each in found)
            print(f"  {persons:>9}{cells}", flush=True)
