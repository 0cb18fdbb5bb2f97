"""A registry's error as the error of what was asked for, in dockerd's words."""

from corten import errors
from corten.distribution.failure import Answered
from corten.oci.reference import Reference


def translated(error: Answered) -> errors.CortenError:
    """By the status and the code; the text stays."""
    text = str(error)
    if error.code == "UNAUTHORIZED" or error.status == 401:
        return errors.Unauthenticated(text)
    if error.code == "DENIED" or error.status == 403:
        return errors.Forbidden(error.detail)
    if error.status == 404:
        return errors.NotFound(text)
    if error.code == "TOOMANYREQUESTS" or error.status == 429:
        return errors.Unavailable(error.detail if error.codes else f"toomanyrequests: {error.detail}")
    if error.status >= 500 or error.status == 408:
        return errors.Unavailable(f"received unexpected HTTP status: {error.status}: {error.detail}")
    return errors.InvalidArgument(text)


def plain(error: Answered) -> errors.CortenError:
    """By the code alone, and with nothing but the registry's words: what stands behind a name was asked."""
    if error.codes and error.code in ("DENIED", "MANIFEST_UNKNOWN", "NAME_UNKNOWN", "UNAUTHORIZED"):
        kinds = {"DENIED": errors.Forbidden, "UNAUTHORIZED": errors.Unauthenticated}
        return kinds.get(error.code, errors.NotFound)(error.detail)
    return translated(error)


def not_found(error: Answered, reference: Reference, name: str) -> errors.CortenError:
    """Of a pull. A registry does not tell what is not there from what may not be seen, so neither does Docker."""
    familiar = reference.familiar_name()
    if error.code == "DENIED":
        return errors.NotFound(
            f"pull access denied for {familiar}, repository does not exist or may require 'docker login': "
            f"{error.detail}"
        )
    if error.code == "MANIFEST_UNKNOWN":
        mark = "@" if ":" in name else ":"
        return errors.NotFound(f"manifest for {familiar}{mark}{name} not found: {error.detail}")
    if error.code == "NAME_UNKNOWN":
        return errors.NotFound(f"repository {familiar} not found: {error.detail}")
    if error.code == "BLOB_UNKNOWN":
        return errors.NotFound(f"blob {name} of {familiar} not found: {error.detail}")
    return translated(error)


def denied_push(error: Answered, reference: Reference) -> errors.CortenError:
    """Of a push."""
    if error.code == "DENIED":
        return errors.Forbidden(error.detail)
    return translated(error)
