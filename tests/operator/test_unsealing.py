"""Identities under a passphrase: opened beside the event loop, once for each Secret's version."""

import asyncio

import pyrage
import pytest

from shipkeeper.operator.backups.unsealing import Identities, unsealed
from shipkeeper.store.errors import KeyFileError, WrongKeyError
from shipkeeper.store.keys import ReaderKey, new_reader_key

SOURCE = "reader.age of Secret x/y"
KEY = new_reader_key()
PLAIN = f"# a comment\n{KEY.identity}\n".encode()


async def test_an_identity_is_opened_beside_the_event_loop() -> None:
    content = pyrage.passphrase.encrypt(PLAIN, "open sesame")
    turns = 0
    opening = asyncio.create_task(unsealed(content, SOURCE, "open sesame"))
    while not opening.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert await opening == KEY
    # Were it opened here, there would be none while that goes on.
    assert turns > 20
    with pytest.raises(WrongKeyError, match=SOURCE):
        await unsealed(content, SOURCE, "something else")
    with pytest.raises(KeyFileError, match="needs its passphrase"):
        await unsealed(content, SOURCE, "")


async def test_one_that_is_not_sealed_takes_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere")
    assert await unsealed(PLAIN, SOURCE, "") == KEY
    assert await unsealed(PLAIN, SOURCE, "a passphrase that nobody needs") == KEY
    with pytest.raises(KeyFileError, match="holds no age identity"):
        await unsealed(b"nonsense", SOURCE, "")


async def test_a_secret_is_opened_once_until_it_is_another() -> None:
    identities = Identities()
    under_way = opened = 0

    async def read() -> ReaderKey:
        nonlocal under_way, opened
        opened += 1
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0)
        under_way -= 1
        return KEY

    found = await asyncio.gather(*(identities.get("a", "1", read) for _ in range(3)))
    assert (found, opened) == ([KEY] * 3, 1)
    await identities.get("a", "2", read)
    await asyncio.gather(identities.get("b", "2", read), identities.get("c", "2", read))
    assert opened == 4
    await identities.get("a", "2", read)
    assert opened == 4
    identities.keep({"a", "b"})
    identities.forget("b")
    await identities.get("a", "2", read)
    assert opened == 4
    await asyncio.gather(identities.get("b", "2", read), identities.get("c", "2", read))
    assert opened == 6
