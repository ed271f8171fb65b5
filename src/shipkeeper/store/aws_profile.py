"""Static credentials out of the files that AWS' own tools write; obstore reads variables alone."""

from collections.abc import Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import TYPE_CHECKING

from shipkeeper.store.errors import LocationError

if TYPE_CHECKING:
    from obstore.store import S3Config


def profile(environment: Mapping[str, str]) -> "S3Config":
    """Keys and region of AWS_PROFILE, or of `default`; empty where variables give the keys.

    LocationError when AWS_PROFILE names a profile that is in neither file, or a file is malformed.
    """
    if environment.get("AWS_ACCESS_KEY_ID"):
        return {}
    home = Path(environment.get("HOME", "~")).expanduser() / ".aws"
    shared = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"))
    config = Path(environment.get("AWS_CONFIG_FILE", home / "config"))
    name = environment.get("AWS_PROFILE", "default")
    section = name if name == "default" else f"profile {name}"
    found = {**_section(config, section), **_section(shared, name)}
    if not found and "AWS_PROFILE" in environment:
        raise LocationError(f"AWS_PROFILE={name}: neither {shared} nor {config} has that profile")
    credentials: S3Config = {}
    if "aws_access_key_id" in found and "aws_secret_access_key" in found:
        credentials["access_key_id"] = found["aws_access_key_id"]
        credentials["secret_access_key"] = found["aws_secret_access_key"]
        if token := found.get("aws_session_token"):
            credentials["session_token"] = token
    if "region" in found and not (
        environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    ):
        credentials["region"] = found["region"]
    return credentials


def _section(path: Path, name: str) -> dict[str, str]:
    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read(path)
    except (Error, OSError, UnicodeDecodeError) as error:
        raise LocationError(f"{path} cannot be read: {type(error).__name__}") from error
    return dict(parser[name]) if name in parser else {}
