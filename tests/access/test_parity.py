"""Random policies and questions: the evaluator answers as the real API server does.

bench/access.py asks a hundred thousand times; with SHIPKEEPER_EXHAUSTIVE=1 there are three policies
here instead of one.
"""

import os
from pathlib import Path

from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.fuzz import Fuzz
from tests.access.parity import compare, fuzzed_cluster, servers

ROUNDS = 3 if os.environ.get("SHIPKEEPER_EXHAUSTIVE") else 1
QUESTIONS = 250
SERVERS = 2


async def test_answers_are_those_of_the_server(sandbox: Sandbox, tmp_path: Path) -> None:
    fuzz = Fuzz(seed=20)
    async with (
        fuzzed_cluster(sandbox, fuzz) as connection,
        servers(sandbox, tmp_path, fuzz, count=SERVERS) as running,
    ):
        tally = await compare(connection, fuzz, running, rounds=ROUNDS, questions=QUESTIONS)
    assert tally.mismatches == []
    assert tally.reviews == ROUNDS * QUESTIONS * SERVERS
    # The questions are worth asking: all outcomes are among the answers.
    assert min(tally.allowed, tally.denied, tally.errors, tally.invalid) > 0
