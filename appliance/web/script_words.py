"""What scripts say on a page: the page brings it along, in its language, as `data-words-NAME` of its body."""

from __future__ import annotations

from appliance.language import N_, _

SCRIPT_WORDS = {
    "gone": N_("no longer in this list"),
    "copied": N_("Copied"),
    "press-copy": N_("Press Ctrl-C"),
    "png-again": N_("PNG: try again"),
}
"""By the name by which app.js asks for it (`said`)."""


def script_words() -> dict[str, str]:
    """Each in the language spoken."""
    return {name: _(words) for name, words in SCRIPT_WORDS.items()}
