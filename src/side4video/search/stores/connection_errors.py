"""Explain from LanceDB's error why an object store cannot be used, and name the remedy."""

import re

_SETTINGS = "https://docs.lancedb.com/storage/configuration"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or a profile of the AWS command line"
_REASONS = [
    (r"NoSuchBucket", "there is no such bucket", "Make it first, or correct its name."),
    (
        r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|status: 40[13]",
        "the object store refuses these credentials",
        f"Check {_CREDENTIALS}, and what they are allowed to do in the bucket.",
    ),
    (r"Failed to get AWS credentials", "there are no credentials", f"Give them: {_CREDENTIALS}."),
    (
        r"Failed to resolve region",
        "there is no such bucket, or AWS cannot be asked for its region",
        "Correct its name, or set AWS_REGION; for a store that is not Amazon's set AWS_ENDPOINT.",
    ),
    (r"BadScheme", "its address is http, not https", "Set AWS_ALLOW_HTTP=true if that is meant."),
    (
        r"error trying to connect|ConnectError|dns error|kind: Connect|kind: Timeout|timed out",
        "the object store does not answer",
        "Check the network, and AWS_ENDPOINT if it is not Amazon's.",
    ),
    (r"No object store provider", "LanceDB knows no such kind of address", "It takes s3://, gs:// and az://."),
    (r"Could not parse bucket|URL did not match any known pattern", "it names no bucket", "Write s3://bucket/folder."),
]


def why_unreachable(address: str, error: Exception) -> str:
    """The cause and the remedy as a sentence for the user.

    Args:
        address: address of the index in an object store.
        error: the error of the first request to LanceDB.
    """
    said = str(error)
    for pattern, reason, remedy in _REASONS:
        if re.search(pattern, said):
            return f"{address} cannot be used: {reason}. {remedy}"
    first = said.partition(", location:")[0][:500]
    return f"{address} cannot be used: {first}. Its settings come from the environment: {_SETTINGS}"
