"""The cheapest assignment, beside trying all of them."""

from __future__ import annotations

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from appliance.vision.tracking.assignment import Float64Array, assigned

LIMIT = 10.0


@st.composite
def costs(draw: st.DrawFn) -> Float64Array:
    """Up to 5 x 5, many of them equal, some beyond the limit."""
    rows, columns = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    values = st.one_of(st.integers(0, 4), st.floats(0, 12, allow_nan=False), st.just(np.inf))
    drawn = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    return np.array(drawn, dtype=np.float64).reshape(rows, columns)


def cheapest(matrix: Float64Array) -> float:
    """What the best assignment costs, where each row or column that could have had one and has none costs LIMIT."""
    capped = np.minimum(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T, LIMIT)
    rows, columns = capped.shape
    return min(
        sum(float(capped[row, column]) for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


@hypothesis.given(costs())
@hypothesis.settings(deadline=None, max_examples=150)
def test_no_other_assignment_is_cheaper(matrix: Float64Array) -> None:
    pairs = assigned(matrix, LIMIT)
    left_over = min(matrix.shape) - len(pairs)
    assert sum(matrix[pair] for pair in pairs) + left_over * LIMIT == pytest.approx(cheapest(matrix))


@hypothesis.given(costs())
@hypothesis.settings(deadline=None)
def test_each_row_and_column_is_given_once_and_none_beyond_the_limit(matrix: Float64Array) -> None:
    pairs = assigned(matrix, LIMIT)
    rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
    assert rows == sorted(set(rows))
    assert len(columns) == len(set(columns))
    assert all(matrix[pair] < LIMIT for pair in pairs)


def test_the_nearest_pair_yields_where_that_is_cheaper_in_all() -> None:
    assert assigned(np.array([[1.0, 2.0], [2.0, 9.0]]), LIMIT) == [(0, 1), (1, 0)]


def test_a_crowd_is_assigned() -> None:
    order = np.random.default_rng(1).permutation(40)
    matrix = np.random.default_rng(2).uniform(1, 5, (40, 40))
    matrix[np.arange(40), order] = 0.5
    assert assigned(matrix, LIMIT) == list(enumerate(order.tolist()))


def test_more_rows_than_columns() -> None:
    assert assigned(np.array([[5.0], [3.0], [4.0]]), LIMIT) == [(1, 0)]
