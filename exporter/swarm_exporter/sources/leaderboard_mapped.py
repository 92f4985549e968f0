"""A board of any shape, by its mapping: bytes -> the same table that upstream's own shape gives."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from swarm_exporter.config.mapping import OF_ROOT, Mapping
from swarm_exporter.json_path import find
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.json_mapping import Row as Found
from swarm_exporter.sources.json_mapping import Values, decode_json, fields_in, rows_of
from swarm_exporter.sources.leaderboard_json import (
    Row,
    Table,
    make_table,
    refuse_garbage,
    refuse_too_many,
)


def decode_mapped_board(body: bytes | bytearray, mapping: Mapping) -> Table:
    """Decode a board: `reward` is its cumulative figure, `score` the last one.

    A peer's place is its `rank` where that is mapped and usable, else its position in the list. A
    row without a usable id is lost; a field that no row has is one defect, whatever their number.
    Raises SourceError (invalid_json, wrong_shape, too_large) where the whole is no board.
    """
    document = decode_json(body)
    rows = rows_of(document, mapping)
    refuse_too_many(len(rows))
    values = Values()
    if rows:
        mapped = tuple(name for name in mapping.given() if name not in OF_ROOT)
        absent = len(mapped) - len(list(fields_in(rows, mapping, mapped)))
        values.defects += [Reason.INVALID_VALUE] * absent
    total = values.whole(find(mapping.total, document)) if mapping.total is not None else None
    table = make_table(_listed(rows, mapping, values), total, len(rows), values.defects)
    # Of equal ranks the list's own order decides.
    in_order = sorted(table.rows, key=lambda placed: placed[0])
    return msgspec.structs.replace(table, rows=in_order)


def _listed(rows: list[Found], mapping: Mapping, values: Values) -> Iterator[tuple[int, Row]]:
    for position, found in enumerate(rows, 1):
        peer_id = values.text(found.at(mapping.id))
        rank = values.whole(found.at(mapping.rank), least=1)
        row = Row(
            id=peer_id or "",
            nickname=values.text(found.at(mapping.nickname)) or "",
            recorded_round=values.whole(found.at(mapping.round)),
            recorded_stage=values.whole(found.at(mapping.stage)),
            cumulative_reward=values.figure(found.at(mapping.reward)),
            last_score=values.figure(found.at(mapping.score)),
            participation=values.figure(found.at(mapping.participation)),
        )
        refuse_garbage(values.defects)
        yield position if rank is None else rank, row
