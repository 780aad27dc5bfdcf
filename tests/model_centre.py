"""A model of what a centre does with sums: the rules of the protocol, in memory, without a broker or a database."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.messages import Hello, Row, Sums

Key = tuple[str, int, int]


@dataclass
class ModelCentre:
    """Rows by (epoch, stream, minute), and watermarks by epoch, of one box."""

    rows: dict[Key, Row] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    gaps: int = 0

    def take(self, sums: Sums) -> dict[str, int]:
        """Keep what is newer, and answer up to where this epoch is complete."""
        for row in sums.rows:
            key = (sums.epoch, row.stream, row.minute)
            known = self.rows.get(key)
            if known is None or row.seq > known.seq:
                self.rows[key] = row
        mark = self.marks.get(sums.epoch, 0)
        if sums.after is not None and sums.upto is not None:
            if sums.after > mark:
                self.gaps += 1
            else:
                mark = max(mark, sums.upto)
        self.marks[sums.epoch] = mark
        return {sums.epoch: mark}

    def greet(self, hello: Hello) -> dict[str, int]:
        """Up to where each epoch that was named is complete."""
        return {epoch: self.marks.get(epoch, 0) for epoch in hello.tops}

    def copy(self) -> ModelCentre:
        """As a backup has it."""
        return ModelCentre(dict(self.rows), dict(self.marks), self.gaps)
