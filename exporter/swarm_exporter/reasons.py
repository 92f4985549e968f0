"""Why a source failed or lost a value: a fixed list, each with its text for people.

The enum's values are the `reason` label of `swarm_source_errors_total`.
"""

from __future__ import annotations

from enum import Enum


class Reason(str, Enum):
    """One kind of fault of a source."""

    REFUSED = "refused"
    DNS = "dns"
    TIMEOUT = "timeout"
    TLS = "tls"
    CONNECTION = "connection"
    REDIRECT = "redirect"
    HTML = "html"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    NAN = "nan"
    NOT_READY = "not_ready"
    STALE = "stale"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    INVALID_JSON = "invalid_json"
    WRONG_SHAPE = "wrong_shape"
    INVALID_VALUE = "invalid_value"
    DUPLICATE_PEER = "duplicate_peer"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    PERMISSION = "permission"
    TOOL_FAILED = "tool_failed"
    MALFORMED = "malformed"
    DEVICE_LOST = "device_lost"
    RPC_ERROR = "rpc_error"
    OTHER_CHAIN = "other_chain"
    NO_CONTRACT = "no_contract"
    EXTRA_MISSING = "extra_missing"
    NO_LOG = "no_log"
    SKIPPED = "skipped"
    INTERNAL = "internal"


_LEADERBOARD_HINT = (
    "RL Swarm v0.2 to v0.4.4 serves the leaderboard from web/api (port 8000 unless SWARM_UI_PORT "
    "says otherwise); later versions have none. Point --api-port or --api-url at it."
)

#: What has happened, in words for a person.
MEANING: dict[Reason, str] = {
    Reason.REFUSED: "nothing listens at the address",
    Reason.DNS: "the host name is not known",
    Reason.TIMEOUT: "no whole answer within the timeout",
    Reason.TLS: "the TLS handshake or certificate failed",
    Reason.CONNECTION: "the connection broke before the answer was whole",
    Reason.REDIRECT: "the address redirects elsewhere; redirects are not followed",
    Reason.HTML: "the address answers with a web page, not with an API",
    Reason.NOT_FOUND: "the address answers 404: what was asked for is not there",
    Reason.RATE_LIMITED: "the address answers 429: it was asked too often",
    Reason.HTTP_4XX: "the address refuses the request (HTTP 4xx)",
    Reason.HTTP_5XX: "the API answers with a server error (HTTP 5xx)",
    Reason.NAN: "a peer published NaN or Infinity, and the API cannot answer while it is listed",
    Reason.NOT_READY: "it has only just begun and has nothing to tell yet",
    Reason.STALE: "it answers, but with what it knew a while ago",
    Reason.EMPTY: "the answer has no body",
    Reason.TOO_LARGE: "the answer is larger than the body limit",
    Reason.INVALID_JSON: "the answer is not whole, valid JSON",
    Reason.WRONG_SHAPE: "the answer is JSON, but not of the form that is asked for",
    Reason.INVALID_VALUE: "a value in the answer has an impossible type or size and was left out",
    Reason.DUPLICATE_PEER: "a peer is listed twice; the first place counts",
    Reason.UNREADABLE: "a local file cannot be read or is not what it should be",
    Reason.MISSING: "something that this machine had is not there any more",
    Reason.PERMISSION: "the operating system does not let this user read it",
    Reason.TOOL_FAILED: "a program of the system ended with an error",
    Reason.MALFORMED: "the system answered in a form that this version does not know",
    Reason.DEVICE_LOST: "the driver has lost the device",
    Reason.RPC_ERROR: "the chain's RPC answers with an error of its own",
    Reason.OTHER_CHAIN: "the RPC is of another chain than the configuration says",
    Reason.NO_CONTRACT: "at the contract's address of this chain nothing answers",
    Reason.EXTRA_MISSING: "a package that this source needs is not installed",
    Reason.NO_LOG: "the node has no log yet",
    Reason.SKIPPED: "the log grew so much between two looks that a part was passed over",
    Reason.INTERNAL: "a fault of the exporter itself; please report the log line",
}

#: What to do about it: a sentence that names the fix.
ACTION: dict[Reason, str] = {
    Reason.REFUSED: "Start the swarm API, or correct its address. " + _LEADERBOARD_HINT,
    Reason.DNS: "Correct the host name in the API address.",
    Reason.TIMEOUT: "Look at the API's machine, or raise `timeout`.",
    Reason.TLS: "Correct the certificate or the scheme of the API address.",
    Reason.CONNECTION: "Look at the API's log: it or a proxy before it closes connections.",
    Reason.REDIRECT: "Give the address that it redirects to.",
    Reason.HTML: "Port 3000 is RL Swarm's login app, not the leaderboard. " + _LEADERBOARD_HINT,
    Reason.NOT_FOUND: "The login app and RL Swarm v0.5 and later answer so. " + _LEADERBOARD_HINT,
    Reason.RATE_LIMITED: "Nothing to do now: it waits as told. Raise `interval` if it comes often.",
    Reason.HTTP_4XX: "Look at what guards the address (proxy, authentication).",
    Reason.HTTP_5XX: "Look at the API's own log.",
    Reason.NAN: "Nothing to do here: it passes when that peer's entry expires (up to 4 hours).",
    Reason.NOT_READY: "Wait a minute; if an API stays so, look at its log for its chain and peers.",
    Reason.STALE: "Restart it, or look at its log: an API that lost chain or swarm does so.",
    Reason.EMPTY: "Look at what listens at the address: it may not be the swarm API.",
    Reason.TOO_LARGE: "Raise `body_limit` if the swarm is really that large.",
    Reason.INVALID_JSON: "Look at what listens at the address: it may not be the swarm API.",
    Reason.WRONG_SHAPE: "Point the address at the swarm API. " + _LEADERBOARD_HINT,
    Reason.INVALID_VALUE: "Nothing to do: peers publish what they like, the rest is exported.",
    Reason.DUPLICATE_PEER: "Nothing to do: peers publish what they like, the rest is exported.",
    Reason.UNREADABLE: "Correct the path or the permissions.",
    Reason.MISSING: "Install it again, or switch this collector off with --no-collector.NAME.",
    Reason.PERMISSION: "Run the exporter as the user who runs the nodes, outside a sandbox.",
    Reason.TOOL_FAILED: "Run `swarm-exporter doctor`: it shows what the program said.",
    Reason.MALFORMED: "Report it with what `swarm-exporter doctor --record DIR` wrote.",
    Reason.DEVICE_LOST: "Look at the kernel's log (dmesg); a lost GPU needs a restart.",
    Reason.RPC_ERROR: "Look at what it says; give another RPC under `chain.rpc`.",
    Reason.OTHER_CHAIN: "Correct `chain.rpc` or `chain.chain_id`.",
    Reason.NO_CONTRACT: "Correct `chain.contract`, or name a preset under `chain.preset`.",
    Reason.EXTRA_MISSING: 'Install it: pip install "swarm-exporter[chain]".',
    Reason.NO_LOG: "Start the node; if its log is elsewhere, name it under the node's `log.file`.",
    Reason.SKIPPED: "Nothing to do: it reads on from the newest lines; counts may lack a few.",
    Reason.INTERNAL: "Report it with the log line.",
}
