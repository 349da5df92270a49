"""``swf://region/domain``, as on the command line."""

from urllib.parse import parse_qs, unquote, urlsplit

from pyworkflow.backend.amazonswf.backend import AmazonSWFBackend
from pyworkflow.errors import InvalidRequestError
from pyworkflow.swf.settings import VERSION

FORM = "must be swf://region/domain, with ?blobs=s3://bucket/prefix, &version=… and &lambda_role=… as you like"


def open_url(url: str) -> AmazonSWFBackend:
    """Return the backend of a URL. Credentials, and another endpoint, come from where boto3 looks for them.

    Raises:
        InvalidRequestError: The URL has another form.
    """
    parts = urlsplit(url)
    domain = unquote(parts.path.strip("/"))
    options = parse_qs(parts.query, keep_blank_values=True)
    known = {"blobs", "version", "lambda_role"}
    if not parts.netloc or not domain or "/" in domain or set(options) - known:
        raise InvalidRequestError(f"backend {url!r}", FORM)
    given = {name: values[-1] for name, values in options.items()}
    return AmazonSWFBackend(
        region=parts.netloc,
        domain=domain,
        version=given.get("version", VERSION),
        lambda_role=given.get("lambda_role"),
        blobs=given.get("blobs"),
    )
