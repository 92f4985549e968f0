"""The one constant that matters here: where the trainer submits."""

MODAL_PROXY_URL = "http://localhost:3000/api/"
