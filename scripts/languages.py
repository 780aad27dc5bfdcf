"""The catalogues of what people read: `python -m scripts.languages` brings each up to date with the code.

It collects every marked sentence of appliance/ (modules and views) and all that the OpenAPI documents say in words into
`appliance/languages/mb9k.pot`, then into each language's .po: what is new is added untranslated, what is gone is
dropped, what was translated stays. With a language and `--missing` it prints what that language still lacks, as a .po
to translate.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po, write_po
from bottle import SimpleTemplate

from appliance.central.viewer import openapi as of_centre
from appliance.language import CATALOGUES
from appliance.local import openapi as of_box
from appliance.web import reference

APPLIANCE = Path(__file__).parent.parent / "appliance"
TEMPLATE = CATALOGUES / "mb9k.pot"
KEYWORDS = ("_", "N_", "NN_", "P_", "m_", "n_", "mn_", "p_")
IN_CONTEXT = ("p_", "P_")
IN_TWO = ("n_", "NN_", "mn_", *IN_CONTEXT)  # two texts: one and many, or a context and a sentence
FOR_TRANSLATORS = "For translators:"


def sources() -> list[Path]:
    """Every file that may hold a sentence, in their order."""
    return sorted([*APPLIANCE.rglob("*.py"), *APPLIANCE.rglob("views/*.html")])


def collected() -> Catalog:
    """Every marked sentence, and those of the OpenAPI documents, with the files in which they stand or are made."""
    catalogue = Catalog(project="mb9k", fuzzy=False, header_comment="# The sentences of mb9k.")
    for path in sources():
        place = [(str(path.relative_to(APPLIANCE.parent)), 0)]
        for comments, context, text in _marked(path):
            catalogue.add(text, None, place, auto_comments=comments, context=context)
    for module in (of_box, of_centre):
        place = [(str(Path(str(module.__file__)).relative_to(APPLIANCE.parent)), 0)]
        for context, text in reference.sentences(module.document()):
            catalogue.add(text, None, place, context=context)
    return catalogue


def code_of(path: Path) -> str:
    """A module as it is, a view as the code that Bottle makes of it."""
    source = path.read_text()
    return str(SimpleTemplate(source=source).code) if path.suffix == ".html" else source


def _marked(path: Path) -> Iterator[tuple[list[str], str | None, str | tuple[str, ...]]]:
    lines = io.BytesIO(code_of(path).encode())
    found: Any = extract_python(lines, dict.fromkeys(KEYWORDS), [FOR_TRANSLATORS], {"encoding": "utf-8"})
    for _line, name, said, comments in found:
        texts = [said] if isinstance(said, str) else list(said or [None])
        first, second = texts[0], texts[1] if len(texts) > 1 else None
        if not first or (name in IN_TWO and not second):
            continue  # a variable: what it holds is marked where it is written
        if name in IN_CONTEXT:
            yield comments, first, str(second)
        else:
            yield comments, None, (first, str(second)) if name in IN_TWO else first


def read(path: Path, language: str | None = None) -> Catalog:
    """A catalogue as it stands in its file; an empty one if there is none."""
    if not path.exists():
        return Catalog(language, project="mb9k", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, language)


def written(catalogue: Catalog) -> bytes:
    """The catalogue as a file: by place, without what changes at each run."""
    file = io.BytesIO()
    write_po(
        file, catalogue, width=100, include_lineno=False, sort_by_file=True, ignore_obsolete=True, omit_header=True
    )
    return _header(catalogue).encode() + file.getvalue()


def _header(catalogue: Catalog) -> str:
    lines = ["Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit"]
    if catalogue.locale:
        lines = [f"Language: {catalogue.locale_identifier}", f"Plural-Forms: {catalogue.plural_forms}", *lines]
    return 'msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in lines) + "\n"


def brought_up_to_date(language: str, template: Catalog) -> Catalog:
    """The language's catalogue with just the sentences of the template."""
    catalogue = read(CATALOGUES / f"{language}.po", language)
    catalogue.update(template, no_fuzzy_matching=True, update_creation_date=False)
    return catalogue


def untranslated(catalogue: Catalog) -> list[Any]:
    """Its messages that lack a translation, or one of their plural forms."""
    return [
        message
        for message in catalogue
        if message.id and not (all(message.string) if isinstance(message.string, tuple | list) else message.string)
    ]


def begun() -> list[str]:
    """The languages that have a catalogue, also those that are not spoken yet since it is not whole."""
    return sorted(path.stem for path in CATALOGUES.glob("*.po"))


@click.command()
@click.argument("language", type=click.Choice(begun()), required=False)
@click.option("--missing", is_flag=True, help="Print what the language lacks, as a .po.")
def main(language: str | None, missing: bool) -> None:
    """Bring the catalogues up to date with the code, and say what each lacks."""
    template = collected()
    if language and missing:
        lacking = Catalog(language, project="mb9k", fuzzy=False)
        for message in untranslated(brought_up_to_date(language, template)):
            lacking.add(
                message.id, None, message.locations, auto_comments=message.auto_comments, context=message.context
            )
        sys.stdout.buffer.write(written(lacking))
        return
    TEMPLATE.write_bytes(written(template))
    for each in begun():
        catalogue = brought_up_to_date(each, template)
        (CATALOGUES / f"{each}.po").write_bytes(written(catalogue))
        click.echo(f"{each}: {len(catalogue)} sentences, {len(untranslated(catalogue))} not translated")


if __name__ == "__main__":
    main()
