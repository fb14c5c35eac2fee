"""The JSON Schema of pipeline files: what an editor may know before anything is run.

Which keys there are comes from the tables that the reader uses; what stands at a key
is said in ``editor_schema/``. The reader knows more (signatures, conditions, who makes
what), so a file that fits the schema may still be wrong; and an empty value
(``timeout:``), which is missing for the reader, is none that an editor lets pass.
"""

import json
from collections.abc import Mapping

from streams.catalog import STAGE_KINDS
from streams.editor_schema.file_keys import FILE_KEYS
from streams.editor_schema.flow_items import DEFINITIONS
from streams.editor_schema.stage_keys import KIND_KEYS, NEEDED, STAGE_KEYS
from streams.editor_schema.words import SIGNATURE, TARGET, Schema, object_of
from streams.language.pipeline_file import KEYS
from streams.language.stage_file import stage_keys
from streams.language.stage_spec import StageKind


def pipeline_schema_text() -> str:
    """Return the schema as it is published: ``docs/pipeline-schema.json``."""
    text = json.dumps(pipeline_schema(STAGE_KINDS), indent=2, ensure_ascii=False)
    return f"{text}\n"


def pipeline_schema(kinds: Mapping[str, StageKind]) -> Schema:
    """Return the schema of a file whose stages are of *kinds*."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pipeline of penstock",
        **object_of(
            {key: FILE_KEYS[key] for key in KEYS},
            needed=("pipeline", "version", "input", "output", "flow"),
        ),
        "$defs": {
            **DEFINITIONS,
            "stage": {
                "type": "object",
                "oneOf": [_stage(name, kind) for name, kind in kinds.items()],
            },
        },
    }


def _stage(name: str, kind: StageKind) -> Schema:
    keys = {key: _key(name, key) for key in stage_keys(kind)}
    what = SIGNATURE if kind.describe is None else TARGET
    schema = object_of({name: what, **keys}, needed=(name, *NEEDED.get(name, ())))
    return {"title": name, **schema}


def _key(kind: str, key: str) -> Schema:
    return KIND_KEYS.get((kind, key)) or STAGE_KEYS[key]
