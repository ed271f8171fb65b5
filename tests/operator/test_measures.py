"""What the operator tells of its reconciles: each kind by itself."""

import pytest

from shipkeeper.operator.measures import Measures


def test_a_kind_with_many_quick_reconciles_hides_no_slow_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("shipkeeper.operator.measures.time.perf_counter", lambda: now)
    measures = Measures()
    for kind, seconds in [*[("MaintenanceWindow", 0.25)] * 200, ("Restore", 8.0)]:
        with measures.reconciling(kind):
            now += seconds
    said = measures.expose()
    name = "shipkeeper_operator_reconcile_seconds"
    for line in (
        '{kind="MaintenanceWindow",quantile="0.99"} 0.25',
        '{kind="Restore",quantile="0.99"} 8.0',
        '_sum{kind="MaintenanceWindow"} 50.0',
        '_count{kind="Restore"} 1',
    ):
        assert f"{name}{line}\n" in said
