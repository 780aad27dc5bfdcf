"""What an update would change, and how it ended: on record in English, and told again in the reader's language."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.commands import asked
from appliance.language import ENGLISH, LANGUAGES, speaking
from appliance.outside import system_words
from appliance.retold import retold
from appliance.slots import changing
from appliance.slots.bundle import SystemBundle
from appliance.slots.bundle import Told as System
from appliance.slots.planning import what_changes
from appliance.store import backup, soundness
from appliance.sync import updating as by_the_centre
from appliance.update import asking, building, health, preparing, updating
from appliance.update.journal import Journal
from appliance.update.versions import UpdateError
from appliance.update.words import line_of_plan

OTHERS = [code for code in LANGUAGES if code != ENGLISH]
NOTE = "The box is faster."


def plans() -> list[str]:
    """Every line of plans of whole systems, and what is said beside those of mb9k alone."""
    newer, found = {"box": 1}, list[str]()
    for version, program, schema in (("0.2.0", "0.2.0", {}), ("0.1.0", "0.1.0", newer), ("0.2.0", "0.1.0", newer)):
        told = System(1, program, "0.1.0", dict(schema), [NOTE])
        bundle = SystemBundle(Path("x"), "amd64", version, f"{version}-a", told, "the tests' signer")
        found += what_changes(bundle, "0.1.0-b", "0.1.0", {"box": 0}, 300)
    values = {"before": "0.1.0", "after": "0.2.0", "mb": 12}
    found += [each.format(**values) for each in (preparing.AGAIN, preparing.NEVER_AGAIN, preparing.NEEDS)]
    return [*found, "Packages: numpy 1.26.4 -> 2.0.0, pillow 11.0 (new), zlib 1 -> 2."]


def ends() -> list[str]:
    """Why updates are undone, and what becomes of the record."""
    dead = "; ".join(asked.DEAD.format(name=name) for name in ("watch", "gate"))
    unwell = "{after} was not well within {health_s}: {trouble}"
    return [
        *updating.CUT_OFF.values(),
        *(changing.CUT_OFF, changing.NOT_PROVEN.format(after="0.2.0", attempts=3), updating.ENDED, health.UNSTEADY),
        *(dead, unwell.format(after="0.2.0", health_s="5 minutes", trouble=dead)),
        unwell.format(after="0.2.0", health_s="8 s", trouble=asking.SILENT.format(error=asking.ENDED.format(code=3))),
        "0.2.0 cannot do with this box: " + asked.NOT_WELL.format(problem="x"),
        *(asked.BEFORE.format(aside="/var/lib/mb9k/mb9k.db.aside-20261127T160000Z"), asked.ALL_KEPT, backup.PUT_BACK),
        *(
            f"0.2.0 cannot do with this box: {each.format(reason='x', name='watch', folder='x', process='7')}"
            for each in asked.FAULTS
        ),
        "0.2.0 cannot do with this box: Nothing is judged: the model a cannot be loaded: odd",
        "0.2.0 cannot do with this box: the record cannot be copied: disk I/O error; is there room, and may this user"
        " write there?",
        "0.2.0 cannot be asked (it took longer than 600 s)",
        *(
            building.NOT_MADE.format(said="No space left on device"),
            building.NOT_INSTALLED.format(said="it said nothing"),
        ),
        *(by_the_centre.NOT_ALLOWED, by_the_centre.BUSY, by_the_centre.CUT_OFF, by_the_centre.NEVER_BEGAN),
    ]


ENGLISH_WORDS = {"the", "is", "it", "not", "live", "does", "well", "within", "with", "new", "runs", "that", "and"}


@pytest.mark.parametrize("language", OTHERS)
def test_no_line_of_a_plan_and_no_end_is_left_in_english(language: str) -> None:
    for text in plans():
        assert line_of_plan(text) == text, "in English"
        with speaking(language):
            said = line_of_plan(text).replace(NOTE, "").replace("the tests' signer", "")
        assert not ENGLISH_WORDS & set(said.replace("(", " ").replace(")", " ").split()), said
    for text in ends():
        assert retold(text) == text, "in English"
        with speaking(language):
            said = retold(text)
        assert said != text and not ENGLISH_WORDS & set(said.replace(";", " ").split()), said


def test_names_versions_and_notes_stay_as_they_are() -> None:
    with speaking("de"):
        assert line_of_plan(f"New: {NOTE}") == f"Neu: {NOTE}"
        assert line_of_plan(plans()[-1]) == "Pakete: numpy 1.26.4 -> 2.0.0, pillow 11.0 (neu), zlib 1 -> 2."
        assert line_of_plan("What a newer version says.") == "What a newer version says."
        assert retold("watch does not live; gate does not live") == "watch läuft nicht; gate läuft nicht"
        assert retold("watch does not live; whatever else") == "watch does not live; whatever else"
        assert retold("It was asked to end.") == "Es sollte enden.", "as a page makes a sentence of it"


def test_what_is_wrong_with_a_record_is_among_the_sentences(tmp_path: Path) -> None:
    damaged = tmp_path / "mb9k.db"
    damaged.write_bytes(b"no database at all" * 1000)
    fault = soundness.diagnose(damaged)
    assert fault
    with speaking("de"):
        assert retold(f"the record {fault.what}").startswith("der Datenbestand ist beschädigt (")
        newer = "the record was made by a newer mb9k than this one (it has m900 of box, unknown to 0.1.0)"
        told = retold(f"{newer}; {asked.ONLY_THEN}")
        assert told.startswith("der Datenbestand stammt von einem neueren") and "; nur eine Kopie" in told


def test_what_cannot_be_read_or_run_is_told_with_the_words_of_the_system(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.path.write_text("{")
    with pytest.raises(UpdateError) as damaged:
        journal.read()
    assert f"{journal.path} cannot be used (" in str(damaged.value) and "remove this file" in str(damaged.value)
    with speaking("de"):
        assert retold(str(damaged.value)).endswith(
            "; sehen Sie nach, welche Version läuft, und entfernen Sie diese Datei"
        )
        assert (
            system_words(FileNotFoundError(2, "No such file or directory", "rauc"))
            == "Datei oder Ordner nicht gefunden"
        )
        assert system_words(subprocess.TimeoutExpired("pip", 60)) == "es dauerte länger als 60 s"
