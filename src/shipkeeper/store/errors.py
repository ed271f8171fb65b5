"""Everything that can go wrong with a repository and the place it lies in, each with its hint."""

from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError


class StoreError(ShipkeeperError):
    """A failure of the repository or of the place it lies in; subclasses name the reason."""

    reason_word = "StoreFailed"
    advice = "Look at the place the repository lies in."

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, reason=self.reason_word, hint=hint or self.advice)


class UnreachableError(StoreError):
    """The object store does not answer."""

    reason_word = "Unreachable"
    advice = "Check the endpoint, the network and the proxy; nothing visible was changed."


class AccessDeniedError(StoreError):
    """The object store or the file system refuses the operation."""

    reason_word = "PermissionDenied"
    advice = "Check the credentials in the environment and what they may do there."


class ReadOnlyStoreError(StoreError):
    """The place cannot be written to."""

    reason_word = "ReadOnly"
    advice = "Reading works; to write, mount it writable or choose another place."


class StoreFullError(StoreError):
    """No space is left."""

    reason_word = "NoSpace"
    advice = "Make room and run it again: nothing visible was changed, older backups are intact."


class BucketMissingError(StoreError):
    """The bucket or container does not exist."""

    reason_word = "BucketMissing"
    advice = "Create the bucket, or correct its name; shipkeeper makes no buckets."


class BlobMissingError(StoreError):
    """A blob that should be there is not."""

    reason_word = "BlobMissing"
    advice = "Run verify: it names what is missing and which backups need it."


class BlobExistsError(StoreError):
    """The name of a new blob is taken."""

    reason_word = "BlobExists"
    advice = "Run it again: another writer was at work."


class NoRepositoryError(StoreError):
    """There is no repository."""

    reason_word = "NoRepository"
    advice = "Check the URL, or create the repository first."


class RepositoryExistsError(StoreError):
    """There is a repository already."""

    reason_word = "RepositoryExists"
    advice = "Open it with its own keys, or choose another place."


class NewerFormatError(StoreError):
    """The repository was written by a newer shipkeeper."""

    reason_word = "NewerFormat"
    advice = "Use a newer shipkeeper."


class WrongKeyError(StoreError):
    """The key does not open what it should."""

    reason_word = "WrongKey"
    advice = "Use the key file made for this repository."


class WrongRepositoryError(StoreError):
    """The writer's key belongs to another repository."""

    reason_word = "WrongRepository"
    advice = "Check the URL and the key file: they do not belong together."


class KeyNeededError(StoreError):
    """The operation needs a key the repository was not opened with."""

    reason_word = "KeyNeeded"
    advice = "Name the key file."


class KeyFileError(StoreError):
    """A key file cannot be used."""

    reason_word = "KeyFile"
    advice = "Check the path and the file."


class DamagedError(StoreError):
    """Stored bytes are not what was written."""

    reason_word = "Damaged"
    advice = "Run verify: it names everything damaged and which backups need it."


class LocationError(UsageError):
    """A repository URL makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            reason="Location",
            hint="Use /folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or "
            "az://container/prefix.",
        )


class NoSuchBackupError(UsageError):
    """No backup, or more than one, has that name."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="NoSuchBackup", hint="List the backups and name one.")


class ForgottenError(BlockedError):
    """A backup's name was forgotten before, or while it was made; nothing of it is visible."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"backup {name} was forgotten, and no other is ever made under its name",
            reason="Forgotten",
            hint="Make another backup; what is stored already is found again.",
        )


class OutlivedError(BlockedError):
    """A backup took so long that a prune may already take away what it builds on."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            reason="Outlived",
            hint="Run the backup again; most of it is stored already. Prune with a longer grace.",
        )
