"""Make the JSON Schemas of the files that other programs read: the config, summary.json and bounds.json."""

from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DataclassSchema, WithDefaultSchema

from lrrt import Bounds, RangeCurve
from lrrt.range_result import BoundsFile
from pipeline.config.tables import StageConfig
from pipeline.results.summary_file import Best, Summary

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES = {
    "summary": (Summary, "summary.json: what a stage of lrrt found"),
    "bounds": (BoundsFile, "bounds.json: what range tests found"),
}
MAY_GROW = (Best, Bounds, RangeCurve)  # readers must accept unknown keys in these
MAY_LACK = {RangeCurve: ("monitor", "monitored", "num_steps", "untrained")}  # keys that older files do not have


def schema_of(file: Literal["config", "summary", "bounds"]) -> dict[str, Any]:
    """Return the JSON Schema of a file."""
    if file == "config":
        return {"$schema": DIALECT, **StageConfig.model_json_schema()}
    record, title = FILES[file]
    made = TypeAdapter(record).json_schema(mode="serialization", schema_generator=_OfWrittenRecords)
    return {"$schema": DIALECT, **made, "title": title}


class _OfWrittenRecords(GenerateJsonSchema):
    """Describe written records: they have every key, and most of them have no other."""

    def dataclass_schema(self, schema: DataclassSchema) -> JsonSchemaValue:
        made, record = super().dataclass_schema(schema), schema["cls"]
        made["required"] = [name for name in made["properties"] if name not in MAY_LACK.get(record, ())]
        made["additionalProperties"] = record in MAY_GROW
        made.pop("description", None)  # a docstring is for readers of the code
        return made

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Leave out defaults, since every key is written."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles that only repeat a key."""
        return False
