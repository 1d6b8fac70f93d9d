"""How the steps of a plan stand on rolls."""

import os
from pathlib import Path

from estinel_assets.publishing.entry_forms import spooled, store_at, words_of
from estinel_assets.publishing.shelves import Form, Row
from estinel_assets.publishing.spool import Spool, SpooledBody
from estinel_assets.publishing.steps import Kind, Step, Verb


def step_form(spool: Spool) -> Form[Step]:
    """The form of steps whose documents are in a spool."""

    def unpack(row: Row) -> Step:
        kind, verb, name, group, *words, size, digest, former_digest = row[:10]
        source, media_type, former_start, former_length, start, length = row[10:]
        former = None if former_start < 0 else SpooledBody(spool, former_start, former_length)
        return Step(
            Kind(kind),
            Verb(verb),
            name,
            group,
            store_at(*words),
            size,
            digest,
            former_digest,
            former,
            None if start < 0 else SpooledBody(spool, start, length),
            None if source is None else Path(os.fsdecode(source)),
            media_type,
        )

    return Form(16, _row, unpack)


def _row(step: Step) -> Row:
    return (
        step.kind,
        step.verb,
        step.name,
        step.group,
        *words_of(step.store),
        step.size,
        step.digest,
        step.former_digest,
        None if step.source is None else os.fsencode(step.source),
        step.media_type,
        *spooled(step.former),
        *spooled(step.body),
    )
