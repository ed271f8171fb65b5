"""Bad input and bad places: one line, a hint, the exit code, nothing lost."""

import errno
import resource
from pathlib import Path

import msgspec
import pytest

from shipkeeper.errors import EXIT_ERROR, EXIT_USAGE, ShipkeeperError
from shipkeeper.store import config as configs
from shipkeeper.store import errors
from shipkeeper.store.blobs import listed
from shipkeeper.store.folder import Folder
from shipkeeper.store.keys import (
    load_reader_key,
    load_writer_key,
    new_reader_key,
    new_writer_key,
    save_reader_key,
    save_writer_key,
)
from shipkeeper.store.location import open_location
from shipkeeper.store.repository import Repository
from shipkeeper.store.verify import verify
from tests.store import s3
from tests.store.shelf import Shelf
from tests.store.stock import READER, WRITER, load, new_repository, plain, reopen, sample, save


def check(error: ShipkeeperError, reason: str, code: int = EXIT_ERROR) -> None:
    assert error.reason == reason
    assert error.exit_code == code
    assert "\n" not in error.message
    assert error.hint


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "s3://", "file://host/x", "s3://bucket/x?y=1", "s3://a@bucket/x"]
)
def test_urls_that_make_no_sense(url: str) -> None:
    with pytest.raises(errors.LocationError) as caught:
        open_location(url)
    check(caught.value, "Location", EXIT_USAGE)


def test_folders(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}", f"file://localhost{tmp_path}"):
        assert open_location(url).url == str(tmp_path)


async def test_wrong_keys_and_wrong_repositories() -> None:
    shelf = Shelf()
    repository = await new_repository(shelf)
    backup = await save(repository, sample(3))
    with pytest.raises(errors.WrongKeyError) as key:
        await Repository.open(shelf, reader=new_reader_key())
    check(key.value, "WrongKey")
    with pytest.raises(errors.WrongRepositoryError) as wrong:
        await Repository.open(shelf, writer=new_writer_key())
    check(wrong.value, "WrongRepository")
    reading = await Repository.open(shelf, reader=READER)
    assert await load(reading, backup) == plain(sample(3))
    with pytest.raises(errors.KeyNeededError) as needed:
        await save(reading, sample(3))
    check(needed.value, "KeyNeeded")
    writing = await Repository.open(shelf, writer=WRITER)
    with pytest.raises(errors.KeyNeededError):
        await writing.snapshot(backup)
    for name in ("", "nothing", "latest-of-all"):
        with pytest.raises(errors.NoSuchBackupError) as missing:
            await reading.find(name)
        check(missing.value, "NoSuchBackup", EXIT_USAGE)


async def test_no_repository_and_a_newer_one() -> None:
    shelf = Shelf()
    with pytest.raises(errors.NoRepositoryError) as none:
        await reopen(shelf)
    check(none.value, "NoRepository")
    newer = {"format": configs.FORMAT + 1, "shape": "not known today"}
    await shelf.create("config", msgspec.json.encode(newer))
    with pytest.raises(errors.NewerFormatError) as refused:
        await reopen(shelf)
    check(refused.value, "NewerFormat")


async def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses in the same place."""
    repository = await new_repository(open_location(str(tmp_path / "r")))
    backup = await save(repository, sample(30))
    before = await listed(repository.access.blobs, "")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(errors.StoreFullError) as full:
            await save(repository, sample(300, seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check(full.value, "NoSpace")
    assert await listed(repository.access.blobs, "") == before
    assert await load(repository, backup) == plain(sample(30))
    assert (await verify(repository)).findings == ()
    await save(repository, sample(300, seed=2))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EROFS, "ReadOnly"),
        (errno.EACCES, "PermissionDenied"),
        (errno.EDQUOT, "NoSpace"),
        (errno.EIO, "StoreFailed"),
    ],
)
async def test_what_the_file_system_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    repository = await new_repository(open_location(str(tmp_path / "r")))
    backup = await save(repository, sample(5))

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(number, "refused", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("shipkeeper.store.folder._write", refuse)
        with pytest.raises(errors.StoreError) as caught:
            await save(repository, sample(5, seed=2))
        check(caught.value, reason)
        assert await load(await reopen(Folder(tmp_path / "r")), backup) == plain(sample(5))


async def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    await save(await new_repository(open_location(str(tmp_path / "r"))), sample(5))
    for path in (tmp_path / "r").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700


async def test_buckets_that_cannot_be_used(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.BucketMissingError) as missing:
        await reopen(open_location("s3://no-such-bucket/x", endpoint=s3_endpoint))
    check(missing.value, "BucketMissing")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        denied_place = open_location(f"s3://{s3.BUCKET}/x", endpoint=s3_endpoint)
        with pytest.raises(errors.AccessDeniedError) as denied:
            await reopen(denied_place)
        check(denied.value, "PermissionDenied")
    patched = {"max_retries": 1}
    monkeypatch.setattr("shipkeeper.store.location.RETRIES", patched)
    with pytest.raises(errors.UnreachableError) as silent:
        await reopen(open_location("s3://bucket/x", endpoint="http://127.0.0.1:1"))
    check(silent.value, "Unreachable")


def test_the_endpoint_comes_from_the_environment(s3_endpoint: str) -> None:
    place = open_location("s3://bucket/x", environment={"AWS_ENDPOINT_URL": s3_endpoint})
    assert s3_endpoint in repr(vars(place)["_bucket"].config)


async def test_credentials_of_a_profile(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    shared = tmp_path / "credentials"
    shared.write_text(
        f"[ours]\naws_access_key_id = {s3.ACCESS}\naws_secret_access_key = {s3.SECRET}\n"
    )
    environment = {
        "AWS_SHARED_CREDENTIALS_FILE": str(shared),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_PROFILE": "ours",
    }
    url = f"s3://{s3.BUCKET}/profile"
    place = open_location(url, endpoint=s3_endpoint, environment=environment)
    await place.create("one", b"1")
    assert await place.read("one") == b"1"
    with pytest.raises(errors.LocationError, match="AWS_PROFILE=theirs"):
        open_location(url, environment={**environment, "AWS_PROFILE": "theirs"})


async def test_settings_by_hand_come_before_the_environment(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    given = {
        "AWS_ACCESS_KEY_ID": s3.ACCESS,
        "AWS_SECRET_ACCESS_KEY": s3.SECRET,
        "AWS_ENDPOINT_URL": s3_endpoint,
    }
    place = open_location(f"s3://{s3.BUCKET}/by-hand", environment={}, settings=given)
    await place.create("one", b"1")
    assert await place.read("one") == b"1"


def test_settings_that_make_no_sense_are_named_without_their_values() -> None:
    given = {"AWS_SECRET_ACES_KEY": "hush", "OTHER": "hush"}
    with pytest.raises(errors.LocationError, match="aws_secret_aces_key") as caught:
        open_location("s3://bucket/x", environment={}, settings=given)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_out_of_a_secret_belongs_to_root_and_the_group_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "writer"
    save_writer_key(path, WRITER)
    path.chmod(0o440)
    with pytest.raises(errors.KeyFileError, match="open to others"):
        load_writer_key(path)
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    assert load_writer_key(path) == WRITER
    for mode in (0o444, 0o460, 0o441):
        path.chmod(mode)
        with pytest.raises(errors.KeyFileError, match="open to others"):
            load_writer_key(path)


def test_key_files(tmp_path: Path) -> None:
    writer, reader = tmp_path / "keys/writer", tmp_path / "keys/reader"
    save_writer_key(writer, WRITER)
    save_reader_key(reader, READER)
    assert load_writer_key(writer) == WRITER
    assert load_reader_key(reader) == READER
    assert READER.identity not in repr(READER)
    assert repr(WRITER.secret) not in repr(WRITER)
    assert {p.stat().st_mode & 0o777 for p in (writer, reader)} == {0o600}
    for save_again in (
        lambda: save_writer_key(writer, WRITER),
        lambda: save_reader_key(reader, READER),
    ):
        with pytest.raises(errors.KeyFileError) as exists:
            save_again()
        check(exists.value, "KeyFile")
    for bad in (lambda: load_writer_key(reader), lambda: load_reader_key(writer)):
        with pytest.raises(errors.KeyFileError):
            bad()
    with pytest.raises(errors.KeyFileError):
        load_reader_key(tmp_path / "none")
    reader.chmod(0o644)
    with pytest.raises(errors.KeyFileError) as opened:
        load_reader_key(reader)
    assert "chmod 600" in opened.value.hint


def test_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "reader"
    save_reader_key(path, READER, "open sesame")
    assert load_reader_key(path, "open sesame") == READER
    with pytest.raises(errors.WrongKeyError):
        load_reader_key(path, "wrong")
    with pytest.raises(errors.KeyFileError, match="passphrase"):
        load_reader_key(path)
