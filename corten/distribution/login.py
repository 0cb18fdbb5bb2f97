"""``docker login``: does a registry take a credential?"""

from corten import errors
from corten.distribution import challenge
from corten.distribution.credential import Credential
from corten.distribution.failure import Answered
from corten.distribution.session import Session

SUCCESS = "Login Succeeded"


def login(session: Session, credential: Credential) -> tuple[str, str]:
    """(status, identity token). Unauthenticated, in the registry's words, when it says no."""
    answer = session.probe("/v2/")
    if answer.status not in (200, 401):
        raise _failed(session.failure(answer))
    if answer.status == 200:
        answer.discard()
        return SUCCESS, ""  # a registry that asks for nothing takes anything
    if not credential:
        answer.discard()
        raise errors.Unauthenticated(f'Get "{answer.url}": unauthorized: authentication required')
    bearer = next(
        (each for each in challenge.parse(answer.headers("WWW-Authenticate")) if each.scheme == "bearer"), None
    )
    session.authorizer.learn(answer)
    answer.discard()
    try:
        if bearer is None or not bearer.realm or credential.registry_token:
            return _by_password(session)
        token = session.authorizer.token(bearer, (), offline=True)
        proof = {"Authorization": f"Bearer {token.value}"}
        answer = session.probe("/v2/", headers=proof)
        if answer.status != 200:
            raise session.failure(answer)
        answer.discard()
    except Answered as error:
        raise _failed(Answered("GET", session.url("/v2/"), error.status, error.codes, error.detail)) from error
    return SUCCESS, token.refresh


def _by_password(session: Session) -> tuple[str, str]:
    try:
        session.request("GET", "/v2/", ()).discard()
    except Answered as error:
        if error.status != 401:
            raise
        text = f"login attempt to {session.url('/v2/')} failed with status: 401 Unauthorized"
        raise errors.Unauthenticated(text) from error
    return SUCCESS, ""


def _failed(error: Answered) -> errors.CortenError:
    if error.status in (400, 401, 403):
        return errors.Unauthenticated(
            str(error) if error.codes or "unauthorized" in error.detail else f"{error}: unauthorized"
        )
    if error.status == 404:
        return errors.NotFound(f"login attempt to {error} failed with status: 404 Not Found")
    if error.status >= 500 or error.status == 429:
        return errors.Unavailable(str(error))
    return errors.InvalidArgument(str(error))
