"""Configurations that webMUSHRA loads as they are meant: an overlay of YAML and sounds for a clone of it."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldmbench.host.files import replacing
from ldmbench.listening.pack import Block, Pack, Page
from ldmbench.listening.stimuli import MTIME

#: The part of a pack that is copied onto a clone of webMUSHRA; all its paths are relative to it.
WEB = "web"

#: The largest number of conditions that webMUSHRA takes on a page, hidden reference and anchors among them.
MOST_SLIDERS = 12


def config_name(pack: Pack, block: Block) -> str:
    """File name of a block's configuration: what stands behind ``?config=``."""
    return f"{pack.id}-{block.id}.yaml"


def test_id(pack: Pack, block: Block) -> str:
    """``testId`` of a block, which its table of results repeats: the table does not name the configuration."""
    return f"{pack.id}-{block.id}"


def config(pack: Pack, block: Block) -> str:
    """The configuration of a block.

    webMUSHRA's reader of YAML is not PyYAML: texts stand in double quotes on one line without escapes, and lists within
    lists on lines of their own. The hidden reference is not listed, because webMUSHRA adds it.

    Source: audiolabs/webMUSHRA at 07130f2, ``startup.js``, ``lib/external/yaml.js``.
    """
    pages = {page.id: page for page in pack.pages}
    question = pack.criteria[0].question
    lines = [
        f"testname: {quoted(pack.title)}",
        f"testId: {quoted(test_id(pack, block))}",
        "bufferSize: 2048",
        "stopOnErrors: true",
        "showButtonPreviousPage: false",
        'remoteService: "service/write.php"',
        "pages:",
        *_page("consent", "consent", "Consent", paragraphs((*pack.marks, *pack.words.consent)), ["mustConsent: true"]),
        *_page("generic", "instructions", "Instructions", paragraphs(pack.words.instructions)),
    ]
    loudest = (pack.training or pages[block.pages[0]]).reference
    if loudest is not None:
        text = ("Set the volume so that you hear this sound comfortably, and leave it there.",)
        extra = [f"stimulus: {quoted(_web(loudest.file))}", "defaultVolume: 0.5"]
        lines += _page("volume", "volume", "Volume", paragraphs(text), extra)
    if pack.training is not None:
        lines += _mushra(pack.training, "Training", paragraphs((*pack.words.training, question)))
    for number, name in enumerate(block.pages, 1):
        lines += _mushra(pages[name], f"Page {number} of {len(block.pages)}", paragraphs((question,)))
    lines += _finish(pack)
    return "\n".join(lines) + "\n"


def write_configs(pack: Pack, folder: Path) -> list[Path]:
    """Write the configurations of all blocks below ``folder / WEB / configs``."""
    paths = []
    for block in pack.blocks:
        path = folder / WEB / "configs" / config_name(pack, block)
        with replacing(path) as handle:
            handle.write(config(pack, block).encode())
        os.utime(path, (MTIME, MTIME))
        paths.append(path)
    return paths


def quoted(text: str) -> str:
    """A text in double quotes on one line, with nothing in it that webMUSHRA's reader would take for an escape."""
    plain = " ".join(text.split()).replace("\\", "/").replace('"', "″")
    return f'"{plain}"'


def paragraphs(texts: Sequence[str]) -> str:
    """Texts as HTML paragraphs, on one line."""
    return "".join(f"<p>{html.escape(text, quote=True)}</p>" for text in texts)


def _page(kind: str, name: str, title: str, content: str, extra: Sequence[str] = ()) -> Iterator[str]:
    yield "    -"
    yield f'        type: "{kind}"'
    yield f'        id: "{name}"'
    yield f"        name: {quoted(title)}"
    yield f"        content: {quoted(content)}"
    for line in extra:
        yield f"        {line}"


def _mushra(page: Page, title: str, content: str) -> Iterator[str]:
    reference = page.reference
    assert reference is not None, "MUSHRA has a reference"
    hidden = hidden_reference(page)
    extra = [
        "showWaveform: false",
        "enableLooping: true",
        "strict: true",
        f"reference: {quoted(_web(reference.file))}",
        "createAnchor35: false",
        "createAnchor70: false",
        "randomize: true",
        "showConditionNames: false",
        "switchBack: false",
        "stimuli:",
        *(f"    {sound.key}: {quoted(_web(sound.file))}" for sound in page.stimuli if sound.key != hidden),
    ]
    yield from _page("mushra", page.id, title, content, extra)


def hidden_reference(page: Page) -> str:
    """Key of the stimulus that is the reference itself: its file is the reference's, byte by byte."""
    reference = page.reference
    same = [sound.key for sound in page.stimuli if reference is not None and sound.sha256 == reference.sha256]
    return same[0] if same else ""


def _finish(pack: Pack) -> Iterator[str]:
    extra = [
        f"popupContent: {quoted(paragraphs(pack.words.thanks))}",
        "showResults: false",
        "writeResults: true",
        "showErrors: true",
        "questionnaire:",
        "    -",
        '        type: "likert"',
        '        name: "headphones"',
        '        label: "Did you use headphones?"',
        "        response:",
        *(
            line
            for value in ("yes", "no")
            for line in ("            -", f'                value: "{value}"', f'                label: "{value}"')
        ),
    ]
    yield from _page("finish", "finish", "End", paragraphs(("One question, then send your ratings.",)), extra)


def _web(file: str) -> str:
    return file.removeprefix(f"{WEB}/")
