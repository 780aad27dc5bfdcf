"""The assignment problem: each row of a cost matrix gets a column of its own, so that the sum is smallest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def assigned(costs: Float64Array, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the assignment whose sum is smallest, where a row left without a column costs `limit`.

    costs: N x M, not negative; a pair that costs `limit` or more (infinity, too) is never given. In the order of rows.

    Shortest augmenting paths (Jonker & Volgenant 1987), as in SciPy's `linear_sum_assignment` (Crouse 2016): the rows
    whose cheapest column nobody else wants have it, the others are put in one by one, each by the cheapest chain of
    moves. At most N * N * M steps, a fraction of a millisecond for 20 x 20.
    """
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in assigned(costs.T, limit))
    if not costs.size:
        return []
    capped = np.minimum(costs, limit)
    column_of, row_of, prices = _cheapest_first(capped)
    for row in range(len(capped)):
        if column_of[row] < 0:
            _put_in(row, capped, column_of, row_of, prices)
    return [(row, column) for row, column in enumerate(column_of.tolist()) if costs[row, column] < limit]


def _cheapest_first(costs: Float64Array) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Float64Array, ...]]:
    """Of each row its column, of each column its row (-1: none yet), and the dual prices of rows and columns."""
    rows, columns = costs.shape
    column_of, row_of = np.full(rows, -1), np.full(columns, -1)
    for row, column in enumerate(costs.argmin(axis=1).tolist()):
        if row_of[column] < 0:
            column_of[row], row_of[column] = column, row
    return column_of, row_of, (costs.min(axis=1), np.zeros(columns))


def _put_in(
    start: int,
    costs: Float64Array,
    column_of: NDArray[np.int64],
    row_of: NDArray[np.int64],
    prices: tuple[Float64Array, ...],
) -> None:
    """Give the row `start` a column, by the shortest path of moves to one that is free (Dijkstra on reduced costs)."""
    row_price, column_price = prices
    shortest = np.full(costs.shape[1], np.inf)  # of each column, from `start`
    before = np.full(costs.shape[1], start)  # the row before it on the way
    open_ = np.ones(costs.shape[1], dtype=bool)
    rows, row, reached = [start], start, 0.0
    while True:
        way = reached + costs[row] - row_price[row] - column_price
        nearer = open_ & (way < shortest)
        shortest[nearer], before[nearer] = way[nearer], row
        column = int(np.where(open_, shortest, np.inf).argmin())
        reached = float(shortest[column])
        open_[column] = False
        if row_of[column] < 0:
            break
        row = int(row_of[column])
        rows.append(row)
    row_price[start] += reached
    for other in rows[1:]:
        row_price[other] += reached - shortest[column_of[other]]
    closed = ~open_
    column_price[closed] -= reached - shortest[closed]
    while True:
        row = int(before[column])
        row_of[column] = row
        column_of[row], column = column, int(column_of[row])
        if row == start:
            return
