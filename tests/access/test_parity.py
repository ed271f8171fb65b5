"""Random policies and questions: the evaluator answers as the real API server does."""

from pathlib import Path

from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.fuzz import Fuzz
from tests.access.parity import compare, fuzzed_cluster, servers


async def test_answers_are_those_of_the_server(sandbox: Sandbox, tmp_path: Path) -> None:
    fuzz = Fuzz(seed=20)
    async with (
        fuzzed_cluster(sandbox, fuzz) as connection,
        servers(sandbox, tmp_path, fuzz, count=2) as running,
    ):
        tally = await compare(connection, fuzz, running, rounds=3, questions=250)
    assert tally.mismatches == []
    assert tally.reviews == 1500
    # The questions are worth asking: all outcomes are among the answers.
    assert min(tally.allowed, tally.denied, tally.errors, tally.invalid) > 5
