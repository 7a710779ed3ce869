"""Explain from LanceDB's error why an object store cannot be used, and name the remedy."""

import re

_SETTINGS = "https://docs.lancedb.com/storage/configuration"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or a profile of the AWS command line"
_REASONS = [
    (r"NoSuchBucket", "the bucket does not exist", "Create it, or correct its name."),
    (
        r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|status: 40[13]",
        "the object store refuses these credentials",
        f"Check {_CREDENTIALS}, and their permissions for the bucket.",
    ),
    (r"Failed to get AWS credentials", "no credentials were found", f"Set {_CREDENTIALS}."),
    (
        r"Failed to resolve region",
        "the bucket does not exist, or AWS did not return its region",
        "Correct its name, or set AWS_REGION. For a store other than Amazon's, set AWS_ENDPOINT.",
    ),
    (r"BadScheme", "its endpoint uses http, not https", "Set AWS_ALLOW_HTTP=true to allow that."),
    (
        r"error trying to connect|ConnectError|dns error|kind: Connect|kind: Timeout|timed out",
        "the object store does not answer",
        "Check the network and, for a store other than Amazon's, AWS_ENDPOINT.",
    ),
    (r"No object store provider", "LanceDB does not support this type of address", "Use s3://, gs:// or az://."),
    (
        r"Could not parse bucket|URL did not match any known pattern",
        "the address has no bucket",
        "Write s3://bucket/folder.",
    ),
]


def explain_connection_error(address: str, error: Exception) -> str:
    """The cause and the remedy as a sentence for the user.

    Args:
        address: address of the index in an object store.
        error: the error of the first request to LanceDB.
    """
    message = str(error)
    for pattern, reason, remedy in _REASONS:
        if re.search(pattern, message):
            return f"{address} cannot be used: {reason}. {remedy}"
    first = message.partition(", location:")[0][:500]
    return f"{address} cannot be used: {first}. Its settings are environment variables: {_SETTINGS}"
